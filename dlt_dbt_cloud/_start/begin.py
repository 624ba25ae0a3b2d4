"""How a run comes about: the load has it already, it is shared, or it is triggered."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud._start.load import load_cause, load_tag, may_adopt, runs_of_load
from dlt_dbt_cloud._start.reuse import QueuedRuns, overrides
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration, required_id
from dlt_dbt_cloud.exceptions import DBTCloudJobNotUniqueException
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRunStatus

MAX_JOBS_LISTED: Final = 20


class Started(NamedTuple):
    """A run to watch."""

    run: DBTCloudRun
    is_own: bool
    """Whether this call has triggered it. Another's run is never cancelled."""
    rejoin: Callable[[], tuple[DBTCloudRun, bool]] | None = None
    """Returns another run and whether it is our own, should a shared one be cancelled."""


def start_run(
    client: DBTCloudClientV2,
    config: DBTCloudConfiguration,
    job_id: int,
    request: dict[str, Any],
    load_info: LoadInfo | None,
) -> Started:
    """Returns the run of a load if it has one, else a queued run if that may do, else a new one."""
    trigger = partial(client.trigger_run, job_id, request)
    # A load that brought nothing has no identity: it gets a run of its own.
    if load_info is not None and load_info.loads_ids:
        tag = load_tag(load_info, job_id, request)
        earlier = runs_of_load(client, job_id, tag, load_info)
        retries = config.retry_failed if config.wait_for_outcome else 0
        for run in earlier:
            if may_adopt(run, retry_failed=retries):
                logger.info("The load has run %d of job %d already: %s", run.id, job_id, run.url)
                return Started(run, is_own=False)
        if request.get("cause") in (None, "", DBTCloudConfiguration.cause):
            request["cause"] = load_cause(load_info)
        trigger = partial(trigger, tag=tag, known=frozenset(run.id for run in earlier))
    if not config.reuse_queued:
        return Started(trigger(), is_own=True)
    queued_runs = _queued_runs(client, job_id, request, trigger)
    run, is_own = queued_runs.join()
    return Started(run, is_own, queued_runs.join)


def _queued_runs(
    client: DBTCloudClientV2,
    job_id: int,
    request: dict[str, Any],
    trigger: Callable[[], DBTCloudRun],
) -> QueuedRuns:
    def queued() -> list[DBTCloudRun]:
        runs = client.poll_runs(
            job_definition_id=job_id,
            status=int(DBTCloudRunStatus.QUEUED),
            order_by="id",
            include_related=["trigger"],
        )
        return [run for run in runs if overrides(run["trigger"] or {}) == overrides(request)]

    return QueuedRuns(queued, client.poll_runs_by_id, trigger, client.cancel_run, client.timer)


def find_job_id(client: DBTCloudClientV2, config: DBTCloudConfiguration) -> int:
    """Returns the id of the configured job.

    Raises:
        InvalidCredentialsException: If neither an id nor a name is configured.
        DBTCloudJobNotUniqueException: If no job has the name, or several have.
    """
    if config.job_id or not config.job_name:
        return required_id("job_id", config.job_id)
    where = {"project_id": config.project_id, "environment_id": config.environment_id}
    jobs = list(client.list_jobs(**where))
    matches = [job for job in jobs if job.get("name") == config.job_name]
    if len(matches) == 1:
        return required_id("job_id", matches[0].get("id"))
    raise _not_unique(config.job_name, matches, jobs)


def _not_unique(
    name: str, matches: list[dict[str, Any]], jobs: list[dict[str, Any]]
) -> DBTCloudJobNotUniqueException:
    found = matches or jobs
    lines = [
        f"  {job.get('name')!r}: job_id {job.get('id')}, project_id {job.get('project_id')},"
        f" environment_id {job.get('environment_id')}"
        for job in found[:MAX_JOBS_LISTED]
    ]
    if len(found) > MAX_JOBS_LISTED:
        lines.append(f"  and {len(found) - MAX_JOBS_LISTED} more")
    problem = (
        f"{len(matches)} jobs are named {name!r}: set `project_id`, `environment_id` or `job_id`."
        if matches
        else f"No job is named {name!r}. There are {len(jobs)}, as far as the token may see:"
    )
    message = "\n".join([problem, *lines])
    return DBTCloudJobNotUniqueException(message, job_name=name, matches=matches)
