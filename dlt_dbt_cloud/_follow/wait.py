"""Waits for a run to finish."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._follow.history import usual_times
from dlt_dbt_cloud._follow.schedule import next_look, poll_interval
from dlt_dbt_cloud._follow.watch import Watch
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._io.retry import RetryPolicy, retry
from dlt_dbt_cloud._start.duplicates import settle
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud._values import int_of
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudRunUnreachableException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud.run import DBTCloudRun

REFUSAL_GRACE: Final = 60.0
"""Seconds for which a refusal is retried. The API may not find a new run yet
(PrefectHQ/prefect#12959), and what could be read before is most likely readable again."""

LAST_POLL: Final = 0.8
"""Seconds after the deadline in which the status is read once more."""

CANCELLED_PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each look for another run if the followed one was cancelled: lists lag."""


@dataclass(frozen=True)
class Limits:
    """How long and how often to poll, on the clock of `IO.now`."""

    deadline: float
    wait_seconds: float
    outage_timeout: float

    @property
    def policy(self) -> RetryPolicy:
        """How long errors of a poll are retried."""
        return RetryPolicy(self.outage_timeout, REFUSAL_GRACE, garbage=self.outage_timeout)

    def check(self, io: IO, started: float, runs: list[DBTCloudRun]) -> None:
        """Raises at the deadline if runs are still in progress."""
        if runs and io.now() >= self.deadline:
            seconds = io.now() - started
            message = f"{names(runs)} didn't finish within {seconds:.0f} s."
            raise DBTCloudWaitTimeoutException(message, runs=runs)


class Follow:
    """A wait for one run, which was created for an order unless another call created it."""

    def __init__(  # noqa: PLR0917  # what a wait is made of
        self,
        io: IO,
        api: RunsApi,
        watch: Watch,
        limits: Limits,
        order: Order | None = None,
        polls: RunsApi | None = None,
    ) -> None:
        self.io = io.until(limits.deadline)
        self.last_io = io.until(limits.deadline + LAST_POLL)
        self.api, self.watch, self.limits = api, watch, limits
        self.polls = polls or api  # may share requests with the polls of other calls
        self.order = order if order and order.may_have_others else None
        self.started = self.look_at = io.now()

    async def to_the_end(self, run: DBTCloudRun) -> DBTCloudRun:
        """Returns the run when it has finished: the one on which all its callers settle."""
        self.watch.usual = None if run.is_complete else await usual_times(self.io, self.api, run)
        with self.watch.shown(run):
            while True:
                while run.in_progress:
                    if self.order and self.io.now() >= self.look_at:
                        run = await self._look(self.order, run)
                    if run.in_progress:
                        usual = None if self.watch.shows_progress else self.watch.usual
                        limit, waited = self.limits.wait_seconds, self.io.now() - self.started
                        pause = poll_interval(waited, limit, run.run_seconds, usual)
                        await self.watch.rest(self.io, pause)
                        run = await self._read(run)
                other = await self._other(run)
                if other.id == run.id:
                    return run
                run = other

    async def _read(self, run: DBTCloudRun) -> DBTCloudRun:
        """Returns the run as it is now."""
        related = ("run_steps",) if self.watch.shows_steps else ()
        policy, read = self.limits.policy, self.polls.get_run_status
        try:
            run = await retry(self.io, policy, read, run.id, include_related=related)
        except DBTCloudAPIException as error:
            if self.io.now() < self.limits.deadline:
                raise unreachable(error, [run]) from error
            with suppress(DBTCloudAPIException):  # once more, briefly, and not with others
                read = self.api.get_run_status
                run = await self.last_io.call(read, run.id, include_related=related)
        await self._read_log(run)
        self.watch.saw(run)
        if run.in_progress:
            self.limits.check(self.io, self.started, [run])
        return run

    async def _read_log(self, run: DBTCloudRun) -> None:
        """Reads the log of the running step, if it is wanted and did not come with the run."""
        step = run.steps[-1] if run.steps and run.in_progress else {}
        step_id = int_of(step.get("id"))
        if self.watch.logs and step_id and not step.get("logs"):
            with suppress(DBTCloudAPIException):  # it is read again at the next poll
                read = await self.io.call(self.api.get_step, step_id)
                step["logs"] = read.get("logs")

    async def _look(self, order: Order, run: DBTCloudRun) -> DBTCloudRun:
        """Returns the run to follow, after a look for others of the order."""
        self.look_at = self.started + next_look(self.io.now() - self.started)
        run, is_settled = await settle(self.io, self.api, order, run)
        if not is_settled:
            self.look_at = self.io.now() + self.limits.wait_seconds
        self.watch.took(run, order)
        return run

    async def _other(self, run: DBTCloudRun) -> DBTCloudRun:
        """Returns the run that all callers return: the finished one, or another to follow."""
        if self.order is None:
            return run
        if not run.is_cancelled:
            # A failed run of a load may be run anew by now: that is no duplicate.
            is_over = run.is_success or not self.order.is_shared
            return await self._look(self.order, run) if is_over else run
        for pause in CANCELLED_PAUSES:  # another caller prefers an older one, most likely
            await self.io.sleep(pause)
            other = await self._look(self.order, run)
            if other.id != run.id:
                return other
        return run


def unreachable(error: DBTCloudAPIException, runs: list[DBTCloudRun]) -> Exception:
    """Returns the exception for runs whose status could not be read for too long."""
    if isinstance(error, DBTCloudHTTPException) and not error.is_transient:
        return error
    message = f"Couldn't read the status of {names(runs)}, most likely still in progress. {error}"
    return DBTCloudRunUnreachableException(message, runs=runs)


def names(runs: list[DBTCloudRun]) -> str:
    """Returns ids and statuses in words."""
    texts = [f"{run.id} ({run.status_name})" for run in runs]
    return f"dbt Cloud run{'s' if len(runs) > 1 else ''} {', '.join(texts)}"
