"""A job fails because of bad data. After the correction it is retried from its failed step.

The job has two steps, `dbt run --select staging` and `dbt build --select marts`. The second fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import dlt
from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud import run_dbt_cloud_job

PAYMENTS = [
    {"id": 1, "customer": "Ada", "amount": "19.90"},
    {"id": 2, "customer": "Grace", "amount": "12,50"},
    {"id": 3, "customer": "Ada", "amount": "7.00"},
]
CORRECTED = [{"id": 2, "customer": "Grace", "amount": "12.50"}]


def load(payments: Iterable[dict[str, object]]) -> LoadInfo:
    """Loads payments. One that is there already is replaced."""
    pipeline = dlt.pipeline("recovery", destination="duckdb", dataset_name="shop")
    return pipeline.run(
        payments, table_name="payments", primary_key="id", write_disposition="merge"
    )


def main() -> int:
    """Tells the story."""
    print("\n== Three payments are loaded. One amount is '12,50', which is no number.")
    load_info = load(PAYMENTS)
    print(load_info)

    print("\n== The job runs, and its second step fails.")
    run = run_dbt_cloud_job(load_info=load_info)
    print(run)

    print("\n== The corrected payment is loaded.")
    print(load(CORRECTED))

    print(
        "\n== Called again for the first load, the job retries the failed run from its failed step."
    )
    run = run_dbt_cloud_job(load_info=load_info, retry_failed=1)
    print(run)
    return 0 if run.is_success else 1


if __name__ == "__main__":
    sys.exit(main())
