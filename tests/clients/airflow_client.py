"""Airflow's hook and operator."""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace
from typing import Any

from airflow.providers.dbt.cloud.hooks.dbt import (
    DbtCloudHook,
    DbtCloudJobRunException,
)
from airflow.providers.dbt.cloud.operators.dbt import (
    DbtCloudRunJobOperator,
)
from shared import BAD, GOOD, SLOW, report, use_plain_http

use_plain_http()


def run(job_id: int, try_number: int = 1) -> Any:
    """Carry out the operator of a job, as a task does."""
    job = DbtCloudRunJobOperator(
        task_id="job",
        job_id=job_id,
        check_interval=1,
        trigger_reason="Triggered by Airflow",
        retry_from_failure=True,
    )
    ti = SimpleNamespace(try_number=try_number, xcom_push=lambda **_: None)
    with contextlib.suppress(DbtCloudJobRunException):
        job.execute({"ti": ti})
    return job.run_id


with contextlib.redirect_stdout(sys.stderr):
    hook = DbtCloudHook()
    run_id = run(GOOD)
    failed_id = run(BAD)
    retried_id = run(BAD, try_number=2)
    slow = hook.trigger_job_run(SLOW, cause="x").json()["data"]
    hook.cancel_job_run(slow["id"])
    cancelled = hook.get_job_run(slow["id"], include_related=["trigger", "run_steps"])
    pages = hook.list_job_runs(include_related=["trigger"], job_definition_id=GOOD)
    runs = [found for page in pages for found in page.json()["data"]]
    jobs = [one for page in hook.list_jobs() for one in page.json()["data"]]
    retried = hook.get_job_run(retried_id).json()["data"]
    facts = {
        "status": hook.get_job_run_status(run_id),
        "listed": [found["id"] for found in runs],
        "jobs": [one["id"] for one in jobs],
        "run_id": run_id,
        "artifacts": hook.list_job_run_artifacts(run_id).json()["data"],
        "results": hook.get_job_run_artifact(run_id, "run_results.json").json()["results"],
        "cancelled": cancelled.json()["data"]["status"],
        "failed": hook.get_job_run_status(failed_id),
        "retried": retried["retrying_run_id"] == failed_id,
    }
report(**facts)
