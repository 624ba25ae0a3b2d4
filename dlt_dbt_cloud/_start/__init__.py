"""Starts a run: the load may have one already, a queued one may do, or a new one is triggered."""

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud._io.retry import RetryPolicy
from dlt_dbt_cloud._start.duplicates import is_queued
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud._start.search import Found, search
from dlt_dbt_cloud._start.select import select
from dlt_dbt_cloud._start.trigger import Trigger, check_overrides, outcome_unknown, refuse
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.run import DBTCloudRun


async def start(
    io: IO, api: RunsApi, order: Order, *, outage_timeout: float, may_retry: bool = False
) -> DBTCloudRun:
    """Returns the run of an order: an earlier one, a queued one that will do, or a new one.

    Which tables have changed is looked up only if the order has no run yet. If there is nothing to
    build, the run `is_skipped`. With `may_retry` a failed run of the order will do, because it is
    retried.
    """
    found = await _found(io, api, order, outage_timeout)
    run = _earlier(order, found, may_retry=may_retry)
    nothing = ""
    if run is None and order.narrowing:
        nothing = await select(io, api, order, order.narrowing, outage_timeout)
    if nothing:
        return DBTCloudRun.skip(order.job_id, nothing)
    if run := run or await _reusable(io, api, order, found):
        check_overrides(api, order, run)
        text = "Using run %d of job %d instead of triggering one: %s"
        logger.info(text, run.id, order.job_id, run.url)
        return run
    known = frozenset(run.id for run in found.own)
    return await Trigger(io, api, order, outage_timeout, known).once()


async def _found(io: IO, api: RunsApi, order: Order, outage_timeout: float) -> Found:
    """Returns the runs of the job, nothing if none of them can be the order's."""
    if not (order.is_shared or order.reuse_queued):
        return Found([], {}, is_unclear=False)
    try:
        found = await search(io, api, order, RetryPolicy(outage_timeout))
    except DBTCloudAPIException as error:
        refuse(api, order, error)
    if order.is_shared and found.is_unclear:
        raise outcome_unknown(api, order, "The list of runs doesn't show their causes.")
    return found


def _earlier(order: Order, found: Found, *, may_retry: bool) -> DBTCloudRun | None:
    """Returns the run of an earlier call with the same load or key, None if it has to run anew."""
    covering = [found.runs[run_id] for run_id in order.covering if run_id in found.runs]
    live = [run for run in [*found.own, *covering] if run.in_progress or run.is_success]
    retried = found.own[-1:] if may_retry else []
    return next(iter([*live, *(run for run in retried if run.is_error and run.can_retry)]), None)


async def _reusable(io: IO, api: RunsApi, order: Order, found: Found) -> DBTCloudRun | None:
    """Returns a queued run of another caller that will see the load, None if there is none."""
    for run in filter(order.reuses, found.runs.values()):
        if await is_queued(io, api, run):
            order.covering.add(run.id)
            return run
    return None
