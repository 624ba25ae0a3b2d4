with measured as (

    select
        origin,
        time_hour,
        temp,
        precip,
        visib,
        -- No hurricane is that fast: Newark's anemometer read 1,048 mph once.
        case when wind_speed < 200 then wind_speed end as wind_speed,
        wind_gust
    from {{ source('nycflights13', 'weather') }}

)

select
    origin,
    time_hour as hour_utc,
    temp as temperature_f,
    precip as precipitation_inches,
    visib as visibility_miles,
    wind_speed as wind_mph,
    wind_gust as gust_mph,
    -- An hour has one condition: the worst for a flight.
    case
        when precip > 0 and temp <= 32 then 'snow or ice'
        when precip >= 0.1 then 'heavy rain'
        when precip > 0 then 'rain'
        when visib < 3 then 'low visibility'
        when wind_speed >= 25 or wind_gust >= 35 then 'strong wind'
        else 'fair'
    end as condition
from measured
