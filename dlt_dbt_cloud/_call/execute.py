"""Carries out a call: it blocks, or is awaited side by side with others."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from dlt.common.exceptions import SignalReceivedException
from dlt.common.runtime import signals

from dlt_dbt_cloud._call.awaited import IS_AWAITED, LOOPS, Asyncio, Loop
from dlt_dbt_cloud._io import TICK, Blocking, run
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration

T = TypeVar("T")

Program = Callable[..., Coroutine[Any, Any, T]]
"""A function over an IO and an API, with settings and more arguments."""


def execute(
    program: Program[T],
    config: DBTCloudConfiguration,
    stop: threading.Event | None,
    *args: Any,
) -> T:
    """Returns what a program returns, or the program itself if it is awaited."""
    api = DBTCloudClientV2(credentials=config, outage_timeout=0)  # the programs retry
    if IS_AWAITED.get():
        if stop is not None:
            raise TypeError("`stop` is for calls in threads. Cancel the task of an awaited one.")
        loop = LOOPS.setdefault(asyncio.get_running_loop(), Loop())
        io = Asyncio(config.request_timeout, slots=loop.slots)
        return cast("T", program(io, api, config, *args, polls=loop.polls(io, api, config)))
    with intercepted_signals():
        return run(program(Blocking(config.request_timeout, stop), api, config, *args))


@contextmanager
def intercepted_signals() -> Iterator[None]:
    """Lets dlt note signals, for calls in all threads."""
    with signals.intercepted_signals():
        try:
            yield
        except SignalReceivedException:
            # dlt forgets the signal when this thread leaves: calls in others must see it first.
            time.sleep(2 * TICK)
            raise
