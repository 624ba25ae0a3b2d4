select
    scheduled_hour,
    {{ punctuality() }}
from {{ ref('stg_flights') }}
group by scheduled_hour
order by scheduled_hour
