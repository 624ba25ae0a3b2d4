"""How a call is ended from outside: real signals in a process of its own, a real stalled socket."""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context
from typing import Any

import pytest
from typing_extensions import Self

from dlt_dbt_cloud import (
    DBTCloudStoppedException,
    DBTCloudWaitTimeoutException,
    run_dbt_cloud_job,
)
from tests.follow.script import script
from tests.http.wire import Behaviour, WireServer, envelope, http, stall, trickle
from tests.utils import JOB_ID, RUN_ID, TOKEN, configured, list_of, sample

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["tests.follow.script"])
"""Starts processes in no time: it forks them from one that has imported the package."""


class Cloud(WireServer):
    """A dbt Cloud with a run in progress. It accepts some requests and never answers them.

    Args:
        stalls: What is in the first line of the requests that stall.
        how: What it does instead of an answer.

    Attributes:
        stalled: Set when such a request came.
        cancels: How many times the run was cancelled.
    """

    def __init__(self, *stalls: str, how: Behaviour = stall) -> None:
        super().__init__(self._answer)
        self._stalls, self._how = stalls, how
        self._run = {**sample("run_running")["data"], "created_at": "2026-01-01 00:00:00+00:00"}
        self.stalled = {name: threading.Event() for name in stalls}
        self.cancels = 0

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a job there."""
        account = {"api_token": TOKEN, "account_id": "1", "base_api_url": self.url}
        return {**account, "job_id": str(JOB_ID), "wait_seconds": 0.2}

    def _answer(self, connection: socket.socket) -> None:
        head, _, body = self.requests[-1].partition(b"\r\n\r\n")
        line = head.split(b"\r\n")[0].decode()
        if "POST" in line and "/jobs/" in line:
            self._run["trigger"] = json.loads(body)
        if "/cancel/" in line:
            self.cancels += 1
        for name in self._stalls:
            if name in line:
                self.stalled[name].set()
                self._how(connection)
                return
        if "/cancel/" in line:
            self._run.update(status=30, status_message="Cancelled by user.")
        is_list = "/runs/?" in line
        history = "status=10" in line
        runs = [] if history else [self._run]
        answer = http(json.dumps(list_of(*runs))) if is_list else envelope(self._run)
        connection.sendall(answer)


class Script:
    """The script in a process of its own, in the middle of a stalled request.

    Args:
        cloud: Where it calls.
        name: What it does, see `script`.
        settings: Settings of its calls.
    """

    def __init__(self, cloud: Cloud, name: str = "", **settings: Any) -> None:
        (out, its_out), (err, its_err) = FORKS.Pipe(duplex=False), FORKS.Pipe(duplex=False)
        arguments = (name, {**cloud.settings, **settings}, its_out, its_err)
        self.process = FORKS.Process(target=script, args=arguments)
        with its_out, its_err:
            self.process.start()
        self._out, self._err = (os.fdopen(os.dup(pipe.fileno())) for pipe in (out, err))

    def __enter__(self) -> Self:
        """Runs."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves no process behind."""
        self.process.kill()
        self.process.join()
        self._out.close()
        self._err.close()

    def send(self, number: int) -> None:
        """Sends a signal."""
        assert self.process.pid
        os.kill(self.process.pid, number)

    def signalled(self, number: int, within: float) -> list[str]:
        """Sends a signal, and returns how the calls ended. They must do so in time."""
        start = time.monotonic()
        self.send(number)
        first = self._out.readline()
        assert time.monotonic() - start < within
        outcomes, self.err = (first + self._out.read()).split(), self._err.read()
        self.process.join(10)
        assert self.process.exitcode == 0, self.err
        return outcomes


@pytest.fixture(autouse=True)
def path_of_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the process that is forked find the tests: it starts with the first script."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


REATTACH = f"To reattach: get_dbt_cloud_run_status(run_id={RUN_ID})"
TRIGGER, HISTORY, CANCEL = f"/jobs/{JOB_ID}/run/", "status=10", "/cancel/"
POLL = f"GET /api/v2/accounts/1/runs/{RUN_ID}/"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal(number: int) -> None:
    """Ctrl-C and SIGTERM end a stalled poll within a second, and say where the run is."""
    with Cloud(POLL) as cloud, Script(cloud) as script:
        assert cloud.stalled[POLL].wait(20)
        assert script.signalled(number, within=1) == ["SignalReceivedException"]
        assert script.err.strip().endswith(REATTACH)
        assert cloud.cancels == 0


@pytest.mark.parametrize("phase", [TRIGGER, HISTORY, POLL])
def test_signal_cancels(phase: str) -> None:
    """With `cancel_on_abort` the run is cancelled first, in each phase from the trigger on."""
    with Cloud(phase) as cloud, Script(cloud, cancel_on_abort=True) as script:
        assert cloud.stalled[phase].wait(20)
        assert script.signalled(signal.SIGINT, within=2) == ["SignalReceivedException"]
        assert cloud.cancels == 1
        assert REATTACH not in script.err


def test_cancel_that_stalls() -> None:
    """A cancellation that is not answered ends after 5 s."""
    with Cloud(POLL, CANCEL) as cloud, Script(cloud, cancel_on_abort=True) as script:
        assert cloud.stalled[POLL].wait(20)
        assert script.signalled(signal.SIGTERM, within=6) == ["SignalReceivedException"]
        assert script.err.strip().endswith(REATTACH)


def test_second_signal() -> None:
    """A second signal ends the cancellation at once, and the last line says where the run is."""
    with Cloud(POLL, CANCEL) as cloud, Script(cloud, cancel_on_abort=True) as script:
        assert cloud.stalled[POLL].wait(20)
        script.send(signal.SIGINT)
        assert cloud.stalled[CANCEL].wait(5)
        assert script.signalled(signal.SIGINT, within=1) == ["KeyboardInterrupt"]
        assert script.err.strip().endswith(REATTACH)


@pytest.mark.parametrize("name", ["TimeLimit", "HardTimeLimit"])
def test_time_limit_of_an_engine(name: str) -> None:
    """What a signal handler of others raises ends the call within a second, and cancels."""
    with Cloud(POLL) as cloud, Script(cloud, name, cancel_on_abort=True) as script:
        assert cloud.stalled[POLL].wait(20)
        assert script.signalled(signal.SIGALRM, within=1) == [name]
        assert cloud.cancels == 1


def test_threads_end_with_the_main_thread() -> None:
    """Calls in threads end when the main thread is interrupted within our call."""
    with Cloud(POLL) as cloud, Script(cloud, "threads") as script:
        assert cloud.stalled[POLL].wait(20)
        time.sleep(0.5)  # all of them are in their calls
        assert script.signalled(signal.SIGINT, within=1.5) == ["SignalReceivedException"] * 3


@pytest.mark.parametrize("cancels", [True, False])
def test_stop(cancels: bool) -> None:
    """`stop` ends a call in a thread within a second, and cancels if that is wanted."""
    ended: list[Exception] = []
    stop = threading.Event()

    def call() -> None:
        try:
            run_dbt_cloud_job(configured(**cloud.settings), stop=stop, cancel_on_abort=cancels)
        except DBTCloudStoppedException as error:
            ended.append(error)

    with Cloud(POLL) as cloud:
        thread = threading.Thread(target=call)
        thread.start()
        assert cloud.stalled[POLL].wait(5)
        stop.set()
        thread.join(1)
        assert [type(error) for error in ended] == [DBTCloudStoppedException]
        assert cloud.cancels == cancels


HEAD = b"HTTP/1.1 200 OK\r\n"
SLOW: dict[str, Behaviour] = {
    "no answer": stall,
    "headers": trickle(HEAD + b"X-Long: ", b"x"),
    "body": trickle(HEAD + b"Content-Length: 9999\r\n\r\n", b"x"),
}


@pytest.fixture(params=SLOW)
def slow(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """A dbt Cloud that never comes to the end of an answer to a poll."""
    with Cloud(POLL, how=SLOW[request.param]) as cloud:
        yield cloud


def test_deadline(slow: Cloud) -> None:
    """`wait_timeout` ends the call within a second, whatever the answer to a poll is doing."""
    start = time.monotonic()
    with pytest.raises(DBTCloudWaitTimeoutException, match="Running"):
        run_dbt_cloud_job(configured(**slow.settings), wait_timeout=1)
    assert 1 <= time.monotonic() - start < 2
