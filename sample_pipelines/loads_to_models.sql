-- Which load went into which run, and what that run did to each model.
select
    loads.load_id,
    run_loads.run_id,
    nodes.name as model,
    nodes.status,
    nodes.rows_affected,
    nodes.execution_time
from _dlt_loads as loads
join dbt_cloud_run_loads as run_loads using (load_id)
join dbt_cloud_node_results as nodes using (run_id)
where nodes.resource_type = 'model'
order by loads.load_id, run_loads.run_id, nodes.started_at, model
