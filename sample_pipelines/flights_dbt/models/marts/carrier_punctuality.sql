select
    date_trunc('month', flight_date)::date as month,
    carrier_name as carrier,
    {{ punctuality() }}
from {{ ref('stg_flights') }}
inner join {{ ref('stg_airlines') }} using (carrier)
group by all
order by month, on_time_percent desc
