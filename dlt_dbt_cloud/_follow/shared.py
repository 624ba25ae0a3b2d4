"""Polls of calls that are awaited side by side: one list for every hundred runs."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from dlt_dbt_cloud._api import Page, RunsApi
from dlt_dbt_cloud._follow.first import listed
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._io.retry import RetryPolicy
from dlt_dbt_cloud.run import DBTCloudRun

WINDOW: Final = 0.05
"""Seconds in which polls are collected. Calls wake up at common times."""


class SharedPolls:
    """Reads the status of runs for all calls of an event loop that use one account.

    Args:
        io: The world.
        api: The API.
    """

    def __init__(self, io: IO, api: RunsApi) -> None:
        self._io, self._api = io, api
        self._wanted: set[int] = set()
        self._listing: asyncio.Task[dict[int, DBTCloudRun]] | None = None

    async def get_run_status(
        self, run_id: int, *, include_related: Sequence[str] = ()
    ) -> DBTCloudRun:
        """Returns a run. If others are read at the same time, without what is related to it."""
        run = (await self._listed(run_id)).get(run_id)
        if run:
            return run
        # It is the only one, or no list shows it: the API's answer says why.
        read = self._api.get_run_status
        return await self._io.call(read, run_id, include_related=include_related)

    async def get_runs(self, *, pk__in: Sequence[int], **_: Any) -> Page[DBTCloudRun]:
        """Returns those of the runs that a list shows."""
        runs = await self._listed(*pk__in)
        return Page([runs[run_id] for run_id in pk__in if run_id in runs])

    async def _listed(self, *run_ids: int) -> dict[int, DBTCloudRun]:
        """Returns the runs that are polled at this time, by their ids. If it is one, nothing."""
        if self._listing is None or not self._wanted:
            self._listing = asyncio.create_task(self._list())
        self._wanted.update(run_ids)
        return await asyncio.shield(self._listing)

    async def _list(self) -> dict[int, DBTCloudRun]:
        await asyncio.sleep(WINDOW)
        ids, self._wanted = list(self._wanted), set()
        if len(ids) == 1:
            return {}
        return await listed(self._io, self._api, ids, RetryPolicy(0.0))  # each call retries
