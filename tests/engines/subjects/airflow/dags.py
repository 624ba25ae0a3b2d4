"""A DAG for each scenario and client. The harness says which, in a file."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow import DAG
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

from dlt_dbt_cloud.airflow import DBTCloudRunJobOperator

HOME = Path(os.environ["ENGINE_HOME"])
OURS = {"wait_seconds": 1, "outage_timeout": 3}
OFFICIAL = {"check_interval": 1, "timeout": 120}


def note_pid(context: Any) -> None:
    """Tells the harness which process does the work."""
    (HOME / f"{context['ti'].dag_id}.pid").write_text(str(os.getpid()))


def make(name: str, work: dict[str, Any]) -> DAG:
    """Returns the DAG of a piece of work."""
    is_ours = work["client"].startswith("ours")
    operator = DBTCloudRunJobOperator if is_ours else DbtCloudRunJobOperator
    limit = work["time_limit"]
    arguments = {
        "task_id": "job",
        "retries": work["retries"],
        "retry_delay": timedelta(seconds=1),
        "execution_timeout": timedelta(seconds=limit) if limit else None,
        "on_execute_callback": note_pid,
        "deferrable": work["client"].endswith("deferrable"),
        "dbt_cloud_conn_id": name,
        "job_id": int(work["settings"]["job_id"]),
        **(OURS if is_ours else OFFICIAL),
    }
    with DAG(name, schedule=None, catchup=False, is_paused_upon_creation=False) as dag:
        if work["copies"] == 1:
            operator(**arguments)
        else:
            schemas = [f"schema_{number}" for number in range(work["copies"])]
            operator.partial(**arguments).expand(schema_override=schemas)
    return dag


for dag_id, described in json.loads((HOME / "works.json").read_text()).items():
    globals()[dag_id] = make(dag_id, described)
