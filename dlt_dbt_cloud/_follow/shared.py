"""Polls of calls that are awaited side by side: one list for every hundred runs."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from dlt_dbt_cloud._api import PAGE, RunsApi
from dlt_dbt_cloud._follow.first import listed
from dlt_dbt_cloud._io import IO, Patience
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.run import DBTCloudRun

WINDOW: Final = 0.05
"""Seconds in which polls are collected. They sleep to common times."""

Waiting = dict[int, "asyncio.Future[DBTCloudRun]"]


class SharedPolls:
    """Reads the status of runs for all calls of an event loop that use one account.

    Args:
        io: The world.
        api: The API.
    """

    def __init__(self, io: IO, api: RunsApi) -> None:
        self._io = io
        self._api = api
        self._waiting: Waiting = {}
        self._reading: asyncio.Task[None] | None = None

    async def get_run_status(
        self, run_id: int, *, include_related: Sequence[str] = ()
    ) -> DBTCloudRun:
        """Returns a run. If others are read at the same time, without what is related to it."""
        if not self._waiting:
            self._reading = asyncio.create_task(self._read(tuple(include_related)))
        if run_id not in self._waiting:
            self._waiting[run_id] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._waiting[run_id])

    async def _read(self, include_related: tuple[str, ...]) -> None:
        await asyncio.sleep(WINDOW)
        waiting, self._waiting = self._waiting, {}
        if len(waiting) == 1:
            await self._read_alone(waiting, waiting, include_related)
            return
        ids = list(waiting)
        for chunk in (ids[start : start + PAGE] for start in range(0, len(ids), PAGE)):
            try:
                read = await listed(self._io, self._api, chunk, Patience(0.0))  # each call retries
            except DBTCloudAPIException as error:
                for run_id in chunk:
                    waiting[run_id].set_exception(error)
                continue
            for run_id, run in read.items():
                waiting[run_id].set_result(run)
            await self._read_alone(waiting, set(chunk) - set(read))

    async def _read_alone(
        self, waiting: Waiting, ids: Iterable[int], include_related: tuple[str, ...] = ()
    ) -> None:
        """Reads runs that a list doesn't show, or the only one: the API's answer says why."""
        for run_id in ids:
            try:
                read = self._api.get_run_status
                run = await self._io.call(read, run_id, include_related=include_related)
                waiting[run_id].set_result(run)
            except DBTCloudAPIException as error:
                waiting[run_id].set_exception(error)
