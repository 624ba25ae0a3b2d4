"""Shows the log of each step line by line, while it is written."""

from collections.abc import Mapping
from typing import Any, Final

from dlt_dbt_cloud._follow.screen import Screen
from dlt_dbt_cloud._values import int_of, printable
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.run.fields import step_name

OVERLAP: Final = 5
"""Lines that are looked for in a log that lost its beginning, to go on after them."""


class StepLogs:
    """The logs of a run's steps, each line told once.

    Args:
        screen: Where the lines go.
        only: Index of the one step that is told, None for all.
    """

    def __init__(self, screen: Screen, only: int | None = None) -> None:
        self._screen = screen
        self._only = only
        self._told: dict[int, list[str]] = {}

    def show(self, run: DBTCloudRun) -> None:
        """Tells the lines that are new. The last one waits until it is whole, or the step ended."""
        for place, step in enumerate(run.steps, start=1):
            index = int_of(step.get("index")) or place
            if self._only not in (None, index):
                continue
            if index not in self._told:
                self._screen.line(step_name(step))
            lines = whole_lines(step, has_ended=run.is_complete or place < len(run.steps))
            for line in new_lines(self._told.setdefault(index, []), lines):
                self._screen.line(f"  {line}")
            self._told[index] = lines or self._told[index]


def whole_lines(step: Mapping[str, Any], *, has_ended: bool) -> list[str]:
    """Returns the lines of a log that will not change any more."""
    logs = step.get("logs")
    text = printable(logs) if isinstance(logs, str) else ""
    if not has_ended:
        text = text[: text.rfind("\n") + 1]
    return text.rstrip("\n").split("\n") if text.strip() else []


def new_lines(told: list[str], lines: list[str]) -> list[str]:
    """Returns the lines after those that were told, also if the log has lost its beginning."""
    if lines[: len(told)] == told:
        return lines[len(told) :]
    last = told[-OVERLAP:]
    places = range(len(lines), 0, -1)
    ends = (end for end in places if lines[max(0, end - len(last)) : end] == last)
    return lines[next(ends, 0) :]
