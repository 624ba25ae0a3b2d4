-- The loads that no run has transformed yet.
select loads.load_id, loads.schema_name, loads.inserted_at
from _dlt_loads as loads
where loads.load_id not in (
    select run_loads.load_id
    from dbt_cloud_run_loads as run_loads
    join dbt_cloud_runs as runs using (run_id)
    where runs.status = 10
)
and loads.schema_name <> 'dbt_cloud'
order by loads.inserted_at
