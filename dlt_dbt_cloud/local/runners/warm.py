"""The local dbt Cloud's side of its warm dbt: starts helpers, and has them fork for steps."""

import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud.local.runners.installed import DBT, Call, ColdProcess, Process, signal_group

_HELPER: Final = Path(__file__).parent / "warm_dbt" / "__main__.py"
# What differs from run to run: nothing reads it before dbt is called.
_PER_RUN: Final = """
DBT_CLOUD_ DBT_ENV_CUSTOM_ENV_ DBT_LOG_PATH DBT_PARTIAL_PARSE_FILE_PATH DBT_PROFILES_DIR
DBT_PROJECT_DIR DBT_STATE DBT_TARGET PYTEST_CURRENT_TEST
"""
PER_RUN: Final = tuple(_PER_RUN.split())
# What the interpreter and C libraries read when they start, and libraries that go through all
# variables to find their own. A helper says which others were read.
_READ_AT_START: Final = ("LANG", "LC_", "LD_", "MALLOC_", "NETWORKX_", "PYTHON", "TZ")
_KILLED: Final = -9  # Windows has no SIGKILL


class ColdError(Exception):
    """A step can't be forked from a warm dbt. The message says why."""


@dataclass
class WarmProcess:
    """A step that a helper has forked, or will as soon as it has imported dbt."""

    pid: int | None = None
    code: Future[int] = field(default_factory=Future)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, as a `Process` does. Raises `ColdError` if it can't run here."""
        try:
            return self.code.result(timeout)
        except FutureTimeoutError:
            raise subprocess.TimeoutExpired("dbt", timeout or 0) from None

    def signal_group(self, how: signal.Signals) -> None:
        """Signal the process and its children. If it hasn't started, it won't."""
        if self.pid is None:
            self._end(-how)
        if self.pid is not None:  # it may have started meanwhile
            signal_group(self.pid, how)

    def hear(self, answer: Mapping[str, Any]) -> None:
        """Take what the helper says about it."""
        if "pid" in answer:
            self.pid = answer["pid"]
            if self.code.done():
                signal_group(answer["pid"], signal.SIGKILL)
        if "code" in answer:
            self._end(answer["code"])
        if "refused" in answer:
            with suppress(InvalidStateError):
                self.code.set_exception(ColdError(answer["refused"]))

    def lose(self, why: str) -> None:
        """Note that the helper has ended, and so has what it had forked."""
        self.hear({"refused": why} if self.pid is None else {"code": _KILLED})

    def _end(self, code: int) -> None:
        with suppress(InvalidStateError):  # it was cancelled
            self.code.set_result(code)


class Helper:
    """A process that has imported dbt in an environment, and forks for steps.

    Attributes:
        read: The variables of the environment that dbt reads while it is imported.
        refusal: Why it runs no more steps, None if it still does.
    """

    def __init__(self, python: str, adapters: Iterable[str], env: Mapping[str, str]) -> None:
        self._python = python
        self._env = env
        self.read: Future[frozenset[str]] = Future()
        self._lock = threading.Lock()
        self._ids = itertools.count()
        self._steps: dict[int, WarmProcess] = {}
        self.refusal: str | None = None
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [python, str(_HELPER), *adapters],
                stdin=theirs.fileno(),
                env=env,
                start_new_session=True,
            )
        self._thread = threading.Thread(target=self._listen, name="warm-dbt", daemon=True)
        self._thread.start()

    def suits(self, python: str, env: Mapping[str, str]) -> bool:
        """Say whether what it has imported is what a Python would import in an environment."""
        if python != self._python:
            return False
        pairs = self._env.items() ^ env.items()
        names = {name for name, _ in pairs if not name.startswith(PER_RUN)}
        if any(name.startswith(_READ_AT_START) for name in names):
            return False
        return not names or not names & self.read.result()

    def run(self, call: Call) -> WarmProcess:
        """Have a step run."""
        step = WarmProcess()
        with self._lock:
            if self.refusal is not None:
                step.lose(self.refusal)
                return step
            step_id = next(self._ids)
            self._steps[step_id] = step
            places = {"cwd": str(call.cwd), "log": str(call.log)}
            self._send(id=step_id, arguments=call.arguments, env=dict(call.env), **places)
        return step

    def load(self, parsed: Path) -> None:
        """Have it load a parsed project in its free time."""
        with self._lock:
            self._send(load=str(parsed))

    def close(self) -> None:
        """End it, with all that it runs."""
        for step in list(self._steps.values()):
            step.signal_group(signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._thread.join()
        self._socket.close()

    def _send(self, **request: Any) -> None:
        with suppress(OSError):  # it has ended: the listener knows
            self._socket.sendall(json.dumps(request).encode() + b"\n")

    def _listen(self) -> None:
        with self._socket.makefile("rb") as lines, suppress(OSError):
            for line in lines:
                self._hear(json.loads(line))
        self._end("its helper has ended")

    def _hear(self, answer: Mapping[str, Any]) -> None:
        if "names" in answer:
            self.read.set_result(frozenset(answer["names"]))
        elif "id" in answer:
            self._steps[answer["id"]].hear(answer)
            if "pid" not in answer:
                del self._steps[answer["id"]]
        else:
            self._end(answer["refused"])

    def _end(self, why: str) -> None:
        with self._lock:
            self.refusal = self.refusal or why
            for step in self._steps.values():
                step.lose(self.refusal)
        if not self.read.done():
            self.read.set_result(frozenset())


class WarmDBT:
    """The helpers of a local dbt Cloud: one for each environment that makes a difference.

    Attributes:
        adapters: The adapters that the profiles of the jobs name.
    """

    def __init__(self) -> None:
        self.adapters: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self.helpers: list[Helper] = []
        self._is_cold = False

    def prepare(
        self, dbt: DBT, env: Mapping[str, str], parsed: Path | None = None
    ) -> Helper | None:
        """Find or start the helper for an environment, and have it load a parsed project.

        There is none if steps run cold.
        """
        if dbt.python is None:
            self.give_up(f"{dbt.command[0]} is not a Python program")
            return None
        if sys.platform != "linux":
            self.give_up(f"forking is unsafe on {sys.platform}")
        with self._lock:
            if self._is_cold:
                return None
            usable = (h for h in self.helpers if h.refusal is None and h.suits(dbt.python, env))
            found = next(usable, None)
            if found is None:
                found = Helper(dbt.python, sorted(self.adapters), env)
                self.helpers.append(found)
        if parsed is not None:
            found.load(parsed)
        return found

    def start(self, call: Call) -> Process:
        """Start dbt. Waiting for it may raise `ColdError`."""
        helper = self.prepare(call.dbt, call.env)
        return ColdProcess(call) if helper is None else helper.run(call)

    def give_up(self, why: str) -> None:
        """Run steps cold from now on, and say so, once."""
        if not self._is_cold:
            self._is_cold = True
            logger.warning("Each step imports dbt, which takes seconds: %s.", why)

    def close(self) -> None:
        """End the helpers."""
        for helper in self.helpers:
            helper.close()
