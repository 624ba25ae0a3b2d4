select
    cast(date_trunc('month', flight_date) as date) as month,
    carrier_name as carrier,
    {{ punctuality() }}
from {{ ref('stg_flights') }} as flights
inner join {{ ref('stg_airlines') }} as airlines on flights.carrier = airlines.carrier
group by 1, 2
order by month, on_time_percent desc
