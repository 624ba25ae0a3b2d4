"""Keeps dbt warm: imports it once, then forks for each step of a run.

A program of its own, which the Python of dbt runs: it needs nothing but dbt. Standard input is a
socket to the local dbt Cloud, with one JSON object per line: steps to run and parsed projects to
load come in, process ids and exit codes go out. When the socket closes, all of it ends.

A step is a fork of a process that has one thread and has never called dbt. What a fork finds in
memory is what depends on nothing but its input: modules, JSON schemas of classes, compiled macros,
and `Manifest` objects by the bytes that they were read from. Whether such bytes still fit the
project is for dbt to say, by its own partial parsing.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from .faster import install
from .preparing import Memory, prepare

_THREADS = Path("/proc/self/task")
_PARENT_CHECK = 1.0
_GARBAGE = 50_000  # new objects before a collection: Python's 700 are half a node
_PR_SET_PDEATHSIG = 1


class RecordedEnviron(type(os.environ)):  # type: ignore[misc]
    """Records which variables are read by name."""

    names: set[str]

    def __getitem__(self, key: str) -> str:
        self.names.add(key)
        return str(super().__getitem__(key))

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return bool(super().__contains__(key))

    def items(self) -> Any:
        """Return all, unrecorded: code that reads all of them looks for a prefix."""
        return {self.decodekey(k): self.decodevalue(v) for k, v in self._data.items()}.items()


class Helper:
    """Answers requests until the socket closes."""

    def __init__(self, channel: socket.socket, adapters: Sequence[str]) -> None:
        self.memory = Memory()
        self._channel = channel
        self._received = b""
        self._parent = os.getppid()
        self._steps: dict[int, int] = {}
        self._warm_ups: Iterator[None] | None = prepare(adapters)
        self._wakeup, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any] | None:
        """Serve. Returns the request in the fork that is to carry it out, None at the end."""
        while os.getppid() == self._parent:
            ready = {key.fileobj for key, _ in self._selector.select(self._patience())}
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._channel in ready:
                data = self._channel.recv(65536)
                if not data:
                    break
                for request in self._requests(data):
                    if self._is_fork(request):
                        return request
            if not ready:
                self._warm_up()
        return None

    def say(self, **answer: Any) -> None:
        """Send an answer. If nobody is there to read it, the end is near."""
        with suppress(OSError):
            self._channel.sendall(json.dumps(answer).encode() + b"\n")

    def end_steps(self) -> None:
        """Kill what still runs."""
        for pid in self._steps:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)

    def _patience(self) -> float:
        return 0.0 if self._warm_ups is not None and not self._steps else _PARENT_CHECK

    def _warm_up(self) -> None:
        if self._warm_ups is not None and next(self._warm_ups, self) is self:
            self._warm_ups = None
            _freeze()

    def _requests(self, data: bytes) -> Iterator[dict[str, Any]]:
        *lines, self._received = (self._received + data).split(b"\n")
        yield from map(json.loads, lines)

    def _is_fork(self, request: dict[str, Any]) -> bool:
        if "load" in request:
            loading = self.memory.load(request["load"])
            next(loading, None)
            _freeze()
            self._warm_ups = chain(loading, self._warm_ups or ())
            return False
        try:
            check_threads()
            pid = os.fork()
        except OSError as e:
            self.say(id=request["id"], refused=str(e))
            return False
        if pid:
            self._steps[pid] = request["id"]
            self.say(id=request["id"], pid=pid)
        else:
            self._leave()
        return not pid

    def _reap(self) -> None:
        for pid, step in list(self._steps.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._steps[pid]
                self.say(id=step, code=os.waitstatus_to_exitcode(status))

    def _leave(self) -> None:
        # In a fork: nothing of the helper is left but what is warm.
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._channel.close()


def _freeze() -> None:
    # Forks share these pages, and neither collect nor free them.
    gc.collect()
    gc.freeze()


def check_threads() -> None:
    """Check that a fork is safe, or raise `OSError`."""
    threads = len(list(_THREADS.iterdir()))
    if threads != 1:
        raise OSError(f"dbt or its adapter has started {threads - 1} threads")


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _become(request: Mapping[str, Any], helper: int) -> None:
    # The process that `dbt` in a shell would be: its environment, folder, output and arguments.
    _die_with(helper)
    _redirect(os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.argv = ["dbt", *request["arguments"]]
    if any(
        "MACRO_DEBUGGING" in name.replace("-", "_").upper() for name in (*sys.argv, *os.environ)
    ):
        importlib.import_module("dbt_common.clients.jinja").template_cache.clear()


def _redirect(output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(output)


def _import(adapters: Sequence[str]) -> set[str]:
    plain = os.environ.__class__
    RecordedEnviron.names = set()
    os.environ.__class__ = RecordedEnviron
    gc.disable()  # modules stay
    try:
        importlib.import_module("dbt.cli.main")
        for adapter in adapters:
            with suppress(Exception):  # dbt itself says so, where people look
                importlib.import_module(f"dbt.adapters.{adapter}")
    finally:
        os.environ.__class__ = plain
        gc.enable()
        gc.freeze()
    return RecordedEnviron.names


def main() -> None:
    """Serve, and in each fork run dbt."""
    adapters = sys.argv[1:]
    channel = socket.socket(fileno=os.dup(0))
    _redirect(os.open(os.devnull, os.O_WRONLY))
    helper = Helper(channel, adapters)
    own = os.getpid()
    try:
        names = _import(adapters)
    except Exception as e:  # noqa: BLE001  # told, and steps run without it
        helper.say(refused=f"{type(e).__name__}: {e}")
        return
    helper.say(names=sorted(names))
    request = helper.serve()
    if request is None:
        helper.end_steps()
        return
    _become(request, own)
    install()
    helper.memory.install()
    gc.set_threshold(_GARBAGE, 20, 20)
    importlib.import_module("dbt.cli.main").cli(prog_name="dbt")
