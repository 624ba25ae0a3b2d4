select
    origin,
    destination,
    min(airport_name) as destination_name,
    min(distance_miles) as distance_miles,
    count(distinct carrier) as carriers,
    mode() within group (order by carrier) as busiest_carrier,
    {{ middle("air_minutes") }} as median_air_minutes,
    {{ middle("departure_delay_minutes - arrival_delay_minutes") }} as median_minutes_made_up,
    {{ punctuality() }}
from {{ ref('stg_flights') }}
left join {{ ref('stg_airports') }} on destination = airport
group by origin, destination
order by flights desc
