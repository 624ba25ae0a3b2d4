{#- What every mart says about a group of flights, in the same words and by the same rules. -#}
{% macro punctuality() %}
    count(*) as flights,
    count(*) filter (where status = 'cancelled') as cancelled,
    count(*) filter (where status = 'diverted') as diverted,
    {{ share("status = 'cancelled'") }} as cancelled_percent,
    {{ share("is_on_time") }} as on_time_percent,
    round(avg(departure_delay_minutes), 1) as mean_departure_delay,
    round(avg(arrival_delay_minutes), 1) as mean_arrival_delay
{% endmacro %}

{% macro share(condition) %}round(100.0 * count(*) filter (where {{ condition }}) / count(*), 1){% endmacro %}

{% macro middle(value) %}percentile_cont(0.5) within group (order by {{ value }}){% endmacro %}
