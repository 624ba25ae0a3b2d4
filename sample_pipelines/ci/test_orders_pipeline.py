"""The pipeline and its dbt project, tested together, without an account and without a network."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from orders_pipeline import load_orders

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudRunFailedException
from dlt_dbt_cloud.local import Fault, LocalDBTCloud, ScriptedJob

ORDERS = [
    {"id": 1, "customer": "Ada", "amount": 20, "status": "paid"},
    {"id": 2, "customer": "Grace", "amount": 12, "status": "open"},
    {"id": 3, "customer": "Ada", "amount": 7, "status": "paid"},
]


@pytest.mark.usefixtures("local_dbt_cloud")
def test_customers_have_the_sum_of_their_orders(database: Path) -> None:
    """Real dbt: what is loaded comes out in the mart."""
    load_orders(ORDERS)

    with duckdb.connect(str(database)) as connection:
        customers = connection.sql("from analytics.customers order by customer").fetchall()
    assert customers == [("Ada", 2, 27), ("Grace", 1, 12)]


@pytest.mark.usefixtures("local_dbt_cloud")
def test_an_order_with_an_unknown_status_fails_the_run() -> None:
    """Real dbt: bad data does not get by, and the error names the dbt test that caught it."""
    with pytest.raises(DBTCloudRunFailedException, match="order_is_open_or_paid") as failure:
        load_orders([*ORDERS, {"id": 4, "customer": "Ada", "amount": 1, "status": "lost"}])

    assert [node.status for node in failure.value.run.failed_nodes] == ["fail"]


@pytest.mark.parametrize("local_dbt_cloud_jobs", [[ScriptedJob()]])
def test_a_lost_answer_does_not_run_the_job_twice(local_dbt_cloud: LocalDBTCloud) -> None:
    """No dbt needed: the connection breaks right after dbt Cloud has created the run."""
    local_dbt_cloud.fail_next(Fault.commit_then_drop(), "/run/$", method="POST")

    load_orders(ORDERS)

    assert len(list(DBTCloudClientV2().list_runs())) == 1
