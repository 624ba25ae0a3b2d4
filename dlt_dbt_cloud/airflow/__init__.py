"""Airflow: an operator that runs a dbt Cloud job, and a sensor that waits for a run.

    load = PythonOperator(task_id="load", python_callable=load_flights)
    load >> DBTCloudRunJobOperator(task_id="transform", job_name="Nightly flights")

Needs Airflow 2.10 or newer. Settings are found like everywhere in this package, or in an Airflow
connection of type `dbt_cloud`, as the official provider stores it.
"""

from typing import Any

from dlt_dbt_cloud.airflow.operator import DBTCloudRunJobOperator, DBTCloudRunLink
from dlt_dbt_cloud.airflow.sensor import DBTCloudRunSensor
from dlt_dbt_cloud.airflow.trigger import DBTCloudRunTrigger

__all__ = [
    "DBTCloudRunJobOperator",
    "DBTCloudRunLink",
    "DBTCloudRunSensor",
    "DBTCloudRunTrigger",
]


def get_provider_info() -> dict[str, Any]:
    """Returns what Airflow must know to show the link of the operator."""
    return {
        "package-name": "dlt-dbt-cloud",
        "name": "dlt dbt Cloud",
        "description": __doc__,
        "extra-links": [f"{DBTCloudRunLink.__module__}.{DBTCloudRunLink.__name__}"],
    }
