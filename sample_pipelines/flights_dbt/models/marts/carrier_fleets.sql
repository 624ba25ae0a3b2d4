with planes as (

    select
        carrier,
        tail_number,
        built_year,
        seats,
        count(*) as flights,
        registered.tail_number is not null as is_registered
    from {{ ref('stg_flights') }}
    left join {{ ref('stg_planes') }} as registered using (tail_number)
    where tail_number is not null
    group by all

)

select
    carrier_name as carrier,
    count(*) as planes,
    {{ share("is_registered") }} as registered_percent,
    round(avg(2013 - built_year), 1) as mean_age_years,
    round(avg(seats))::int as mean_seats,
    round(avg(flights))::int as mean_flights
from planes
inner join {{ ref('stg_airlines') }} using (carrier)
group by all
-- American and Envoy report fleet numbers. Some are a tail number as well: that of a Cessna.
having registered_percent > 50
order by mean_age_years
