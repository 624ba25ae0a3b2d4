"""Wait for runs to end."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from dlt_dbt_cloud._follow.schedule import UsualTimes, poll_interval
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


MAX_DOWN_INTERVAL: Final = 10.0
"""Seconds between two looks at most while the API is down."""


@dataclass
class Wait:
    """A wait for one run or for several.

    Attributes:
        poll: Reads the runs of these ids, in one request as long as they are not very many.
        timer: Clock and sleep.
        deadline: Reading of the clock at which the wait ends. The runs are read once more there.
        wait_seconds: Longest interval between two looks.
        outage_timeout: How long an API that is down is ridden out, in seconds.
        is_new: Whether the runs were triggered just now, so that the API may not find them yet.
        usual: How long runs usually take, by job.
        on_look: Is told of each run that was looked at.
    """

    poll: Callable[[list[int]], Iterable[DBTCloudRun]]
    timer: Timer
    deadline: float
    wait_seconds: float
    outage_timeout: float
    is_new: bool = False
    usual: Mapping[int, UsualTimes | None] = field(default_factory=dict)
    on_look: Callable[[DBTCloudRun], None] | None = None

    def ended(self, runs: Iterable[DBTCloudRun]) -> Iterator[DBTCloudRun]:
        """Yields each run when it has ended.

        Raises:
            DBTCloudWaitTimeoutException: At the deadline.
            DBTCloudRunUnreachableException: The API stayed down.
            DBTCloudHTTPException: The API refused to tell.
            SignalReceivedException: SIGINT or SIGTERM was received.
        """
        waiting = {run.id: run for run in runs}
        started = self.timer.now()
        down_since: float | None = None
        asked = 0.0  # seconds that the API asked to wait
        yield from _ended_of(waiting)
        while waiting:
            interval = self._interval(waiting.values(), self.timer.now() - started)
            if down_since is not None:
                interval = min(interval, MAX_DOWN_INTERVAL)
            self.timer.sleep(max(0.0, min(max(asked, interval), self.deadline - self.timer.now())))
            asked = 0.0
            try:
                self._look(waiting)
                down_since = None
            except DBTCloudAPIException as error:
                down_since = self.timer.now() if down_since is None else down_since
                self._check_error(error, list(waiting.values()), started, down_since)
                asked = min(error.retry_after or 0.0, self.outage_timeout)
            yield from _ended_of(waiting)
            self._check_deadline(list(waiting.values()), started)

    def _interval(self, runs: Iterable[DBTCloudRun], waited: float) -> float:
        return min(
            poll_interval(waited, self.wait_seconds, run.run_seconds, self.usual.get(run.job_id))
            for run in runs
        )

    def _look(self, waiting: dict[int, DBTCloudRun]) -> None:
        for run in self.poll(list(waiting)):
            if run.activity != waiting[run.id].activity:
                logger.info("dbt Cloud run %d: %s", run.id, run.activity)
            waiting[run.id] = run
            if self.on_look:
                self.on_look(run)

    def _check_error(
        self,
        error: DBTCloudAPIException,
        runs: list[DBTCloudRun],
        started: float,
        down_since: float,
    ) -> None:
        """Raises if looking again will not help, or has not helped for long."""
        in_grace = self.is_new and self.timer.now() - started < NEW_RUN_GRACE
        if not _passes(error, in_grace=in_grace):
            raise error
        unseen = self.timer.now() - down_since
        if unseen >= self.outage_timeout:
            raise DBTCloudRunUnreachableException(
                f"dbt Cloud gave no status of {_names(runs)} for {unseen:.0f} s. {error}", runs=runs
            ) from error
        logger.warning("%s %s is looked at again.", error, _names(runs))

    def _check_deadline(self, runs: list[DBTCloudRun], started: float) -> None:
        now = self.timer.now()
        if runs and now >= self.deadline:
            raise DBTCloudWaitTimeoutException(
                f"{_names(runs)} has not ended within {now - started:.0f} s.", runs=runs
            )


def _ended_of(waiting: dict[int, DBTCloudRun]) -> Iterator[DBTCloudRun]:
    for run in [run for run in waiting.values() if run.is_complete]:
        yield waiting.pop(run.id)


def _passes(error: DBTCloudAPIException, *, in_grace: bool) -> bool:
    """Tells whether runs that could be read before may well be readable again."""
    if not isinstance(error, DBTCloudHTTPException):
        return True
    return error.is_transient or (in_grace and error.status_code == HTTPStatus.NOT_FOUND)


def _names(runs: list[DBTCloudRun]) -> str:
    names = [f"{run.id} ({run.status_name})" for run in runs]
    return f"dbt Cloud run{'s' if len(runs) > 1 else ''} {', '.join(names)}"
