"""Airflow: an operator that runs a dbt Cloud job, and a sensor that waits for a run.

    load = PythonOperator(task_id="load", python_callable=load_flights)
    load >> DBTCloudRunJobOperator(task_id="transform", job_name="Nightly flights")

Needs Airflow 2.10 or newer. Settings are looked up as everywhere in this package, or in an Airflow
connection of type `dbt_cloud`, as the official provider stores it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlt_dbt_cloud.airflow.operator import DBTCloudRunJobOperator, DBTCloudRunLink
    from dlt_dbt_cloud.airflow.sensor import DBTCloudRunSensor
    from dlt_dbt_cloud.airflow.trigger import DBTCloudRunTrigger

__all__ = [
    "DBTCloudRunJobOperator",
    "DBTCloudRunLink",
    "DBTCloudRunSensor",
    "DBTCloudRunTrigger",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is asked for: Airflow calls `get_provider_info` as it starts.

    An import of Airflow would fail then, and stop Airflow.
    """
    if name in __all__:
        for module in ("operator", "sensor", "trigger"):
            found = vars(import_module(f"{__name__}.{module}"))
            if name in found:
                return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_provider_info() -> dict[str, Any]:
    """Returns what Airflow must know to show the link of the operator."""
    return {
        "package-name": "dlt-dbt-cloud",
        "name": "dlt dbt Cloud",
        "description": "Runs dbt Cloud jobs as tasks.",
        "extra-links": ["dlt_dbt_cloud.airflow.operator.DBTCloudRunLink"],
    }
