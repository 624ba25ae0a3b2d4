{#- The local date of a flight. -#}
{% macro flight_date() %}make_date(cast(year as integer), cast(month as integer), cast(day as integer)){% endmacro %}
