"""Run a dbt Cloud job: settings in, run out.

The implementation is imported on the first call. Importing it is the slowest part, and a script
that imports these functions may never call one.
"""

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.pipeline import LoadInfo
from typing_extensions import Unpack

from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    TriggerOverrides,
    with_dbt_cloud_configuration,
)

if TYPE_CHECKING:
    from dlt_dbt_cloud._report.findings import DBTCloudCheck
    from dlt_dbt_cloud.run import DBTCloudRun


@with_dbt_cloud_configuration(requires=("account_id", "job_id"))
def run_dbt_cloud_job(
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    job_id: int | str | None = None,
    data: Mapping[str, Any] | None = None,
    wait_for_outcome: bool = DBTCloudConfiguration.wait_for_outcome,
    wait_seconds: float = DBTCloudConfiguration.wait_seconds,
    *,
    load_info: LoadInfo | Mapping[str, Any] | str | None = None,
    job_name: str | None = None,
    wait_timeout: float = DBTCloudConfiguration.wait_timeout,
    raise_on_failure: bool = DBTCloudConfiguration.raise_on_failure,
    retry_failed: int = DBTCloudConfiguration.retry_failed,
    cancel_on_abort: bool = DBTCloudConfiguration.cancel_on_abort,
    reuse_queued: bool = DBTCloudConfiguration.reuse_queued,
    run_key: str | None = None,
    run_key_window: float = DBTCloudConfiguration.run_key_window,
    pipeline: dlt.Pipeline | None = None,
    progress: str = DBTCloudConfiguration.progress,
    logs: bool = DBTCloudConfiguration.logs,
    notify: bool = DBTCloudConfiguration.notify,
    select_loaded: bool = DBTCloudConfiguration.select_loaded,
    skip_unchanged: bool = DBTCloudConfiguration.skip_unchanged,
    stop: threading.Event | None = None,
    **overrides: Unpack[TriggerOverrides],
) -> "DBTCloudRun":
    """Runs a dbt Cloud job exactly once, waits until it has finished, and returns its run.

    All arguments except `credentials`, `data`, `load_info`, `pipeline` and `stop` are settings too:
    what is not passed is looked up in `[<pipeline name>.dbt_cloud]` and `[dbt_cloud]` of dlt's
    config providers.

    Args:
        credentials: Settings that win over what dlt's providers have.
        job_id: The job.
        data: Body of the trigger request. Wins over `overrides` and configured overrides.
        wait_for_outcome: Whether to wait until the run has finished.
        wait_seconds: Maximum polling interval in seconds.
        load_info: The load that the job transforms, as `pipeline.run` returns it, its `asdict()`, a
            `load_ref`, or the JSON of these. A load with failed jobs is refused. If the load has a
            run already, in progress or succeeded, that run is returned instead of a new one.
        job_name: Exact name of the job, instead of `job_id`.
        wait_timeout: Maximum wait in seconds.
        raise_on_failure: Whether a run that did not succeed raises. If not, it is logged as an
            error.
        retry_failed: How many times a failed run is retried from its failed step.
        cancel_on_abort: Whether Ctrl-C, SIGTERM, `stop`, the caller's time limit or `wait_timeout`
            cancels the run that belongs to this call, load or key.
        reuse_queued: Whether to reuse a queued run of the job with the same overrides instead of
            triggering one. It has not started yet, so it will read this load too. A run that has
            started may have missed it, and is never reused.
        run_key: Names the piece of work: calls with the same key and job share one run, as those
            with the same load do. `auto` takes the name from the orchestrator.
        run_key_window: Maximum age of a run with the same `run_key`, in seconds.
        pipeline: The job runs for the last load in this pipeline's local trace, or else for the
            last in its destination. Its section of the settings wins, and its `progress=` shows the
            wait.
        progress: `off` for a silent wait. By default the pipeline's `progress=` shows the wait, or
            else one line that updates in a terminal, and a few lines elsewhere.
        logs: Whether the log of each step is shown as it is written.
        notify: Whether to report a run that does not succeed to Slack, through
            `runtime.slack_incoming_hook`.
        select_loaded: Whether to build only what is downstream of the tables that were changed by
            this load, and by earlier loads that no successful run covers. If that can't be known
            for certain, everything is built, and a warning says why.
        skip_unchanged: Whether to trigger nothing if no table has changed: the returned run has
            `is_skipped` set.
        stop: Ends the call when set, from any thread.
        overrides: Values that replace those of the job for this run, e.g. `schema_override="ci"`.

    Returns:
        The run: the API's dict, and more.

    Raises:
        InvalidCredentialsException: A setting is missing or malformed. Nothing was triggered.
        DestinationHasFailedJobs: The load has failed jobs. Nothing was triggered.
        DBTCloudHTTPException: The API refused, see its message. It is a `requests.HTTPError`.
        DBTCloudNotTriggeredException: The API stayed unavailable, and certainly created no run.
        DBTCloudRunKeyException: A run with the same `run_key` has other overrides.
        DBTCloudAPIException: The host is wrong, or the job could not be looked up by its name.
        DBTCloudTriggerOutcomeUnknownException: The API may have created a run.
        DBTCloudWaitTimeoutException: The run did not finish within `wait_timeout`.
        DBTCloudRunUnreachableException: The API stayed unavailable while the run was in progress.
        DBTCloudStoppedException: `stop` was set.
        DBTCloudRunException: With `raise_on_failure`, the run did not succeed.
    """
    del overrides  # the decorator has put them into the credentials
    from dlt_dbt_cloud._call import run_job  # noqa: PLC0415  # see the module
    from dlt_dbt_cloud._call.execute import execute  # noqa: PLC0415

    return execute(run_job, credentials, stop, data, load_info, pipeline)


@with_dbt_cloud_configuration(requires=("account_id", "run_id"))
def get_dbt_cloud_run_status(
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    run_id: Mapping[str, Any] | int | str | None = None,
    wait_for_outcome: bool = DBTCloudConfiguration.wait_for_outcome,
    wait_seconds: float = DBTCloudConfiguration.wait_seconds,
    *,
    wait_timeout: float = DBTCloudConfiguration.wait_timeout,
    raise_on_failure: bool = DBTCloudConfiguration.raise_on_failure,
    progress: str = DBTCloudConfiguration.progress,
    logs: bool = DBTCloudConfiguration.logs,
    stop: threading.Event | None = None,
) -> "DBTCloudRun":
    """Reattaches to a run, and returns it, by default when it has finished.

    Args:
        credentials: Settings that win over what dlt's providers have.
        run_id: The run, or its id.
        wait_for_outcome: Whether to wait until the run has finished.
        wait_seconds: Maximum polling interval in seconds.
        wait_timeout: Maximum wait in seconds.
        raise_on_failure: Whether a run that did not succeed raises. If not, it is logged as an
            error.
        progress: `off` for a silent wait.
        logs: Whether the log of each step is shown as it is written.
        stop: Ends the call when set, from any thread.

    Returns:
        The run: the API's dict, and more.

    Raises:
        InvalidCredentialsException: A setting is missing or malformed. Nothing was sent.
        DBTCloudHTTPException: The API refused, see its message. It is a `requests.HTTPError`.
        DBTCloudAPIException: The run could not be read at all.
        DBTCloudWaitTimeoutException: The run did not finish within `wait_timeout`.
        DBTCloudRunUnreachableException: The API stayed unavailable while the run was in progress.
        DBTCloudStoppedException: `stop` was set.
        DBTCloudRunException: With `raise_on_failure`, the run did not succeed.
    """
    from dlt_dbt_cloud._call import follow_run  # noqa: PLC0415  # see the module
    from dlt_dbt_cloud._call.execute import execute  # noqa: PLC0415

    return execute(follow_run, credentials, stop)


@with_dbt_cloud_configuration(requires=("account_id",))
def wait_for_dbt_cloud_runs(
    runs: Iterable[Mapping[str, Any] | int | str],
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    wait_seconds: float = DBTCloudConfiguration.wait_seconds,
    *,
    wait_timeout: float = DBTCloudConfiguration.wait_timeout,
    raise_on_failure: bool = DBTCloudConfiguration.raise_on_failure,
    progress: str = DBTCloudConfiguration.progress,
    stop: threading.Event | None = None,
) -> list["DBTCloudRun"]:
    """Waits for many runs at once, and returns them in the same order when all have finished.

    Each poll is one request for every 100 runs. Each run is logged when it finishes. A failed run
    doesn't end the wait for the others.

    Args:
        runs: Runs as `run_dbt_cloud_job(wait_for_outcome=False)` returns them, or their ids.
        credentials: Settings that win over what dlt's providers have.
        wait_seconds: Maximum polling interval in seconds.
        wait_timeout: Maximum wait in seconds.
        raise_on_failure: Whether a run that did not succeed raises, after all have finished.
        progress: `off` for a silent wait.
        stop: Ends the call when set, from any thread.

    Raises:
        InvalidCredentialsException: A setting or an id is missing or malformed. Nothing was sent.
        DBTCloudHTTPException: The API refused, e.g. a run is not in this account. If it refuses a
            run that was readable before, the others are waited for first.
        DBTCloudWaitTimeoutException: Some runs did not finish within `wait_timeout`.
        DBTCloudRunUnreachableException: The API stayed unavailable while runs were in progress.
        DBTCloudStoppedException: `stop` was set.
        DBTCloudRunException: With `raise_on_failure`, for the first run that did not succeed.
    """
    from dlt_dbt_cloud._call import follow_runs  # noqa: PLC0415  # see the module
    from dlt_dbt_cloud._call.execute import execute  # noqa: PLC0415

    return execute(follow_runs, credentials, stop, runs)


def check_dbt_cloud_job(
    credentials: DBTCloudConfiguration | None = None,
    job_id: int | str | None = None,
    *,
    job_name: str | None = None,
    pipeline_name: str | None = None,
) -> "DBTCloudCheck":
    """Checks settings, host, token, account and job, and triggers nothing.

    Missing and malformed settings of host, token, account and job are reported together, each with
    what to do. The requests to the API stop at the first failure. To find out whether the token may
    run jobs, dbt Cloud is asked to cancel a run that has finished. The report also has the job's
    environment and steps, the runs ahead in its queue, and its usual time.

    Args:
        credentials: Settings that win over what dlt's providers have.
        job_id: The job.
        job_name: Exact name of the job, instead of `job_id`.
        pipeline_name: Pipeline whose section wins over `[dbt_cloud]`, by default the active one.

    Returns:
        The report: `print` it, look at its `problems`, or call its `raise_on_problems()`.

    Raises:
        InvalidCredentialsException: Another setting is malformed.
    """
    from dlt_dbt_cloud._call import checking  # noqa: PLC0415  # see the module
    from dlt_dbt_cloud._io import run  # noqa: PLC0415

    settings = {"credentials": credentials, "job_id": job_id, "job_name": job_name}
    return run(checking.check_job(settings, pipeline_name))
