"""The flows of Prefect that run the job, with our function and with prefect-dbt. It serves them."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from prefect import flow, serve, task
from prefect_dbt.cloud import DbtCloudCredentials
from prefect_dbt.cloud.jobs import trigger_dbt_cloud_job_run_and_wait_for_completion
from prefect_dbt.cloud.models import TriggerJobRunOptions

from dlt_dbt_cloud import DBTCloudConfiguration, run_dbt_cloud_job

HOME = Path(os.environ["ENGINE_HOME"])


def read(name: str) -> dict[str, Any]:
    """Returns what the harness says about a piece of work, and tells it this process."""
    (HOME / f"{name}.pid").write_text(str(os.getpid()))
    work: dict[str, Any] = json.loads((HOME / "works.json").read_text())[name]
    return work


@task
def transform(work: dict[str, Any], schema: str | None = None) -> int:
    """Runs the job with our function."""
    credentials = DBTCloudConfiguration(**work["settings"], wait_seconds=1, outage_timeout=3)
    run = run_dbt_cloud_job(
        credentials,
        run_key="auto",
        schema_override=schema,
        raise_on_failure=True,
        cancel_on_abort=True,
    )
    return run.id


@flow
def ours(name: str) -> list[int]:
    """Runs the job with our function."""
    work = read(name)
    transform_work = transform.with_options(
        retries=work["retries"], retry_delay_seconds=1, timeout_seconds=work["time_limit"]
    )
    if work["copies"] == 1:
        return [transform_work(work)]
    schemas = [f"schema_{number}" for number in range(work["copies"])]
    return transform_work.map([work] * len(schemas), schemas).result()


@flow
async def official(name: str) -> None:
    """Runs the job with prefect-dbt."""
    work = read(name)
    settings = work["settings"]
    credentials = DbtCloudCredentials(
        api_key=settings["api_token"], account_id=settings["account_id"], domain=work["https"]
    )
    run_job = trigger_dbt_cloud_job_run_and_wait_for_completion.with_options(
        retries=work["retries"], retry_delay_seconds=1, timeout_seconds=work["time_limit"]
    )
    schemas = [f"schema_{number}" for number in range(work["copies"])]
    await asyncio.gather(
        *(
            run_job(
                dbt_cloud_credentials=credentials,
                job_id=int(settings["job_id"]),
                trigger_job_run_options=TriggerJobRunOptions(schema_override=schema),
                poll_frequency_seconds=1,
                max_wait_seconds=120,
            )
            for schema in schemas
        )
    )


if __name__ == "__main__":
    serve(
        ours.to_deployment("scenario"),
        official.to_deployment("scenario"),
        limit=6,
        query_seconds=1,
        pause_on_shutdown=False,
    )
