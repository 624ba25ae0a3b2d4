"""Virtual time: a scheduler that interleaves callers, and the IO through which they wait."""

import heapq
import math
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from typing_extensions import Self

from dlt_dbt_cloud._io import check_deadline, no_answer
from dlt_dbt_cloud.exceptions import DBTCloudException, DBTCloudStoppedException
from tests.simulation.choices import Choices

P = ParamSpec("P")
T = TypeVar("T")

REQUEST_TIMEOUT = 60.0
MAX_EVENTS = 20_000
WRITES = {"post", "post_run", "post_retry", "cancel_run"}


class Killed(BaseException):
    """The process of a caller has died. No handler may do anything any more."""


class Stalled(Exception):
    """A request is never answered."""


class Unending(Exception):
    """A schedule does not end."""


class Scheduler:
    """Carries out events in the order of virtual time, those at the same time in any order."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = 0.0
        self.story: list[tuple[float, str, str]] = []
        self.current: Caller | None = None
        self._events: list[tuple[float, int, bool, Callable[..., Any], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, time: float, action: Callable[..., Any], *args: Any, writes: bool = False) -> None:
        """Plans an event."""
        self._count += 1
        at = round(max(time, self.now), 6)
        if time > self.now >= at:  # no wait is too short for the clock to move
            at = round(self.now + 1e-6, 6)
        entry = (at, self._count, writes, action, args)
        heapq.heappush(self._events, entry)

    def tell(self, who: str, what: str) -> None:
        """Adds a line to the story of the schedule."""
        self.story.append((self.now, who, what))

    def run(self) -> None:
        """Carries out all events."""
        for _ in range(MAX_EVENTS):
            if not self._events:
                return
            self.now, _, _, action, args = self._next()
            action(*args)
        raise Unending(f"The schedule has not ended after {MAX_EVENTS} events.")

    def _next(self) -> tuple[float, int, bool, Callable[..., Any], tuple[Any, ...]]:
        event = heapq.heappop(self._events)
        if not self.choices.is_exhaustive or not self._events or self._events[0][0] > event[0]:
            return event
        ties = [event]
        while self._events and self._events[0][0] == event[0]:
            ties.append(heapq.heappop(self._events))
        # Reads commute: only where something is written does the order matter.
        acts = [tie for tie in ties if getattr(tie[3], "__name__", "") == "act"]
        if len(acts) > 1 and any(tie[2] for tie in acts):
            event = self.choices.pick(acts)
        for tie in ties:
            if tie is not event:
                heapq.heappush(self._events, tie)
        return event


@dataclass(eq=False)
class Request:
    """A request of a caller, and what became of it."""

    sent: float
    op: str = ""
    target: Any = None
    fate: str = ""
    value: Any = None
    error: Exception | None = None
    acted: float = math.inf
    arrived: float = math.inf
    """When the caller got the answer, infinite if it did not."""
    is_last_word: bool = False


class _Suspend:
    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass(eq=False)
class Caller:
    """A process that runs a program."""

    scheduler: Scheduler
    name: str
    spec: Any
    latency: Callable[[], float]
    requests: list[Request] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)
    awaits: int = 0
    started: float = math.inf
    ended: float = math.inf
    result: Any = None
    error: BaseException | None = None
    is_killed: bool = False
    aborted: float = math.inf
    abort_error: BaseException | None = None
    acting: Request | None = None
    on_await: Callable[["Caller"], None] | None = None
    on_end: Callable[["Caller"], None] | None = None
    _program: Coroutine[Any, Any, Any] | None = None
    _waits_for: Request | None = None
    _token: int = 0
    _ignores: bool = False
    _is_suspended: bool = False
    _is_sticky: bool = False

    def begin(self, program: Coroutine[Any, Any, Any]) -> None:
        """Starts the program."""
        self._program = program
        self.started = self.scheduler.now
        self.scheduler.tell(self.name, "begins")
        self._resume(None)

    @property
    def is_over(self) -> bool:
        """Whether the program has ended."""
        return self.ended < math.inf

    def kill(self) -> None:
        """Ends the process at once: `kill -9`."""
        if self.is_over:
            return
        self.is_killed, self.ended = True, self.scheduler.now
        self.scheduler.tell(self.name, "is killed")
        self.scheduler.at(self.scheduler.now, self._close)

    def _close(self) -> None:
        self.scheduler.current = None
        assert self._program
        try:
            self._program.close()
        except (Killed, RuntimeError):  # it awaited something
            self.scheduler.tell(self.name, "AWAITED AFTER ITS DEATH")
        if self.on_end:
            self.on_end(self)

    def abort(self, error: BaseException, *, is_sticky: bool) -> None:
        """Raises an error where the program waits: a signal, a time limit.

        Args:
            error: What is raised.
            is_sticky: Whether it is raised again at each further wait, like a signal's flag.
        """
        if self.is_over:
            return
        is_second = self.aborted < math.inf
        if not is_second:
            self.aborted = self.scheduler.now
        self.abort_error, self._is_sticky = error, is_sticky
        self.scheduler.tell(self.name, f"is aborted: {error!r}")
        if self._is_suspended and (is_second or not self._ignores):
            self._raise_abort()

    def _raise_abort(self) -> None:
        error = self.abort_error
        if not self._is_sticky:
            self.abort_error = None
        self._resume(error)

    def check(self, *, ignores: bool) -> None:
        """Raises what ends the call."""
        if self.is_killed:
            raise Killed
        if self.abort_error and not ignores:
            error = self.abort_error
            if not self._is_sticky:
                self.abort_error = None
            raise error

    async def wait(self, end: float, request: Request | None, *, ignores: bool) -> None:
        """Suspends the program until a time, or until a request is answered."""
        self.awaits += 1
        self._token += 1
        self._waits_for, self._ignores = request, ignores
        if end < math.inf:
            self.scheduler.at(end, self._wake, self._token)
        if self.on_await:
            self.on_await(self)
        await _Suspend()

    def send(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Request:
        """Sends a request. It acts and is answered whether anybody waits for it or not."""
        request = Request(self.scheduler.now, is_last_word=self._ignores)
        self.requests.append(request)
        time = self.scheduler.now + self.latency()
        writes = getattr(function, "__name__", "") in WRITES
        self.scheduler.at(time, self.act, request, function, args, kwargs, writes=writes)
        return request

    def act(self, request: Request, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        """Lets the API act on a request."""
        self.acting, request.acted = request, self.scheduler.now
        try:
            request.value = function(*args, **kwargs)
        except Stalled:
            return
        except DBTCloudException as error:
            request.error = error
        self.scheduler.at(self.scheduler.now + self.latency(), self._arrive, request)

    def _arrive(self, request: Request) -> None:
        if not self.is_over and self._waits_for is request:
            request.arrived = self.scheduler.now
            self._resume(None)

    def _wake(self, token: int) -> None:
        if not self.is_over and self._token == token and self._is_suspended:
            self._resume(None)

    def _resume(self, error: BaseException | None) -> None:
        assert self._program
        self._is_suspended, self._waits_for = False, None
        self._token += 1
        self.scheduler.current = self
        try:
            if error:
                self._program.throw(error)
            else:
                self._program.send(None)
            self._is_suspended = True
        except StopIteration as stop:
            self.result = stop.value
            self._end()
        except BaseException as failure:  # noqa: BLE001  # all end the call, and are judged later
            self.error = failure
            self._end()
        finally:
            self.scheduler.current = None

    def _end(self) -> None:
        self.ended = self.scheduler.now
        run = getattr(self.result, "id", None)
        outcome = f"returns run {run}" if self.error is None else f"raises {self.error!r}"
        self.scheduler.tell(self.name, outcome)
        if self.on_end:
            self.on_end(self)


@dataclass(frozen=True)
class SimulatedIO:
    """The world of a caller, in virtual time."""

    caller: Caller
    deadline: float = math.inf
    ignores_abort: bool = False

    def now(self) -> float:
        """Returns the virtual time."""
        return self.caller.scheduler.now

    def until(self, deadline: float) -> Self:
        """Returns the same with an earlier deadline."""
        return replace(self, deadline=min(deadline, self.deadline))

    def last(self, seconds: float) -> Self:
        """Returns one that ignores the abort, for so many seconds."""
        return replace(self, deadline=self.now() + seconds, ignores_abort=True)

    async def sleep(self, seconds: float, *, is_poll: bool = False) -> None:
        """Sleeps, at most until the deadline."""
        self.caller.check(ignores=self.ignores_abort)
        end = min(self.now() + seconds, self.deadline)
        if end > self.now():
            await self.caller.wait(end, None, ignores=self.ignores_abort)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a request returns, or raises what it raises."""
        self.caller.check(ignores=self.ignores_abort)
        check_deadline(self)
        started = self.now()
        end = min(started + REQUEST_TIMEOUT, self.deadline)
        request = self.caller.send(function, args, kwargs)
        request.is_last_word = self.ignores_abort
        await self.caller.wait(end, request, ignores=self.ignores_abort)
        if request.arrived == math.inf:
            raise no_answer(end - started)
        if request.error:
            raise request.error
        value: T = request.value
        return value


def stopped() -> DBTCloudStoppedException:
    """Returns what a call raises whose `stop` was set."""
    return DBTCloudStoppedException("Stopped by the caller.")
