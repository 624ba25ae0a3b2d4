"""Run a dbt Cloud job: configuration in, run out."""

from collections.abc import Iterable, Mapping
from typing import Any

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.common.runtime import signals

from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    required_id,
    with_dbt_cloud_configuration,
)
from dlt_dbt_cloud.progress import collector_of
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.start import Started, find_job_id, start_run
from dlt_dbt_cloud.watch import Watch, watch_all


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
    reuse_queued: bool = DBTCloudConfiguration.reuse_queued,
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
        reuse_queued: Whether a run of the job that is still queued, with the same overrides, is
            waited for in place of a new one: it will see this load too. One that has started may
            have missed it, and is never reused.

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
        return Watch(client, credentials, Started(run, is_own=False), collector_of()).conclude()


@with_dbt_cloud_configuration
def wait_for_dbt_cloud_runs(
    runs: Iterable[DBTCloudRun | int | str],
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    wait_seconds: float = DBTCloudConfiguration.wait_seconds,
    *,
    wait_timeout: float = DBTCloudConfiguration.wait_timeout,
    raise_on_failure: bool = DBTCloudConfiguration.raise_on_failure,
) -> list[DBTCloudRun]:
    """Waits for many runs at once, and returns them in the same order when all have ended.

    One thread, and one request for every 100 runs a look. Each run is logged as it ends, and one
    that fails does not keep the others from being watched.

    Args:
        runs: Runs as `run_dbt_cloud_job(wait_for_outcome=False)` returns them, or their ids.
        credentials: Settings that win over what dlt's providers have.
        wait_seconds: Longest interval between two looks, in seconds.
        wait_timeout: Longest wait in seconds.
        raise_on_failure: Whether a run that did not succeed raises, after all have ended.

    Raises:
        InvalidCredentialsException: A setting or an id is missing or malformed. Nothing was sent.
        DBTCloudHTTPException: The API refused, e.g. a run is not in this account.
        DBTCloudWaitTimeoutException: Some runs had not ended after `wait_timeout`.
        DBTCloudRunUnreachableException: The API stayed down while runs went on.
        DBTCloudRunException: With `raise_on_failure`, a run did not succeed: the first of them.
    """
    with signals.intercepted_signals():
        client = DBTCloudClientV2(credentials=credentials)
        return watch_all(client, credentials, _known_runs(client, list(runs)), collector_of())


def _known_runs(client: DBTCloudClientV2, runs: list[DBTCloudRun | int | str]) -> list[DBTCloudRun]:
    """Returns runs, those that are given as ids read from the API."""
    given = {run.id: run for run in runs if isinstance(run, DBTCloudRun)}
    ids = [run.id if isinstance(run, DBTCloudRun) else required_id("run_id", run) for run in runs]
    read = {run.id: run for run in client.poll_runs_by_id([i for i in ids if i not in given])}
    known = {**read, **given}
    # One that is not in the list is asked for by itself: the API's answer says why.
    return [known.get(run_id) or client.get_run_status(run_id) for run_id in ids]


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
    started = start_run(client, config, find_job_id(client, config), request, load_info)
    return Watch(client, config, started, collector_of(load_info)).conclude()
