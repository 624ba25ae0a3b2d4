"""What a call knows about its run, and what it tells people about it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dlt.common.runtime.collector_base import Collector

from dlt_dbt_cloud._follow.logs import StepLogs
from dlt_dbt_cloud._follow.progress import Display, Shown, rest, shown
from dlt_dbt_cloud._follow.screen import LogScreen, Notebook
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud.run import DBTCloudRun, UsualTimes
from dlt_dbt_cloud.run.wording import outcome


class Watch:
    """The run of a call, as last read.

    Attributes:
        run: The run, None as long as the call has none.
        is_own: Whether the call may cancel the run.
        is_cancelled: Whether the call has asked the API to cancel it.
        order: What the run is created for, None if another call created it.
        usual: How long runs of the job usually take.
    """

    def __init__(
        self, io: IO, display: Display | None = None, logs: StepLogs | None = None
    ) -> None:
        self.run: DBTCloudRun | None = None
        self.is_own = self.is_cancelled = False
        self.order: Order | None = None
        self.usual: UsualTimes | None = None
        self._io, self._display, self.logs = io, display, logs
        self._progress: Shown | None = None

    @property
    def shows_steps(self) -> bool:
        """Whether somebody sees the steps: they make an answer heavy."""
        is_shown = self._display is not None or self.logs is not None
        return is_shown or logger.isEnabledFor(logging.INFO)

    @property
    def shows_progress(self) -> bool:
        """Whether somebody watches the progress, so that it should be fresh."""
        return isinstance(self._display, Collector | Notebook) or self.logs is not None

    @contextmanager
    def shown(self, run: DBTCloudRun) -> Iterator[None]:
        """Shows the progress of a run."""
        title = f"dbt Cloud job {run.job_name}"
        with shown(self._display, title, self._io, self.usual) as self._progress:
            self.saw(run)
            yield
        self._progress = None

    def saw(self, run: DBTCloudRun) -> None:
        """Remembers a run that was just read, and tells what is new."""
        if self.run is not None and self.run.id == run.id:
            run.keep(self.run)
        is_told = logger.isEnabledFor(logging.INFO) and not isinstance(self._display, LogScreen)
        if is_told and self.run is not None and run.activity != self.run.activity:
            logger.info("dbt Cloud run %d: %s", run.id, run.activity)
        self.run = run
        if self._progress:
            self._progress.show(run)
        if self.logs:
            self.logs.show(run)

    def reported(self, run: DBTCloudRun) -> None:
        """Shows what only a report knows: the end of the logs, in a notebook what failed."""
        if self.logs:
            self.logs.show(run)
        if isinstance(self._display, Notebook):
            self._display.show(run)

    async def rest(self, io: IO, seconds: float) -> None:
        """Sleeps between two polls, and keeps alive what is shown."""
        await rest(io, seconds, self._progress)

    def took(self, run: DBTCloudRun, order: Order) -> None:
        """Remembers the run of an order."""
        self.is_own = run.id not in order.covering
        self.saw(run)

    @property
    def may_be_cancelled(self) -> bool:
        """Whether the call has a run in progress of its own, or may have one."""
        if self.run is not None:
            return self.is_own and self.run.in_progress and not self.is_cancelled
        return self.order is not None and self.order.is_open

    def summary(self) -> str:
        """Returns the state and URL of the run in words, nothing if it has ended by itself."""
        run, order = self.run, self.order
        if run is not None and self.is_cancelled:
            text = cancelled(run)
            if order is not None and order.is_ambiguous:
                text += f" Another may exist: look for {order.mark}."
            return text
        if run is not None and run.in_progress:
            return (
                f"dbt Cloud run {run.id} was in progress when last read ({run.status_name}):"
                f" {run.url} To reattach: get_dbt_cloud_run_status(run_id={run.id})"
            )
        if run is None and order is not None and order.is_open:
            return f"A dbt Cloud run of job {order.job_id} may exist: look for {order.mark}."
        return ""


def cancelled(run: DBTCloudRun) -> str:
    """Returns what became of a run after a request to cancel it, which may have come too late."""
    if run.is_complete and not run.is_cancelled:
        return f"dbt Cloud run {run.id} has ended ({outcome(run)}): {run.url}"
    return f"Cancelled dbt Cloud run {run.id}: {run.url}"
