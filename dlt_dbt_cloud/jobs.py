"""Run a dbt Cloud job: configuration in, run out."""

from collections.abc import Mapping
from typing import Any, Final

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.common.runtime import signals

from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    required_id,
    with_dbt_cloud_configuration,
)
from dlt_dbt_cloud.exceptions import DBTCloudJobNotUniqueException
from dlt_dbt_cloud.load import load_cause, load_tag, may_adopt, runs_of_load
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.watch import Watch

MAX_JOBS_LISTED: Final = 20


@with_dbt_cloud_configuration
def run_dbt_cloud_job(
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    job_id: int | str | None = None,
    data: Mapping[str, Any] | None = None,
    wait_for_outcome: bool = DBTCloudConfiguration.wait_for_outcome,
    wait_seconds: float = DBTCloudConfiguration.wait_seconds,
    *,
    load_info: LoadInfo | None = None,
    job_name: str | None = None,
    wait_timeout: float = DBTCloudConfiguration.wait_timeout,
    raise_on_failure: bool = DBTCloudConfiguration.raise_on_failure,
    retry_failed: int = DBTCloudConfiguration.retry_failed,
    cancel_on_abort: bool = DBTCloudConfiguration.cancel_on_abort,
) -> DBTCloudRun:
    """Triggers a dbt Cloud job exactly once, watches the run to its end, and returns it.

    All arguments but `data` and `load_info` are settings too: what is not passed is looked up in
    `[<pipeline name>.dbt_cloud]` and `[dbt_cloud]` of dlt's config providers.

    Args:
        credentials: Settings that win over what dlt's providers have, also for all overrides that
            have no argument here.
        job_id: The job.
        data: Body of the trigger request, over the configured overrides.
        wait_for_outcome: Whether to wait until the run has ended.
        wait_seconds: Longest interval between two looks at the run, in seconds.
        load_info: The load that the job transforms, as `pipeline.run` returns it. A load with
            failed jobs is refused. Where the load has a run already, in progress or succeeded, that
            one is returned, and no second is triggered.
        job_name: Exact name of the job, in place of `job_id`.
        wait_timeout: Longest wait in seconds.
        raise_on_failure: Whether a run that did not succeed raises. Else it is logged as an error.
        retry_failed: How many times a failed run is continued from its failed step.
        cancel_on_abort: Whether Ctrl-C, SIGTERM and the deadline cancel a run that this call has
            triggered.

    Returns:
        The run: the API's dict, and more.

    Raises:
        InvalidCredentialsException: A setting is missing or malformed. Nothing was sent.
        DestinationHasFailedJobs: The load has failed jobs. Nothing was triggered.
        DBTCloudHTTPException: The API refused, see its message. It is a `requests.HTTPError`.
        DBTCloudNotTriggeredException: The API stayed down, and certainly created no run.
        DBTCloudTriggerOutcomeUnknownException: It may have created one.
        DBTCloudWaitTimeoutException: The run had not ended after `wait_timeout`.
        DBTCloudRunUnreachableException: The API stayed down while the run went on.
        DBTCloudRunException: With `raise_on_failure`, the run did not succeed.
    """
    with signals.intercepted_signals():
        return run_job(DBTCloudClientV2(credentials=credentials), credentials, data, load_info)


@with_dbt_cloud_configuration
def get_dbt_cloud_run_status(
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    run_id: int | str | None = None,
    wait_for_outcome: bool = DBTCloudConfiguration.wait_for_outcome,
    wait_seconds: float = DBTCloudConfiguration.wait_seconds,
    *,
    wait_timeout: float = DBTCloudConfiguration.wait_timeout,
    raise_on_failure: bool = DBTCloudConfiguration.raise_on_failure,
) -> DBTCloudRun:
    """Returns a run, by default when it has ended: reattaches to a run that was left.

    Args:
        credentials: Settings that win over what dlt's providers have.
        run_id: The run.
        wait_for_outcome: Whether to wait until the run has ended.
        wait_seconds: Longest interval between two looks at the run, in seconds.
        wait_timeout: Longest wait in seconds.
        raise_on_failure: Whether a run that did not succeed raises. Else it is logged as an error.

    Returns:
        The run: the API's dict, and more.

    Raises:
        InvalidCredentialsException: A setting is missing or malformed. Nothing was sent.
        DBTCloudHTTPException: The API refused, see its message. It is a `requests.HTTPError`.
        DBTCloudWaitTimeoutException: The run had not ended after `wait_timeout`.
        DBTCloudRunUnreachableException: The API stayed down while the run went on.
        DBTCloudRunException: With `raise_on_failure`, the run did not succeed.
    """
    with signals.intercepted_signals():
        client = DBTCloudClientV2(credentials=credentials)
        run = client.get_run_status(required_id("run_id", credentials.run_id))
        return Watch(client, credentials, run, is_own=False).conclude()


def run_job(
    client: DBTCloudClientV2,
    config: DBTCloudConfiguration,
    data: Mapping[str, Any] | None = None,
    load_info: LoadInfo | None = None,
) -> DBTCloudRun:
    """Does what `run_dbt_cloud_job` does, with a given client."""
    if load_info is not None:
        load_info.raise_on_failed_jobs()
    request = config.trigger_request(data)
    job_id = find_job_id(client, config)
    # A load that brought nothing has no identity: it gets a run of its own.
    if load_info is None or not load_info.loads_ids:
        run = client.trigger_run(job_id, request)
        return Watch(client, config, run, is_own=True).conclude()
    return _run_job_for_load(client, config, job_id, request, load_info)


def _run_job_for_load(
    client: DBTCloudClientV2,
    config: DBTCloudConfiguration,
    job_id: int,
    request: dict[str, Any],
    load_info: LoadInfo,
) -> DBTCloudRun:
    tag = load_tag(load_info, job_id, request)
    earlier = runs_of_load(client, job_id, tag, load_info)
    run = next((run for run in earlier if may_adopt(run, retry_failed=config.retry_failed)), None)
    if run is not None:
        logger.info("The load has run %d of job %d already: %s", run.id, job_id, run.url)
        return Watch(client, config, run, is_own=False).conclude()
    if request["cause"] == DBTCloudConfiguration.cause:
        request["cause"] = load_cause(load_info)
    known = frozenset(run.id for run in earlier)
    run = client.trigger_run(job_id, request, tag=tag, known=known)
    return Watch(client, config, run, is_own=True).conclude()


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
