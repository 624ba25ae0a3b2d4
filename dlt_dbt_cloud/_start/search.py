"""Searches the runs of a job for those of an order, by the API's clock alone."""

from datetime import timedelta
from typing import Final, NamedTuple

from dlt_dbt_cloud._api import PAGE, RunsApi
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._io.retry import RetryPolicy, retry
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud._values import int_of
from dlt_dbt_cloud.run import DBTCloudRun

SLACK: Final = timedelta(minutes=10)
"""How much further back the search goes than necessary."""

YEAR: Final = 366 * 86400.0
"""Maximum length of a window in seconds."""


class Found(NamedTuple):
    """What a search shows.

    Attributes:
        own: The runs of the order, the oldest first.
        runs: All runs that were read, by id, the oldest first.
        is_unclear: Whether some of them may be the order's: the API doesn't show their cause.
    """

    own: list[DBTCloudRun]
    runs: dict[int, DBTCloudRun]
    is_unclear: bool


async def search(io: IO, api: RunsApi, order: Order, policy: RetryPolicy) -> Found:
    """Reads the runs of the job, as far back as one of the order can be.

    Without a `since`, that is a little before the newest run; with a `window`, it is the time of
    the API's answer less the window. Both are times of the API: the clock of this machine may be
    wrong.
    """
    age = timedelta(seconds=max(0.0, io.now() - order.sent_at))
    query = {"job_definition_id": order.job_id, "order_by": "-id", "include_related": ["trigger"]}
    listed: dict[int, DBTCloudRun] = {}
    offset, is_last, since, now = 0, False, order.since, None
    while not is_last:
        page = await retry(io, policy, api.get_runs, **query, limit=PAGE, offset=offset)
        ids = [run.id for run in page.items]
        has_new = not listed.keys() >= {*ids}
        listed.update(zip(ids, page.items, strict=True))
        offset += len(ids)
        times = [run.created_at for run in listed.values() if run.created_at]
        now = now or page.now or max(times, default=None)
        if order.window and now:
            since = now - age - timedelta(seconds=min(order.window, YEAR))
        elif not order.since and times:
            since = max(times) - age - SLACK
        is_last = not has_new or offset == page.total
        # No later page can hold a run of the order, if they come newest first.
        if not is_last and since and ids == sorted(ids, reverse=True) and ids[0] > ids[-1]:
            is_last = (page.items[-1].created_at or since) < since
    runs = dict(sorted(listed.items()))
    recent = [r for r in runs.values() if since is None or (r.created_at or since) >= since]
    own: dict[int, DBTCloudRun] = {}
    for run in recent:
        retried = int_of(run.get("retrying_run_id"))  # a retry has another cause
        if order.owns(run) or retried in own:
            own[run.id] = run
    return Found(list(own.values()), runs, any(order.owns(run) is None for run in recent))
