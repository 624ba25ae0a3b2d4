"""Where progress is shown: a terminal, the output of a script in CI, a log, or a notebook."""

import logging
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from dlt.common.runtime.collector import LogCollector
from typing_extensions import Self

from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud._values import printable
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRuns

CLAIM: Final = "_dlt_dbt_cloud_line"
"""Attribute of a stream that names the wait that redraws a line on it."""

CLEAR: Final = "\r\x1b[K"


class Still:
    """Shows a wait. It changes only when a run was read."""

    @property
    def due(self) -> float:
        """Seconds until `tick` has something to show."""
        return math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves what is shown as it is."""

    def tick(self) -> None:
        """Shows that time passes, though nothing has been read."""


class LogScreen:
    """The log of dlt, if somebody reads it at the level INFO."""

    is_live = False

    def line(self, text: str) -> None:
        """Writes a line."""
        logger.info("%s", text)


class CollectorScreen:
    """Where dlt's own log collector writes. It would itself show each counter, every second."""

    is_live = False

    def __init__(self, collector: LogCollector) -> None:
        self._collector = collector

    def line(self, text: str) -> None:
        """Writes a line."""
        self._collector._log(self._collector.log_level, text)  # noqa: SLF001  # all its outputs


class Screen:
    """A stream. If it is a terminal, its last line may be redrawn.

    Args:
        stream: Where to write.
        environment: Tells if the terminal can't move its cursor, or if this is CI.

    Attributes:
        is_live: Whether the last line is redrawn.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        self._is_dirty = False
        is_dumb = environment.get("TERM") == "dumb" or bool(environment.get("CI"))
        self.is_live = stream.isatty() and hasattr(stream, "__dict__") and not is_dumb

    def claim(self) -> None:
        """Takes the last line, unless another wait in this process has it."""
        if self.is_live:
            # Atomic, unlike a check and an assignment.
            self.is_live = vars(self._stream).setdefault(CLAIM, self) is self
        if self.is_live:
            logger.addFilter(self)

    def release(self) -> None:
        """Removes the line, and gives it up."""
        self.clear()
        if self.is_live:
            logger.removeFilter(self)
            vars(self._stream).pop(CLAIM, None)

    def line(self, text: str) -> None:
        """Writes a line that stays."""
        self.clear()
        self._write(f"{printable(text)}\n")

    def draw(self, text: str) -> None:
        """Redraws the last line."""
        width = shutil.get_terminal_size().columns - 1
        self._write(CLEAR + printable(text)[:width])
        self._is_dirty = True

    def clear(self) -> None:
        """Removes the last line if it is redrawn."""
        if self._is_dirty:
            self._write(CLEAR)
            self._is_dirty = False

    def filter(self, _: logging.LogRecord) -> bool:
        """Makes room for a log record on the same terminal."""
        self.clear()
        return True

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more: the wait goes on
            self.is_live = False


def is_notebook() -> bool:
    """Returns True in a cell of a notebook. IPython is never imported for it."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return hasattr(get_ipython() if get_ipython else None, "kernel")


class Notebook(Still):
    """A table in the output of the cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, run: DBTCloudRun | DBTCloudRuns) -> None:
        """Shows what was just read."""
        from IPython.display import display  # type: ignore[import-not-found]  # noqa: PLC0415

        if self._handle:
            self._handle.update(run)
        else:
            self._handle = display(run, display_id=True)

    def show_runs(self, runs: Sequence[DBTCloudRun]) -> None:
        """Shows all runs that are waited for."""
        self.show(DBTCloudRuns(runs))


AnyScreen = Screen | LogScreen | CollectorScreen
