"""Reads a run for the first time, by its id."""

from http import HTTPStatus

from dlt_dbt_cloud._api import PAGE, RunsApi
from dlt_dbt_cloud._follow.wait import Limits
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._io.retry import RetryPolicy, retry
from dlt_dbt_cloud.exceptions import DBTCloudAPIException, DBTCloudHTTPException
from dlt_dbt_cloud.run import DBTCloudRun


async def first_read(io: IO, api: RunsApi, run_id: int, limits: Limits) -> DBTCloudRun:
    """Returns a run. One that was triggered a moment ago may not be found yet."""
    try:
        return await retry(io, RetryPolicy(limits.outage_timeout), api.get_run_status, run_id)
    except DBTCloudHTTPException as error:
        is_missing = error.status_code == HTTPStatus.NOT_FOUND
        if not is_missing or not await _may_be_new(io, api, run_id):
            raise
    return await retry(io, limits.policy, api.get_run_status, run_id)


async def _may_be_new(io: IO, api: RunsApi, run_id: int) -> bool:
    """Returns False if the account has newer runs, and the list doesn't show this one."""
    try:
        page = await io.call(api.get_runs, order_by="-id", limit=PAGE)
    except DBTCloudAPIException:
        return True
    ids = [run.id for run in page.items]
    return run_id in ids or run_id > max(ids, default=0)


async def first_reads(
    io: IO, api: RunsApi, run_ids: list[int], limits: Limits
) -> dict[int, DBTCloudRun]:
    """Returns runs by their ids."""
    runs = await listed(io, api, run_ids, RetryPolicy(limits.outage_timeout))
    for run_id in run_ids:
        if run_id not in runs:
            runs[run_id] = await first_read(io, api, run_id, limits)
    return runs


async def listed(
    io: IO, api: RunsApi, run_ids: list[int], policy: RetryPolicy
) -> dict[int, DBTCloudRun]:
    """Returns those of the runs that lists show, by their ids: one list for every hundred."""
    runs: dict[int, DBTCloudRun] = {}
    for start in range(0, len(run_ids), PAGE):
        chunk = run_ids[start : start + PAGE]
        page = await retry(io, policy, api.get_runs, pk__in=chunk, limit=PAGE)
        runs.update({run.id: run for run in page.items if run.id in chunk})
    return runs
