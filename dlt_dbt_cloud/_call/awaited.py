"""Calls that are awaited: side by side in one event loop, with few threads and shared polls."""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from typing_extensions import Self

from dlt_dbt_cloud._follow.shared import SharedPolls
from dlt_dbt_cloud._io import TICK, OnClock, check_deadline, in_thread, no_answer
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration

P = ParamSpec("P")
T = TypeVar("T")

IS_AWAITED: Final = ContextVar("IS_AWAITED", default=False)
"""Whether the call comes from `dlt_dbt_cloud.aio`."""


@dataclass(frozen=True)
class Asyncio(OnClock):
    """Waits in an event loop. Requests run in at most four threads.

    Attributes:
        slots: Limits the threads.
    """

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    def last(self, seconds: float) -> Self:
        """Returns an IO for so many seconds. A task that was cancelled may still await."""
        return replace(self, deadline=self.now() + seconds)

    async def sleep(self, seconds: float, *, is_poll: bool = False) -> None:
        """Sleeps, at most until the deadline."""
        now, left = self.now(), self.left(seconds)
        left = common_time(now, left) - now if is_poll else left
        await asyncio.sleep(0.0 if self.clock.skip(left) else left)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a request returns, made in a thread or, to share it, by a coroutine."""
        check_deadline(self)
        if inspect.iscoroutinefunction(function):
            return await self._within(function(*args, **kwargs))
        with suppress(asyncio.TimeoutError):  # not the builtin one before Python 3.11
            await asyncio.wait_for(self.slots.acquire(), self.deadline - self.now())
        check_deadline(self)
        try:
            return await self._within(asyncio.wrap_future(in_thread(function, *args, **kwargs)))
        finally:
            self.slots.release()

    async def _within(self, answer: Awaitable[T]) -> T:
        left = self.left(self.request_timeout)
        try:
            return await asyncio.wait_for(answer, left)
        except asyncio.TimeoutError:
            raise no_answer(left) from None


def common_time(now: float, pause: float) -> float:
    """Returns the latest time within a pause at which others with about the same pause wake up.

    That is a multiple of the largest power of two, in seconds, that is no longer than the pause. So
    calls with a longer pause wake up together with some of those with a shorter one.
    """
    end = now + pause
    if pause < TICK or math.isinf(end):
        return end
    grid: float = 2.0 ** math.floor(math.log2(pause))
    return end - end % grid


class Loop:
    """What the calls of an event loop share: four threads, and the polls of an account."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(4)
        self._polls: dict[tuple[str, ...], SharedPolls] = {}

    def polls(
        self, io: Asyncio, api: DBTCloudClientV2, config: DBTCloudConfiguration
    ) -> SharedPolls:
        """Returns those of an account."""
        key = (config.base_api_url, str(config.account_id), str(config.api_token))
        return self._polls.setdefault(key, SharedPolls(io, api))


LOOPS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Loop]] = WeakKeyDictionary()
"""Calls share them without knowing each other."""
