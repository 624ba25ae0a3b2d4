"""The jobs of Dagster that run the job, with our function and with dagster-dbt."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagster import (
    Definitions,
    DynamicOut,
    DynamicOutput,
    JobDefinition,
    OpExecutionContext,
    RetryPolicy,
    in_process_executor,
    job,
    op,
)
from dagster_dbt.cloud.resources import DbtCloudClient

from dlt_dbt_cloud import DBTCloudConfiguration, run_dbt_cloud_job

HOME = Path(os.environ["ENGINE_HOME"])


def ours(work: dict[str, Any], schema: str) -> int:
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


def official(work: dict[str, Any], schema: str) -> int:
    """Runs the job with dagster-dbt."""
    settings = work["settings"]
    client = DbtCloudClient(
        auth_token=settings["api_token"],
        account_id=int(settings["account_id"]),
        disable_schedule_on_trigger=False,
        dbt_cloud_host=settings["base_api_url"],
    )
    job_id = int(settings["job_id"])
    found = client.run_job_and_poll(job_id, poll_interval=1, schema_override=schema)
    return int(found.run_details["id"])


def make(name: str, work: dict[str, Any]) -> JobDefinition:
    """Returns the job of a piece of work."""
    run_job = {"ours": ours, "official": official}[work["client"]]
    limit = work["time_limit"]
    tags = {"dagster/max_retries": str(work["retries"])}
    tags |= {"dagster/max_runtime": str(round(limit))} if limit else {}

    @op(out=DynamicOut(str), name=f"{name}_items")
    def items() -> Iterator[DynamicOutput[str]]:
        for number in range(work["copies"]):
            yield DynamicOutput(f"schema_{number}", mapping_key=str(number))

    @op(retry_policy=RetryPolicy(max_retries=work["retries"], delay=1), name=f"{name}_job")
    def transform(context: OpExecutionContext, schema: str) -> int:
        (HOME / f"{name}.pid").write_text(str(os.getpid()))
        return run_job(work, schema)

    # It is quicker than the default executor, but retries a step that a person has terminated.
    executor = None if name.startswith("stopped") else in_process_executor

    @job(name=name, tags=tags, executor_def=executor)
    def everything() -> None:
        items().map(transform)

    return everything


works = json.loads((HOME / "works.json").read_text())
defs = Definitions(jobs=[make(name, work) for name, work in works.items()])
