select
    scheduled_hour,
    {{ punctuality() }}
from {{ ref('stg_flights') }}
group by all
order by scheduled_hour
