"""Run a dbt Cloud job: configuration in, run out.

What does the work is imported where it is called: it takes longer to import than the rest, and a
script that imports these functions may well not call them.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.common.runtime import signals

from dlt_dbt_cloud.configuration import DBTCloudConfiguration, with_dbt_cloud_configuration

if TYPE_CHECKING:
    from dlt_dbt_cloud.client import DBTCloudClientV2
    from dlt_dbt_cloud.run import DBTCloudRun


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
) -> "DBTCloudRun":
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
    from dlt_dbt_cloud._follow.watch import run_job  # noqa: PLC0415  # see the module

    with signals.intercepted_signals():
        return run_job(_client(credentials), credentials, data, load_info)


@with_dbt_cloud_configuration
def get_dbt_cloud_run_status(
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    run_id: int | str | None = None,
    wait_for_outcome: bool = DBTCloudConfiguration.wait_for_outcome,
    wait_seconds: float = DBTCloudConfiguration.wait_seconds,
    *,
    wait_timeout: float = DBTCloudConfiguration.wait_timeout,
    raise_on_failure: bool = DBTCloudConfiguration.raise_on_failure,
) -> "DBTCloudRun":
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
    from dlt_dbt_cloud._follow.watch import watch_run  # noqa: PLC0415  # see the module

    with signals.intercepted_signals():
        return watch_run(_client(credentials), credentials)


@with_dbt_cloud_configuration
def wait_for_dbt_cloud_runs(
    runs: "Iterable[DBTCloudRun | int | str]",
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    wait_seconds: float = DBTCloudConfiguration.wait_seconds,
    *,
    wait_timeout: float = DBTCloudConfiguration.wait_timeout,
    raise_on_failure: bool = DBTCloudConfiguration.raise_on_failure,
) -> list["DBTCloudRun"]:
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
    from dlt_dbt_cloud._follow.watch import watch_runs  # noqa: PLC0415  # see the module

    with signals.intercepted_signals():
        return watch_runs(_client(credentials), credentials, runs)


def _client(credentials: DBTCloudConfiguration) -> "DBTCloudClientV2":
    from dlt_dbt_cloud.client import DBTCloudClientV2  # noqa: PLC0415  # see the module

    return DBTCloudClientV2(credentials=credentials)
