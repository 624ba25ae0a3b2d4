-- A join that loses or multiplies flights would make every share in a mart wrong.
with counts as (

    {% for mart in ['carrier_punctuality', 'hourly_delays', 'routes', 'weather_delays'] %}
    select '{{ mart }}' as mart, sum(flights) as counted from {{ ref(mart) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select mart, counted, scheduled
from counts
cross join (select count(*) as scheduled from {{ ref('stg_flights') }}) as flights
where counted is distinct from scheduled
