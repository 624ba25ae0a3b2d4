"""What the program needs of the world: a clock, a sleep and calls.

`_start`, `_follow` and `_report` are `async def` functions over an `IO`. With `Blocking` they never
suspend, so `run` carries them out without an event loop, in ordinary frames. Awaited calls bring a
second IO (`_call.awaited`), the tests a third one, which simulates.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from dlt.common.runtime import signals
from typing_extensions import Self

from dlt_dbt_cloud._io.clock import Clock, current_clock
from dlt_dbt_cloud.exceptions import DBTCloudConnectionException, DBTCloudStoppedException

P = ParamSpec("P")
T = TypeVar("T")

# A child of dlt's logger: it has dlt's level, format and handlers. dlt's own `logger` module drops
# every record until a pipeline exists. A script without one still sees our warnings.
logger: Final = logging.getLogger("dlt.dbt_cloud")

TICK: Final = 0.2
"""Seconds between two checks for a signal: dlt's handler only sets a flag."""


class IO(Protocol):
    """What the program needs of the world."""

    @property
    def deadline(self) -> float:
        """When calls end, on the clock of `now`."""
        ...

    def now(self) -> float:
        """Returns seconds on a clock that never jumps."""
        ...

    def until(self, deadline: float) -> Self:
        """Returns the same with an earlier deadline."""
        ...

    def last(self, seconds: float) -> Self:
        """Returns an IO that ignores the abort of the call, for so many seconds."""
        ...

    async def sleep(self, seconds: float, *, is_poll: bool = False) -> None:
        """Sleeps, at most until the deadline. A poll may come earlier, together with others."""
        ...

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a request returns, or raises if it takes too long."""
        ...


@dataclass(frozen=True)
class OnClock:
    """The base of an IO with a clock: a deadline, and a limit for requests, in real time."""

    request_timeout: float = 60.0
    deadline: float = field(default=math.inf, kw_only=True)
    clock: Clock = field(default_factory=current_clock, kw_only=True)

    def now(self) -> float:
        """Returns seconds on a clock that never jumps back."""
        return self.clock.now()

    def until(self, deadline: float) -> Self:
        """Returns the same with an earlier deadline."""
        return replace(self, deadline=min(deadline, self.deadline))

    def left(self, seconds: float) -> float:
        """Returns the seconds that a sleep or a request may take."""
        return max(0.0, min(seconds, self.deadline - self.now()))


@dataclass(frozen=True)
class Blocking(OnClock):
    """Waits in the calling thread. Requests run in threads of their own.

    A signal, or what a signal handler raises, ends a wait at once, whatever the request is doing.
    In other threads than the main one, dlt's signal flag and `stop` do.

    Attributes:
        stop: Ends the wait when set, from any thread.
        ignores_abort: Whether signals and `stop` are ignored.
    """

    stop: threading.Event | None = None
    ignores_abort: bool = False

    def last(self, seconds: float) -> Self:
        """Returns an IO that ignores the abort, for so many seconds."""
        return replace(self, deadline=self.now() + seconds, ignores_abort=True)

    async def sleep(self, seconds: float, *, is_poll: bool = False) -> None:
        """Sleeps, at most until the deadline."""
        del is_poll
        self._raise_if_aborted()
        if not self.clock.skip(self.left(seconds)):
            self._wait(threading.Event(), seconds)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a request returns."""
        self._raise_if_aborted()
        check_deadline(self)
        done = threading.Event()
        future = in_thread(function, *args, **kwargs)
        future.add_done_callback(lambda _: done.set())
        if not self._wait(done, self.request_timeout):
            raise no_answer(self.left(self.request_timeout))
        return future.result()

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        end = time.monotonic() + self.left(seconds)
        while not event.is_set():
            self._raise_if_aborted()
            left = end - time.monotonic()
            if left <= 0:
                break
            event.wait(min(left, TICK))
        return event.is_set()

    def _raise_if_aborted(self) -> None:
        if self.ignores_abort:
            return
        signals.raise_if_signalled()
        if self.stop and self.stop.is_set():
            raise DBTCloudStoppedException("Stopped by the caller.")


@dataclass(frozen=True)
class Inline(Blocking):
    """Makes requests in the calling thread, a worker that nobody has to wait for."""

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a request returns."""
        self._raise_if_aborted()
        return function(*args, **kwargs)


def run(program: Coroutine[Any, Any, T]) -> T:
    """Returns the result of a program over `Blocking`, which never suspends."""
    try:
        program.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    program.close()
    raise RuntimeError("The program awaits something else than a `Blocking` IO.")


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
    """Calls a function in a daemon thread, which keeps no interpreter from exiting."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # it can't be cancelled any more

    def work() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is awaited
            future.set_exception(error)

    threading.Thread(target=work, name="dlt-dbt-cloud-request", daemon=True).start()
    return future


def check_deadline(io: IO) -> None:
    """Raises after the deadline: no request is sent."""
    if io.now() >= io.deadline:
        raise DBTCloudConnectionException(
            "The deadline has passed.", url="", is_transient=True, may_have_acted=False
        )


def no_answer(seconds: float) -> DBTCloudConnectionException:
    """Returns the exception for a request that took too long."""
    message = f"dbt Cloud gave no answer within {seconds:.0f} s."
    return DBTCloudConnectionException(message, url="", is_transient=True, may_have_acted=True)


async def ask(io: IO, who: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns the answer of something other than dbt Cloud, such as a database.

    Raises:
        DBTCloudConnectionException: The answer takes too long.
    """
    try:
        return await io.call(function, *args, **kwargs)
    except DBTCloudConnectionException:
        raise DBTCloudConnectionException(
            f"{who} gave no answer in time.", url="", is_transient=True, may_have_acted=False
        ) from None
