"""Settles all callers on one run: the oldest of a tag is followed, younger ones are cancelled.

dbt Cloud runs the runs of one job one after the other. So while the oldest is in progress, a second
one waits in the queue, where it can be cancelled before it does anything.
"""

from typing import Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud._io.retry import RetryPolicy
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud._start.search import Found, search
from dlt_dbt_cloud._start.trigger import check_overrides
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.run import DBTCloudRun

PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each search for the caller's own run in the list, which lags."""


def judge(
    order: Order, followed: DBTCloudRun, found: Found
) -> tuple[DBTCloudRun, list[DBTCloudRun]]:
    """Returns the run that all callers follow, and younger ones for the same work.

    The list may not show the followed run yet, or may show an older state of it.
    """
    listed = found.runs.get(followed.id, followed)
    current = listed if listed.is_complete else followed
    if order.is_shared and (current.is_error or current.is_timed_out):
        return current, []  # another call may well run the load anew
    runs = {run.id: run for run in found.own if run.in_progress or run.is_success}
    if not current.is_cancelled:
        runs[current.id] = current
    reusable = filter(order.reuses, found.runs.values() if current.is_queued else ())
    follow = min([*runs.values(), *reusable], key=lambda run: run.id, default=current)
    others = (run for run in runs.values() if run.id > follow.id)
    return follow, [run for run in others if run.id not in order.covering]


async def settle(
    io: IO, api: RunsApi, order: Order, followed: DBTCloudRun
) -> tuple[DBTCloudRun, bool]:
    """Searches once for other runs of the order, and cancels those in the queue.

    Returns:
        The run to follow, and False to search again soon: the list doesn't show the run that was
        followed so far, or a duplicate couldn't be cancelled.
    """
    try:
        found = await search(io, api, order, RetryPolicy(0.0))
        follow, others = judge(order, followed, found)
        is_settled = followed.id in found.runs
        if order.reuses(follow) and not await is_queued(io, api, follow):
            return followed, is_settled
    except DBTCloudAPIException as error:
        logger.warning("Couldn't check that run %d is the only one: %s", followed.id, error)
        return followed, False
    order.covering.update(run.id for run in found.runs.values() if order.reuses(run))
    for run in others:
        if run.is_queued:
            is_settled &= await _cancel(io, api, run, follow)
        elif not order.reuses(follow) and run.id not in order.doubles:
            text = "Job %d ran twice for the same work: %s and %s"
            logger.error(text, run.job_id, follow.url, run.url)
            order.doubles.add(run.id)
    check_overrides(api, order, follow)
    return follow, is_settled


async def settled(io: IO, api: RunsApi, order: Order, run: DBTCloudRun) -> DBTCloudRun:
    """Returns the run on which all callers settle, once the list shows the caller's own."""
    for pause in PAUSES if order.may_have_others else ():
        await io.sleep(pause)
        run, is_settled = await settle(io, api, order, run)
        if is_settled:
            break
    return run


async def is_queued(io: IO, api: RunsApi, run: DBTCloudRun) -> bool:
    """Returns True if a run is certainly in the queue. A list may be older than it looks."""
    try:
        return (await io.call(api.get_run_status, run.id)).is_queued
    except DBTCloudAPIException:
        return False


async def _cancel(io: IO, api: RunsApi, run: DBTCloudRun, followed: DBTCloudRun) -> bool:
    """Cancels a run. Returns False if the API didn't confirm it: the next search tries again."""
    try:
        await io.call(api.cancel_run, run.id)
    except DBTCloudAPIException as error:
        logger.warning("Couldn't cancel run %d, a duplicate: %s", run.id, error)
        return False
    logger.warning("Cancelled run %d in the queue in favour of run %d.", run.id, followed.id)
    return True
