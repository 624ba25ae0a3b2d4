"""Settles all callers on one run: the oldest of a tag is followed, younger ones are cancelled.

dbt Cloud runs the runs of one job one after the other. So while the oldest is in progress, a second
one waits in the queue, where it can be cancelled before it does anything.
"""

from typing import NamedTuple

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, Patience, logger
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud._start.search import Found, search
from dlt_dbt_cloud._start.trigger import check_overrides
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.run import DBTCloudRun


class Verdict(NamedTuple):
    """What to do about the runs of an order.

    Attributes:
        follow: The run that all callers return.
        cancel: Runs that would do the same work again, still in the queue.
        doubles: Runs that do, or have done, the same work again.
    """

    follow: DBTCloudRun
    cancel: list[DBTCloudRun]
    doubles: list[DBTCloudRun]


def judge(order: Order, followed: DBTCloudRun, found: Found) -> Verdict:
    """Returns what to do about the runs of an order.

    Args:
        order: The order.
        followed: The run that the caller follows, as last read. The list may not show it yet.
        found: The runs of the job, as listed now.
    """
    listed = found.listed.get(followed.id, followed)
    current = listed if listed.is_complete else followed
    if order.is_shared and (current.is_error or current.is_timed_out):
        return Verdict(current, [], [])  # another call may well run the load anew
    runs = {run.id: run for run in found.own if run.in_progress or run.is_success}
    if not current.is_cancelled:
        runs[current.id] = current
    reusable = [run for run in found.runs if order.reuses(run)] if current.is_queued else []
    follow = min([*runs.values(), *reusable], key=lambda run: run.id, default=current)
    others = [run for run in runs.values() if run.id > follow.id and run.id not in order.covering]
    doubles = [run for run in others if not (run.is_queued or order.reuses(follow))]
    return Verdict(follow, [run for run in others if run.is_queued], doubles)


async def settle(
    io: IO, api: RunsApi, order: Order, followed: DBTCloudRun
) -> tuple[DBTCloudRun, bool]:
    """Looks once for other runs of the order, and cancels those in the queue.

    Returns:
        The run to follow, and False if another look should come soon: the list doesn't show the run
        that was followed so far, or a duplicate couldn't be cancelled.
    """
    try:
        found = await search(io, api, order, Patience(0.0))
        verdict = judge(order, followed, found)
        if order.reuses(verdict.follow) and not await is_queued(io, api, verdict.follow):
            return followed, followed.id in found.listed
    except DBTCloudAPIException as error:
        logger.warning("Couldn't check that run %d is the only one: %s", followed.id, error)
        return followed, False
    order.covering.update(run.id for run in found.runs if order.reuses(run))
    cancelled = [await _cancel(io, api, run, verdict.follow) for run in verdict.cancel]
    for run in verdict.doubles:
        _report(order, run, verdict.follow)
    check_overrides(api, order, verdict.follow)
    return verdict.follow, followed.id in found.listed and all(cancelled)


async def is_queued(io: IO, api: RunsApi, run: DBTCloudRun) -> bool:
    """Returns True if a run is certainly in the queue. A list may be older than it looks."""
    try:
        return (await io.call(api.get_run_status, run.id)).is_queued
    except DBTCloudAPIException:
        return False


async def _cancel(io: IO, api: RunsApi, run: DBTCloudRun, followed: DBTCloudRun) -> bool:
    """Cancels a run, and returns whether the API confirmed that. The next look tries again."""
    try:
        await io.call(api.cancel_run, run.id)
    except DBTCloudAPIException as error:
        logger.warning("Couldn't cancel run %d, a duplicate: %s", run.id, error)
        return False
    logger.warning("Cancelled run %d in the queue in favour of run %d.", run.id, followed.id)
    return True


def _report(order: Order, run: DBTCloudRun, followed: DBTCloudRun) -> None:
    if run.id not in order.doubles:
        text = "Job %d ran twice for the same work: %s and %s"
        logger.error(text, run.job_id, followed.url, run.url)
    order.doubles.add(run.id)
