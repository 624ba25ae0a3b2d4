"""Two assets: orders that dlt loads, and customers that a dbt Cloud job makes of them."""

from typing import Any

import dlt
from dagster import Definitions, MaterializeResult, MetadataValue, RetryPolicy, asset

from dlt_dbt_cloud import DBTCloudClientV2, load_ref, run_dbt_cloud_job

ORDERS = [
    {"id": 1, "customer": "Ada", "status": "paid", "amount": 9.5},
    {"id": 2, "customer": "Grace", "status": "open", "amount": 7.0},
]
RETRIES = RetryPolicy(max_retries=3, delay=10)


@asset(retry_policy=RETRIES)
def orders() -> dict[str, Any]:
    """Loads orders, and returns what the next step must know of the load."""
    pipeline = dlt.pipeline("orders", destination="duckdb", dataset_name="shop")
    return load_ref(
        pipeline.run(ORDERS, table_name="orders", primary_key="id", write_disposition="merge")
    )


@asset(retry_policy=RETRIES)
def customers(orders: dict[str, Any]) -> MaterializeResult[None]:
    """Runs the job. A retry of this step, or of the whole Dagster run, finds the run again."""
    run = run_dbt_cloud_job(
        load_info=orders, run_key="auto", raise_on_failure=True, cancel_on_abort=True
    )
    results = DBTCloudClientV2().get_artifact(run.id, "run_results.json")["results"]
    nodes = "\n".join(f"| {node['unique_id']} | {node['status']} |" for node in results)
    return MaterializeResult(
        metadata={
            "run": MetadataValue.url(run.url),
            "nodes": MetadataValue.md(f"| node | status |\n|---|---|\n{nodes}"),
        }
    )


defs = Definitions(assets=[orders, customers])
