"""Wait for a run to end: when to look, and when to stop looking."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudRunUnreachableException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.timing import Timer

NEW_RUN_GRACE: Final = 60.0
"""Seconds after a trigger in which the API may not find the run (PrefectHQ/prefect#12959)."""


def poll_interval(waited: float, wait_seconds: float) -> float:
    """Returns the seconds until the next look at a run.

    A twentieth of the time waited, so that the end of a run is seen within 5 % of its time, but at
    least 1 s and at most `wait_seconds`. With the default of 10 s no run costs more than 46 looks
    more than looking every 10 s would.

    Args:
        waited: Seconds since the wait began.
        wait_seconds: The longest interval. Below 0.1 s the API would be flooded.
    """
    return max(0.1, min(wait_seconds, max(1.0, waited / 20)))


def wait_for_run(
    poll: Callable[[], DBTCloudRun],
    run: DBTCloudRun,
    *,
    timer: Timer,
    deadline: float,
    wait_seconds: float,
    outage_timeout: float,
    is_new: bool,
) -> DBTCloudRun:
    """Returns the run when it has ended.

    Args:
        poll: Reads the run, in one request.
        run: The run as last seen.
        timer: Clock and sleep.
        deadline: Reading of the clock at which the wait ends. The run is read once more there.
        wait_seconds: Longest interval between two looks.
        outage_timeout: How long an API that is down is ridden out, in seconds.
        is_new: Whether the run was triggered just now, so that the API may not find it yet.

    Raises:
        DBTCloudWaitTimeoutException: At the deadline.
        DBTCloudRunUnreachableException: The API stayed down.
        DBTCloudHTTPException: The API refused to tell.
        SignalReceivedException: SIGINT or SIGTERM was received.
    """
    started = seen = timer.now()
    pause = 0.0
    while run.in_progress:
        pause = max(pause, poll_interval(timer.now() - started, wait_seconds))
        timer.sleep(max(0.0, min(pause, deadline - timer.now())))
        pause = 0.0
        try:
            run = _noting_change(run, poll())
            seen = timer.now()
        except DBTCloudAPIException as error:
            in_grace = is_new and timer.now() - started < NEW_RUN_GRACE
            if not _passes(error, in_grace=in_grace):
                raise
            pause = error.retry_after or 0.0
            _check_outage(error, run, timer.now() - seen, outage_timeout)
        if run.in_progress and timer.now() >= deadline:
            raise DBTCloudWaitTimeoutException(
                f"dbt Cloud run {run.id} has not ended within {timer.now() - started:.0f} s"
                f" ({run.status_name}). It goes on.",
                run=run,
            )
    return run


def _noting_change(before: DBTCloudRun, now: DBTCloudRun) -> DBTCloudRun:
    if now.status != before.status:
        logger.info("dbt Cloud run %d: %s", now.id, now.status_name)
    return now


def _passes(error: DBTCloudAPIException, *, in_grace: bool) -> bool:
    """Tells whether a run that has been read before may well be readable again."""
    if not isinstance(error, DBTCloudHTTPException):
        return True
    return error.is_transient or (in_grace and error.status_code == HTTPStatus.NOT_FOUND)


def _check_outage(
    error: DBTCloudAPIException, run: DBTCloudRun, unseen: float, outage_timeout: float
) -> None:
    if unseen > outage_timeout:
        raise DBTCloudRunUnreachableException(
            f"dbt Cloud gave no status of run {run.id} for {unseen:.0f} s. It goes on. {error}",
            run=run,
        ) from error
    logger.warning("%s The run goes on and is looked at again.", error)
