-- Which loads each model contains: those of the last run that built it, and of all runs before.
select
    built.model,
    run_loads.load_id,
    run_loads.pipeline_name,
    min(runs.finished_at) as built_at
from (
    select name as model, unique_id, run_id
    from dbt_cloud_node_results
    where resource_type = 'model' and status = 'success'
) as built
join dbt_cloud_runs as runs using (run_id)
join dbt_cloud_run_loads as run_loads using (run_id)
group by built.model, run_loads.load_id, run_loads.pipeline_name
order by built.model, run_loads.load_id
