-- Which load of which table went into which models, and what the run did to each of them.
select
    loads.load_id,
    sources.identifier as loaded_table,
    run_loads.run_id,
    nodes.name as model,
    nodes.status,
    nodes.rows_affected,
    nodes.execution_time
from _dlt_loads as loads
join dbt_cloud_run_loads as run_loads using (load_id)
join dbt_cloud_runs as runs using (run_id)
join dbt_cloud_node_results as nodes using (run_id)
join dbt_cloud_node_sources as sources using (manifest_id, unique_id)
where nodes.resource_type = 'model'
order by loads.load_id, run_loads.run_id, loaded_table, nodes.started_at, model
