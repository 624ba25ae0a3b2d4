"""Waits for many runs at once, with one request for every hundred of them."""

from collections.abc import AsyncIterator, Iterable

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._follow.first import listed
from dlt_dbt_cloud._follow.progress import ShownMany, rest
from dlt_dbt_cloud._follow.schedule import poll_interval
from dlt_dbt_cloud._follow.wait import LAST_POLL, REFUSAL_GRACE, Limits, unreachable
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud.exceptions import DBTCloudAPIException, DBTCloudHTTPException
from dlt_dbt_cloud.run import DBTCloudRun


class FollowMany:
    """A wait for many runs, each with an outcome of its own.

    Attributes:
        runs: The runs by id, as last read.
        progress: What shows the wait, None to show nothing.
        errors: Why runs could not be read to their end, by id.
    """

    def __init__(self, io: IO, api: RunsApi, limits: Limits, runs: dict[int, DBTCloudRun]) -> None:
        self.io = io.until(limits.deadline + LAST_POLL)
        self.api, self.limits, self.runs = api, limits, runs
        self.progress: ShownMany | None = None
        self.errors: dict[int, DBTCloudAPIException] = {}
        self._told: set[int] = set()
        self._lost_since: dict[int, float] = {}

    @property
    def in_progress(self) -> list[DBTCloudRun]:
        """The runs that are still waited for."""
        done = self._told | self.errors.keys()
        return [run for run_id, run in self.runs.items() if run_id not in done]

    async def finished(self) -> AsyncIterator[DBTCloudRun]:
        """Yields each run when it has finished, until the deadline."""
        started = self.io.now()
        while self.in_progress:
            await self._read(started)
            for run in self.in_progress:
                if run.is_complete:
                    self._told.add(run.id)
                    yield run
            self.limits.check(self.io, started, self.in_progress)
            if self.progress:
                self.progress.show_runs(list(self.runs.values()))
            if self.in_progress:
                interval = poll_interval(self.io.now() - started, self.limits.wait_seconds)
                seconds = min(interval, self.limits.deadline - self.io.now())
                await rest(self.io, seconds, self.progress)

    async def _read(self, started: float) -> None:
        waiting = [run.id for run in self.in_progress]
        try:
            read = await listed(self.io, self.api, waiting, self.limits.policy)
        except DBTCloudAPIException as error:
            self.limits.check(self.io, started, self.in_progress)
            raise unreachable(error, self.in_progress) from error
        self._saw(read.values())
        for run_id in waiting:
            if run_id not in read:
                await self._read_alone(run_id)

    async def _read_alone(self, run_id: int) -> None:
        """Reads a run that a list doesn't show: the API's answer says why."""
        try:
            self._saw([await self.io.call(self.api.get_run_status, run_id)])
            self._lost_since.pop(run_id, None)
        except DBTCloudAPIException as error:
            since = self._lost_since.setdefault(run_id, self.io.now())
            is_refused = isinstance(error, DBTCloudHTTPException) and not error.is_transient
            if is_refused and self.io.now() - since >= REFUSAL_GRACE:
                self.errors[run_id] = error
                logger.error("%s", error)

    def _saw(self, runs: Iterable[DBTCloudRun]) -> None:
        for run in runs:
            if self.runs[run.id].activity != run.activity:
                logger.info("dbt Cloud run %d: %s", run.id, run.activity)
            run.keep(self.runs[run.id])
            self.runs[run.id] = run
