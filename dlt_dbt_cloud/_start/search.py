"""Searches the runs of a job for those of an order, on no one's clock but the API's."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from dlt_dbt_cloud._api import PAGE, RunsApi
from dlt_dbt_cloud._io import IO, Patience, retry
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud.run import DBTCloudRun


class Found(NamedTuple):
    """What a search shows.

    Attributes:
        own: The runs of the order, the oldest first.
        listed: All runs that were read, by id.
        is_unclear: Whether runs are among them that may be the order's: their cause doesn't show.
    """

    own: list[DBTCloudRun]
    listed: dict[int, DBTCloudRun]
    is_unclear: bool

    @property
    def runs(self) -> list[DBTCloudRun]:
        """All runs that were read, the oldest first."""
        return [self.listed[run_id] for run_id in sorted(self.listed)]


async def search(io: IO, api: RunsApi, order: Order, patience: Patience) -> Found:
    """Reads the runs of the job, as far back as one of the order can be.

    Raises:
        DBTCloudAPIException: The list can't be read.
    """
    age = timedelta(seconds=min(order.age + max(0.0, io.now() - order.sent_at), 366 * 86400))
    listed: dict[int, DBTCloudRun] = {}
    now: datetime | None = None
    offset, is_last = 0, False
    while not is_last:
        page = await retry(
            io,
            patience,
            api.get_runs,
            job_definition_id=order.job_id,
            order_by="-id",
            include_related=["trigger"],
            limit=PAGE,
            offset=offset,
        )
        has_new = any(run.id not in listed for run in page.items)
        listed.update({run.id: run for run in page.items})
        offset += len(page.items)
        since = order.since or _since(listed, now := now or page.now, age)
        is_last = not has_new or offset == page.total or _reaches(page.items, since)
    recent = _recent(listed, since)
    own: dict[int, DBTCloudRun] = {}
    for run in recent:
        if order.owns(run) or run.get("retrying_run_id") in own:  # a retry has another cause
            own[run.id] = run
    shown = recent or [listed[run_id] for run_id in sorted(listed)[-1:]]  # does it show causes?
    return Found(list(own.values()), listed, any(order.owns(run) is None for run in shown))


def _recent(listed: dict[int, DBTCloudRun], since: datetime | None) -> list[DBTCloudRun]:
    """Returns the runs that may be as young as the order, the oldest first."""
    runs = (listed[run_id] for run_id in sorted(listed))
    return [run for run in runs if since is None or (run.created_at or since) >= since]


def _since(listed: dict[int, DBTCloudRun], now: datetime | None, age: timedelta) -> datetime | None:
    """Returns the earliest time of a run of the order.

    It counts from the API's own time, since the clock of this machine may be wrong: that of its
    answer, else that of the newest run.
    """
    times = [run.created_at for run in listed.values() if run.created_at]
    latest = now or max(times, default=None)
    return latest - age if latest else None


def _reaches(page: Sequence[DBTCloudRun], since: datetime | None) -> bool:
    """Returns True if no later page can hold a run of the order: they come newest first."""
    ids = [run.id for run in page]
    is_ordered = ids == sorted(ids, reverse=True) and ids[0] > ids[-1]
    oldest = page[-1].created_at
    return bool(is_ordered and since and oldest and oldest < since)
