"""How long the runs of a job usually take."""

from typing import Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRunStatus, UsualTimes

RUNS: Final = 20
"""Number of runs that tell how long a job takes."""

MAX_SECONDS: Final = 5.0
"""How long the history may take to read: the run is not polled meanwhile."""


async def usual_times(io: IO, api: RunsApi, run: DBTCloudRun) -> UsualTimes | None:
    """Returns how long the last successful runs of a run's job took, read in one request.

    None if that can't be known. Retries are left out: they start at the failed step.
    """
    if _is_retry(run):
        return None
    try:
        page = await io.until(io.now() + MAX_SECONDS).call(
            api.get_runs,
            job_definition_id=run.job_id,
            status=int(DBTCloudRunStatus.SUCCESS),
            order_by="-id",
            limit=RUNS,
        )
    except DBTCloudAPIException as error:
        logger.info("Couldn't read how long job %d usually takes: %s", run.job_id, error)
        return None
    runs = [other for other in page.items if other.id != run.id and not _is_retry(other)]
    runs = [other for other in runs if other.is_success and other.job_id == run.job_id]
    return UsualTimes.of([r.queued_seconds for r in runs], [r.run_seconds for r in runs])


def _is_retry(run: DBTCloudRun) -> bool:
    return run.get("retrying_run_id") is not None
