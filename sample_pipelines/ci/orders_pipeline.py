"""The pipeline under test: it loads orders, and a dbt Cloud job sums them up."""

from __future__ import annotations

from collections.abc import Iterable

import dlt

from dlt_dbt_cloud import DBTCloudRun, run_dbt_cloud_job


def load_orders(orders: Iterable[dict[str, object]]) -> DBTCloudRun:
    """Loads orders into DuckDB and returns the run of the job, which has succeeded."""
    pipeline = dlt.pipeline("orders", destination="duckdb", dataset_name="shop")
    load_info = pipeline.run(
        orders, table_name="orders", primary_key="id", write_disposition="merge"
    )
    return run_dbt_cloud_job(load_info=load_info, raise_on_failure=True)
