"""A local dbt Cloud: its API v2 over real dbt Core, to try, test and debug pipelines.

    with LocalDBTCloud("flights_dbt") as cloud:
        run_dbt_cloud_job(credentials=cloud.credentials)

It answers as dbt Cloud is recorded to. Where there is no recording it does what is guessed here:

- Without a token the answer is the one to a wrong token.
- A trigger without a cause, or with one of more than 255 characters, is a 400; so are a `limit`
  beyond 100 and an `order_by` that isn't listed in dbt Labs' OpenAPI description.
- An empty `steps_override` is none.
- A queued run is `blocked_by` the run of its job that runs, not by all runs before it.
- Cancelling a run that has ended is a success that changes nothing.
- A retry that is refused is a 400 with the `retry_not_supported_reason` as data.
- A retry has the overrides of the run that it retries, and `Retry of run ID` as its cause.
- A rerun of a job whose last run can't be retried has `Triggered via API` as its cause.
- `failed_step` and `skipped_steps` are commands; a retried command is `dbt retry`.
- Steps that never began are not among the `run_steps`.
- Artifacts are there as soon as the run has ended, not before.
- The body of a 429 is an envelope with `Too Many Requests.`
"""

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.faults import Fault, Request
from dlt_dbt_cloud.local.jobs import DBTJob, ScriptedJob
from dlt_dbt_cloud.local.server import LocalDBTCloud

__all__ = [
    "DBTJob",
    "Fault",
    "LocalDBTCloud",
    "LocalDBTCloudException",
    "Request",
    "ScriptedJob",
]
