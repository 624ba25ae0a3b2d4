-- A join that loses or multiplies flights would make every share in a mart wrong.
{% for mart in ['carrier_punctuality', 'hourly_delays', 'routes', 'weather_delays'] %}
select '{{ mart }}' as mart, sum(flights) as counted, (select count(*) from {{ ref('stg_flights') }}) as scheduled
from {{ ref(mart) }}
having counted is distinct from scheduled
{{ 'union all' if not loop.last }}
{% endfor %}
