"""How long the runs of a job usually take."""

from typing import Final

from dlt_dbt_cloud._follow.schedule import UsualTimes
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRunStatus

RUNS: Final = 20
"""Runs that tell how long a job takes."""


def usual_times(client: DBTCloudClientV2, run: DBTCloudRun) -> UsualTimes | None:
    """Returns how long the last successful runs of a run's job took, read in one request.

    None if there are too few of them, or if they can't be read: a wait does without. Retries don't
    count, and none is told of a retry: it runs from the failed step only.
    """
    if _is_retry(run):
        return None
    try:
        runs = client.poll_runs(
            job_definition_id=run.job_id,
            status=int(DBTCloudRunStatus.SUCCESS),
            order_by="-id",
            limit=RUNS,
        )
    except DBTCloudAPIException as error:
        logger.info("How long job %d usually takes is not known: %s", run.job_id, error)
        return None
    earlier = [other for other in runs if other.id != run.id and not _is_retry(other)]
    return UsualTimes.of(
        [other.queued_seconds for other in earlier], [other.run_seconds for other in earlier]
    )


def _is_retry(run: DBTCloudRun) -> bool:
    return run.get("retrying_run_id") is not None
