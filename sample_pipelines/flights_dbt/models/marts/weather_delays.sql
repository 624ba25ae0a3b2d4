select
    coalesce(condition, 'not measured') as condition,
    count(distinct (flights.origin, scheduled_hour_utc)) as hours,
    {{ punctuality() }}
from {{ ref('stg_flights') }} as flights
left join {{ ref('stg_weather') }} as weather
    on flights.origin = weather.origin and flights.scheduled_hour_utc = weather.hour_utc
group by condition
order by on_time_percent
