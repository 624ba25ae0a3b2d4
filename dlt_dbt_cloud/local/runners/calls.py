"""Calls of dbt, and the processes that carry them out."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dlt_dbt_cloud.local.runners.installed import DBT


@dataclass(frozen=True)
class Call:
    """A call of dbt.

    Attributes:
        dbt: What is called.
        arguments: All but its name.
        cwd: The folder that it is called in.
        env: Its environment, all of it.
        log: The file that takes what it prints.
    """

    dbt: DBT
    arguments: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    log: Path


class Process(Protocol):
    """A process that runs dbt, the leader of a process group."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises `subprocess.TimeoutExpired` if it still runs then."""
        ...

    def signal_group(self, how: signal.Signals) -> None:
        """Signal the process and its children."""
        ...


class ColdProcess(subprocess.Popen[bytes]):
    """A process that imports dbt."""

    def __init__(self, call: Call) -> None:
        with call.log.open("wb") as log:
            super().__init__(
                [*call.dbt.command, *call.arguments],
                cwd=call.cwd,
                env=call.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal_group(self, how: signal.Signals) -> None:
        """Signal the process and its children."""
        signal_group(self.pid, how)


def signal_group(pid: int, how: signal.Signals) -> None:
    """Signal a process group, if any of it is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)
