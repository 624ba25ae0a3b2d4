"""The steps of a job as commands of dbt, and nothing else: there is never a shell."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_RETRYABLE: Final = "build clone compile retry run run-operation seed snapshot test"
RETRYABLE: Final = frozenset({*_RETRYABLE.split(), "docs generate"})
"""The commands that `dbt retry` can retry."""
_THREADS: Final = RETRYABLE | {"parse", "show", "source freshness", "source snapshot-freshness"}
COMMANDS: Final = _THREADS | {"clean", "debug", "deps", "list", "ls"}
_GROUPS: Final = frozenset({"docs", "source"})
_WITH_VALUE: Final = """
--defer-state --deprecated-defer --deprecated-favor-state --deprecated-state --indirect-selection
--log-file-max-bytes --log-format --log-format-file --log-level --log-level-file --log-path
--partial-parse-file-path --printer-width --profile --record-timing-info --state --target
--warn-error-options -r -t
"""
WITH_VALUE: Final = frozenset(_WITH_VALUE.split())
"""The options of dbt that may come before a command and take a value."""

_OURS: Final = ("--log-path", "--profiles-dir", "--project-dir", "--target-path")


@dataclass(frozen=True)
class Command:
    """A command of dbt.

    Attributes:
        text: As the job says it, `dbt build --select staging`.
        name: Which command of dbt it is, `build`.
        words: The arguments of dbt.
        after: How many of them there are up to the command, including it.
    """

    text: str
    name: str
    words: tuple[str, ...]
    after: int

    @classmethod
    def parse(cls, text: str) -> "Command":
        """Read a step.

        Raises:
            ValueError: It is no command of dbt that a job can run.
        """
        words = shlex.split(text)
        if words[:1] != ["dbt"]:
            raise ValueError(f"{text!r} is not a dbt command")
        name, after = _command(words[1:])
        if name not in COMMANDS:
            raise ValueError(f"{text!r} is not a dbt command that a job can run")
        for word in words:
            if word.split("=")[0] in _OURS:
                raise ValueError(f"{text!r} sets {word.split('=')[0]}, which the run sets itself")
        return cls(text, name, tuple(words[1:]), after)

    def arguments(self, threads: int | None) -> list[str]:
        """Say how to call dbt. The step's own `--threads` wins, as it comes later."""
        if threads is None or self.name not in _THREADS:
            return list(self.words)
        return [*self.words[: self.after], "--threads", str(threads), *self.words[self.after :]]


def _command(words: Sequence[str]) -> tuple[str, int]:
    """Find the command as dbt does, after options with their values."""
    place = _after_options(words, 0)
    name = words[place] if place < len(words) else ""
    if name in _GROUPS:
        place = _after_options(words, place + 1)
        name = " ".join((name, *words[place : place + 1]))
    return name, place + 1


def _after_options(words: Sequence[str], place: int) -> int:
    while place < len(words) and words[place].startswith("-"):
        place += 2 if _takes_next(words[place]) else 1
    return place


def _takes_next(option: str) -> bool:
    if option.startswith("--"):
        return option in WITH_VALUE
    # Short ones may be joined, `-dt prod`, also with the value, `-tprod`.
    with_value = (place for place, letter in enumerate(option) if f"-{letter}" in WITH_VALUE)
    return next(with_value, None) == len(option) - 1
