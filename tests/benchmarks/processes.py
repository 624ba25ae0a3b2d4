"""Processes on the side, and how much memory a process has."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(module: str, *arguments: Path | str) -> Iterator[tuple[int, str]]:
    """Runs a server of this package. Yields its process id and the line that it prints first."""
    with subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline()
        # Leaving closes its standard input, at which it ends.


def resident(pid: int | str = "self") -> float:
    """Returns the MiB that a process has in memory, not a number where there is no `/proc`."""
    return _mebibytes(pid, "VmRSS")


def peak() -> float:
    """Returns the most MiB that this process ever had in memory, likewise."""
    return _mebibytes("self", "VmHWM")


def _mebibytes(pid: int | str, name: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return float("nan")
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def processor(pid: int) -> float:
    """Returns the seconds that a process itself has computed, not a number without `/proc`."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return float("nan")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
