"""The steps of a job as commands of dbt, and nothing else: there is never a shell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

_NO_THREADS: Final = frozenset({"clean", "debug", "deps", "list", "ls"})
_THREADS: Final = frozenset(
    {
        "build",
        "clone",
        "compile",
        "docs generate",
        "parse",
        "retry",
        "run",
        "run-operation",
        "seed",
        "show",
        "snapshot",
        "source freshness",
        "source snapshot-freshness",
        "test",
    }
)
COMMANDS: Final = _NO_THREADS | _THREADS
RETRYABLE: Final = frozenset(
    {
        "build",
        "clone",
        "compile",
        "docs generate",
        "retry",
        "run",
        "run-operation",
        "seed",
        "snapshot",
        "test",
    }
)
"""What `dbt retry` takes up again."""

_OURS: Final = ("--log-path", "--profiles-dir", "--project-dir", "--target-path")


@dataclass(frozen=True)
class Command:
    """A command of dbt.

    Attributes:
        text: As the job says it, `dbt build --select staging`.
        name: Which command of dbt it is, `build`.
        words: The arguments of dbt.
    """

    text: str
    name: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Command:
        """Read a step.

        Raises:
            ValueError: It is no command of dbt that a job can run.
        """
        words = shlex.split(text)
        if words[:1] != ["dbt"]:
            raise ValueError(f"{text!r} is not a dbt command")
        name = _name(words[1:])
        if name is None:
            raise ValueError(f"{text!r} is not a dbt command that a job can run")
        for word in words:
            if word.split("=")[0] in _OURS:
                raise ValueError(f"{text!r} sets {word.split('=')[0]}, which the run sets itself")
        return cls(text, name, tuple(words[1:]))

    def arguments(self, threads: int | None) -> list[str]:
        """Say how to call dbt. The step's own `--threads` wins, as it comes later."""
        if threads is None or self.name not in _THREADS:
            return list(self.words)
        last = self.name.split()[-1]
        after = self.words.index(last) + 1
        return [*self.words[:after], "--threads", str(threads), *self.words[after:]]


def _name(words: list[str]) -> str | None:
    # Global options and their values may come before the command.
    for position, word in enumerate(words):
        pair = " ".join(words[position : position + 2])
        found = next((name for name in (pair, word) if name in COMMANDS), None)
        if found:
            return found
    return None
