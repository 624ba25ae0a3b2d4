"""Chooses how a wait is shown, and shows it through the progress collector of a pipeline."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.common.runtime.collector import LogCollector, NullCollector
from dlt.common.runtime.collector_base import Collector
from typing_extensions import Self

from dlt_dbt_cloud._follow.lines import FRAME, Lines, Tally, left
from dlt_dbt_cloud._follow.screen import (
    CollectorScreen,
    LogScreen,
    Notebook,
    Screen,
    Still,
    is_notebook,
)
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud.run import DBTCloudRun, UsualTimes

CLAIM: Final = "_dlt_dbt_cloud_wait"
"""Attribute of a collector that names the wait that it shows."""

Display = Collector | Screen | LogScreen | CollectorScreen | Notebook


def collector_of(pipeline: Any = None) -> Collector | None:
    """Returns the collector of a pipeline, by default the active one. None if it shows nothing."""
    context = Container()[PipelineContext]
    if pipeline is None and context.is_active():
        pipeline = context.pipeline()
    collector = getattr(pipeline, "collector", None)
    return None if isinstance(collector, NullCollector) else collector


def display_of(progress: str, pipeline: Any = None) -> Display | None:
    """Returns what shows a wait: the collector of the pipeline, else what fits where this runs.

    Args:
        progress: The setting: `off` shows nothing.
        pipeline: The pipeline that has loaded, by default the active one.
    """
    if progress == "off":
        return None
    collector = collector_of(pipeline)
    if type(collector) is LogCollector:
        return CollectorScreen(collector)
    if collector is not None:
        return collector
    if is_notebook():
        return Notebook()
    screen = Screen(sys.stderr) if sys.stderr else None
    if logger.isEnabledFor(logging.INFO) and not (screen and screen.is_live):
        return LogScreen()
    return screen


def shown(display: Display | None, title: str, io: IO, usual: UsualTimes | None) -> "Shown":
    """Returns what shows a wait for a run. Without a display, it shows nothing."""
    if isinstance(display, Notebook):
        return display
    if display is None or isinstance(display, Collector):
        return Progress(display, title, io, usual)
    return Lines(display, io, usual)


def shown_many(display: Display | None, io: IO) -> "ShownMany":
    """Returns what shows a wait for many runs."""
    if isinstance(display, Notebook):
        return display
    if display is None or isinstance(display, Collector):
        return Progress(display, "dbt Cloud runs", io)
    return Tally(display, io)


async def rest(io: IO, seconds: float, progress: "Shown | ShownMany | None") -> None:
    """Sleeps between two polls, and keeps alive what is shown."""
    while progress and (frame := max(FRAME, progress.due)) < seconds and io.now() < io.deadline:
        await io.sleep(frame)
        progress.tick()
        seconds -= frame
    await io.sleep(seconds, is_poll=True)


class Progress(Still):
    """Shows a wait: seconds, what the run is doing, and what is usually left.

    The first counter is the wait as a whole, the only one that some collectors show; each thing
    that the run does has one of its own. A collector that raises is reported once and then left
    alone: it never ends a wait. One that shows another wait already, in another thread, is left
    alone too: dlt's collectors show one thing at a time.
    """

    def __init__(
        self, collector: Collector | None, title: str, io: IO, usual: UsualTimes | None = None
    ) -> None:
        self._collector = collector
        self._title = title
        self._io = io
        self._usual = usual
        self._shown_until = io.now()
        self._activity = ""
        self._finished = 0

    def __enter__(self) -> Self:
        # Atomic, unlike a check and an assignment.
        if self._collector and vars(self._collector).setdefault(CLAIM, self) is not self:
            self._collector = None
        if self._collector:
            with self._guard():
                self._collector(self._title).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._collector:
            collector = self._collector
            with self._guard():
                collector.__exit__(None, None, None)  # type: ignore[arg-type]
            vars(collector).pop(CLAIM, None)

    def show(self, run: DBTCloudRun) -> None:
        """Shows what the run is doing."""
        if not self._collector:
            return
        total = round(self._usual.in_all) if self._usual else None
        message = ", ".join(filter(None, [run.activity, left(run, self._usual)]))
        elapsed = int(self._io.now() - self._shown_until)
        self._shown_until += elapsed
        self._update("Seconds", elapsed, total, message)
        if elapsed:
            self._update(self._activity, elapsed)
        self._activity = run.activity

    def show_runs(self, runs: Sequence[DBTCloudRun]) -> None:
        """Shows how many of the runs have finished."""
        finished = sum(run.is_complete for run in runs)
        self._update("Runs", finished - self._finished, len(runs))
        self._finished = finished

    def _update(
        self, name: str, inc: int, total: int | None = None, message: str | None = None
    ) -> None:
        if self._collector:
            with self._guard():
                # dlt's annotation lacks the None of its own defaults.
                self._collector.update(name, inc=inc, total=total, message=message)  # type: ignore[arg-type]

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # noqa: BLE001  # a collector may be the user's own
            logger.warning(
                "The progress collector failed. Progress is no longer shown.", exc_info=True
            )
            vars(self._collector).pop(CLAIM, None)
            self._collector = None


Shown = Progress | Lines | Notebook
ShownMany = Progress | Tally | Notebook
