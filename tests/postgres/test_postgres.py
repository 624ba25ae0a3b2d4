"""A whole journey on PostgreSQL: `make test-postgres`, which installs what it needs."""

from pathlib import Path
from typing import Any

import dlt
import pytest
import yaml  # type: ignore[import-untyped]

from dlt_dbt_cloud import DBTCloudRunFailedException, run_dbt_cloud_job
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud
from dlt_dbt_cloud.sources import dbt_cloud_source

MODEL = "select customer, sum(amount) as amount from {{ source('shop', 'orders') }} group by 1"
TESTS = """
sources: [{name: shop, tables: [{name: orders}]}]
models:
  - name: customers
    columns: [{name: customer, data_tests: [unique, not_null]}]
"""


@pytest.fixture
def job(server: dict[str, Any], tmp_path: Path) -> DBTJob:
    """A dbt project on that server."""
    output = {"type": "postgres", "dbname": "postgres", "schema": "analytics", **server}
    files = {
        "dbt_project.yml": yaml.safe_dump({"name": "shop", "profile": "shop"}),
        "profiles.yml": yaml.safe_dump({"shop": {"target": "dev", "outputs": {"dev": output}}}),
        "models/customers.sql": MODEL,
        "models/models.yml": TESTS,
    }
    for name, text in files.items():
        path = tmp_path / "shop_dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return DBTJob(tmp_path / "shop_dbt")


def test_load_run_and_results(destination: Any, job: DBTJob) -> None:
    """Dlt loads, dbt transforms, and the results are tables, all in one PostgreSQL."""
    pipeline = dlt.pipeline("shop", destination=destination, dataset_name="shop")
    orders = [{"customer": "Ada", "amount": 20}, {"customer": "Ada", "amount": 7}]
    load_info = pipeline.run(orders, table_name="orders")
    with LocalDBTCloud(job) as cloud:
        run = run_dbt_cloud_job(cloud.credentials, load_info=load_info, raise_on_failure=True)
        pipeline.run(dbt_cloud_source(run, cloud.credentials, load_info=load_info))
        pipeline.run([{"customer": None, "amount": 1}], table_name="orders")
        with pytest.raises(DBTCloudRunFailedException, match="not_null_customers_customer"):
            run_dbt_cloud_job(cloud.credentials, raise_on_failure=True)
    with pipeline.sql_client() as sql:
        assert sql.execute_sql("select customer, amount from analytics.customers where amount > 1")
        nodes = sql.execute_sql("select name, status from dbt_cloud_node_results order by name")
    assert [tuple(node) for node in nodes or ()] == [
        ("customers", "success"),
        ("not_null_customers_customer", "pass"),
        ("unique_customers_customer", "pass"),
    ]
