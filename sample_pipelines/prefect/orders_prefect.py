"""A flow of two tasks: dlt loads orders, and a dbt Cloud job sums them up."""

from typing import Any

import dlt
from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_table_artifact

from dlt_dbt_cloud import DBTCloudClientV2, load_ref, run_dbt_cloud_job

ORDERS = [
    {"id": 1, "customer": "Ada", "status": "paid", "amount": 9.5},
    {"id": 2, "customer": "Grace", "status": "open", "amount": 7.0},
]


@task(retries=3, retry_delay_seconds=10)
def load() -> dict[str, Any]:
    """Loads orders, and returns what the next task must know of the load."""
    pipeline = dlt.pipeline("orders", destination="duckdb", dataset_name="shop")
    return load_ref(
        pipeline.run(ORDERS, table_name="orders", primary_key="id", write_disposition="merge")
    )


@task(retries=3, retry_delay_seconds=10)
def transform(loaded: dict[str, Any]) -> int:
    """Runs the job. A retry of this task, or of the flow run, finds the run again."""
    run = run_dbt_cloud_job(
        load_info=loaded, run_key="auto", raise_on_failure=True, cancel_on_abort=True
    )
    results = DBTCloudClientV2().get_artifact(run.id, "run_results.json")["results"]
    nodes = [{"node": node["unique_id"], "status": node["status"]} for node in results]
    create_link_artifact(run.url, key="dbt-cloud-run")
    create_table_artifact(nodes, key="dbt-cloud-nodes")
    return run.id


@flow
def orders() -> int:
    """Loads, then transforms."""
    return transform(load())


if __name__ == "__main__":
    orders()
