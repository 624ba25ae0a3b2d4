"""A script that calls, for a process of its own: it prints how each call ended."""

import os
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

from dlt_dbt_cloud import DBTCloudConfiguration, _call, jobs  # noqa: F401  # whatever calls import

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


class TimeLimit(Exception):
    """What an engine raises in a signal handler."""


class HardTimeLimit(BaseException):
    """The same, but no `Exception`."""


def script(name: str, settings: dict[str, Any], out: Connection, err: Connection) -> None:
    """Calls, in two more threads if the name is `threads`.

    Args:
        name: What the script does: `threads`, or which exception its alarm raises.
        settings: Settings of the calls.
        out: What becomes standard output.
        err: What becomes standard error.
    """
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)

    def alarm(*_: object) -> None:
        raise globals()[name]

    def call() -> None:
        try:
            jobs.run_dbt_cloud_job(DBTCloudConfiguration(**settings))
        except BaseException as error:  # noqa: BLE001  # it is what the test is about
            os.write(1, f"{type(error).__name__}\n".encode())

    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    signal.signal(signal.SIGALRM, alarm)
    before = [signal.getsignal(number) for number in NUMBERS]
    threads = [threading.Thread(target=call) for _ in range(2 if name == "threads" else 0)]
    for thread in threads:
        thread.start()
    call()
    for thread in threads:
        thread.join()
    assert [signal.getsignal(number) for number in NUMBERS] == before
