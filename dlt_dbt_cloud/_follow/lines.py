"""Shows the progress of a wait as text: one line that is redrawn, or a few lines that stay."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from typing_extensions import Self

from dlt_dbt_cloud._follow.screen import AnyScreen, Screen, Still
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._values import clock, list_of
from dlt_dbt_cloud.run import DBTCloudRun, UsualTimes
from dlt_dbt_cloud.run.log import logged_nodes
from dlt_dbt_cloud.run.wording import outcome

HEARTBEAT: Final = 60.0
"""Seconds after which there is a line though nothing has changed."""

HOUR: Final = 3600.0
MAX_CHANGES: Final = 38
"""Changes within an hour that get a line: with one line a minute, about a hundred in all."""

FRAME: Final = 1.0
"""Seconds after which the one line is redrawn."""


class Heartbeat(Still):
    """Tells a wait in lines that stay, at least one every minute."""

    def __init__(self, screen: AnyScreen, io: IO) -> None:
        self._screen = screen
        self._io = io
        self._told_at = io.now()

    @property
    def due(self) -> float:
        """Seconds until `tick` has something to tell."""
        return max(0.0, self._told_at + HEARTBEAT - self._io.now())

    def _line(self, text: str) -> None:
        self._told_at = self._io.now()
        self._screen.line(text)


class Lines(Heartbeat):
    """Tells a wait for a run, and how long it will usually take."""

    def __init__(self, screen: AnyScreen, io: IO, usual: UsualTimes | None) -> None:
        super().__init__(screen, io)
        self._usual = usual
        self._run: DBTCloudRun | None = None
        self._read_at = io.now()
        self._changes: deque[float] = deque(maxlen=MAX_CHANGES)

    def __enter__(self) -> Self:
        if isinstance(self._screen, Screen):
            self._screen.claim()
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._screen, Screen):
            self._screen.release()

    @property
    def due(self) -> float:
        """Seconds until `tick` has something to tell."""
        return FRAME if self._screen.is_live else super().due

    def show(self, run: DBTCloudRun) -> None:
        """Tells what is new of a run that was just read."""
        before, self._read_at = self._run, self._io.now()
        self._run = run
        if before is None or before.id != run.id:
            self._line(beginning(run, self._usual))
            before = None
        if run.is_complete and (not run.is_success or (before and before.is_complete)):
            pass  # an end is told once, a failure by the log or an exception
        elif run.is_complete:
            self._line(f"dbt Cloud run {run.id}: {ending(run)}")
        elif before is None and not run.is_queued:
            pass  # the first line is enough
        elif (before is None or before.activity != run.activity) and self._may_tell():
            self._changes.append(self._io.now())
            self._line(self._text(run))
        self.tick()

    def tick(self) -> None:
        """Tells that time passes, though nothing has been read."""
        run = self._run
        if run is None or run.is_complete:
            return
        if isinstance(self._screen, Screen) and self._screen.is_live:
            self._screen.draw(self._text(run))
        elif self.due <= 0:
            self._line(self._text(run))

    def _may_tell(self) -> bool:
        if self._screen.is_live:
            return False
        is_full = len(self._changes) == MAX_CHANGES
        return not is_full or self._io.now() - self._changes[0] >= HOUR

    def _text(self, run: DBTCloudRun) -> str:
        since = self._io.now() - self._read_at
        elapsed = f"{clock(run.queued_seconds + run.run_seconds + since)} so far"
        nodes, total = logged_nodes(run.steps[-1]) if run.steps else ([], 0)
        done = sum(node.status != "running" for node in nodes)
        counted = f"{done} of {total} nodes" if total else ""
        parts = [run.activity, counted, elapsed, left(run, self._usual, since)]
        return f"dbt Cloud run {run.id}: {', '.join(filter(None, parts))}"


class Tally(Heartbeat):
    """Tells how many of the runs have finished."""

    _text = "dbt Cloud runs: none has finished yet"

    def show_runs(self, runs: Sequence[DBTCloudRun]) -> None:
        """Tells how many of the runs have finished."""
        finished = sum(run.is_complete for run in runs)
        self._text = f"dbt Cloud runs: {finished} of {len(runs)} have finished"
        if finished == len(runs) or self._io.now() - self._told_at >= HEARTBEAT / 2:
            self._line(self._text)

    def tick(self) -> None:
        """Tells that time passes, though nothing has been read."""
        if self.due <= 0:
            self._line(self._text)


def beginning(run: DBTCloudRun, usual: UsualTimes | None) -> str:
    """Returns the first line about a run."""
    usually = f", usually {clock(usual.in_all)}" if usual else ""
    return f"dbt Cloud run {run.id} of job {run.job_name}{usually}: {run.url}"


def ending(run: DBTCloudRun) -> str:
    """Returns the last words about a run that has finished: why it failed is told elsewhere."""
    took = run.queued_seconds + run.run_seconds
    return f"{outcome(run)} after {clock(took)}" if took else outcome(run)


def left(run: DBTCloudRun, usual: UsualTimes | None, since: float = 0.0) -> str:
    """Returns in words how long a run, read some seconds ago, will take: its queue counts too."""
    if usual is None or run.is_complete:
        return ""
    seconds = usual.ran - run.run_seconds
    if run.is_queued:
        # Each run ahead takes as long as usual. The first is taken to have started when this one
        # was queued.
        ahead = len(list_of(run.get("blocked_by"))) * usual.ran or usual.queued
        seconds += max(0.0, ahead - run.queued_seconds)
    seconds -= since
    about = f"about {clock(seconds)} left" if seconds > 0 else "longer than usual"
    return f"usually {clock(usual.in_all)}, {about}"
