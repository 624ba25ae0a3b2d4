with planes as (

    select
        carrier,
        flights.tail_number,
        built_year,
        seats,
        count(*) as flights,
        registered.tail_number is not null as is_registered
    from {{ ref('stg_flights') }} as flights
    left join {{ ref('stg_planes') }} as registered on flights.tail_number = registered.tail_number
    where flights.tail_number is not null
    group by carrier, flights.tail_number, built_year, seats, registered.tail_number

)

select
    carrier_name as carrier,
    count(*) as planes,
    {{ share("is_registered") }} as registered_percent,
    round(avg(2013 - built_year), 1) as mean_age_years,
    cast(round(avg(seats)) as integer) as mean_seats,
    cast(round(avg(flights)) as integer) as mean_flights
from planes
inner join {{ ref('stg_airlines') }} as airlines on planes.carrier = airlines.carrier
group by carrier_name
-- American and Envoy report fleet numbers. Some are a tail number as well: that of a Cessna.
having {{ share("is_registered") }} > 50
order by mean_age_years
