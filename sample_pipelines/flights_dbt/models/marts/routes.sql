select
    origin,
    destination,
    any_value(airport_name) as destination_name,
    any_value(distance_miles) as distance_miles,
    count(distinct carrier) as carriers,
    mode(carrier) as busiest_carrier,
    median(air_minutes) as median_air_minutes,
    median(departure_delay_minutes - arrival_delay_minutes) as median_minutes_made_up,
    {{ punctuality() }}
from {{ ref('stg_flights') }}
left join {{ ref('stg_airports') }} on destination = airport
group by all
order by flights desc
