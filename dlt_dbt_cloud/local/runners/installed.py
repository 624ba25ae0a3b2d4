"""Finds the dbt that runs the steps: in this Python, on PATH, or where a job says. Calls it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Protocol

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException

# As in the `dbt` script, nothing is imported from the current folder.
_CALL: Final = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; "
    "from dbt.cli.main import cli; cli(prog_name='dbt')"
)
_VERSION: Final = "from importlib.metadata import version; print(version('dbt-core'))"
# If a path is long or has spaces, the script is a shell script that calls Python.
_PYTHON: Final = re.compile(rb"""\A\#!(?:/bin/sh\s+'''exec'\s+"?)?(/[^\n"]*?python[\d.]*)""")


@dataclass(frozen=True)
class DBT:
    """A dbt that can be called.

    Attributes:
        command: What to call, before the arguments.
        python: The Python that imports it, None if it is another kind of program.
    """

    command: tuple[str, ...]
    python: str | None

    def version(self) -> str:
        """Find its version, without importing it: that takes seconds.

        Raises:
            LocalDBTCloudException: It is no dbt that can be called.
        """
        call = [self.python, "-c", _VERSION] if self.python else [*self.command, "--version"]
        try:
            if self.python == sys.executable:
                return metadata.version("dbt-core")
            done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError, metadata.PackageNotFoundError) as e:
            raise LocalDBTCloudException(f"{self.command[0]} is not a dbt that runs. {e}") from e
        found = re.search(r"\d+\.\d+\.\d+\S*", done.stdout + done.stderr)
        return found[0] if found else "unknown"


def find_dbt(path: str | Path | None) -> DBT:
    """Find the dbt of a job.

    Args:
        path: Where it is, or its name on PATH. By default it is that of this Python, or else the
            one on PATH.

    Raises:
        LocalDBTCloudException: There is none.
    """
    if path is None:
        with suppress(metadata.PackageNotFoundError):
            metadata.version("dbt-core")
            return DBT((sys.executable, "-c", _CALL), sys.executable)
    found = shutil.which(str(path or "dbt"))
    if found:
        return DBT((found,), _python_of(Path(found)))
    if path is None:
        raise LocalDBTCloudException(
            "dbt is not installed. Install the extra `local-duckdb`, in a clone with "
            "`pip install '.[local-duckdb]'`, or dbt-core and the adapter of your destination. "
            "If it is in another environment, name it: dbt='/path/to/bin/dbt'."
        )
    raise LocalDBTCloudException(f"There is no program {path}. Name the dbt of an environment.")


def _python_of(script: Path) -> str | None:
    with script.open("rb") as file:
        found = _PYTHON.match(file.read(512))
    return found[1].decode() if found else None


@dataclass(frozen=True)
class Call:
    """A call of dbt in a folder, with all of its environment. What it prints goes into `log`."""

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
