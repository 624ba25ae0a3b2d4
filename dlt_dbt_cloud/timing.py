"""Time: a clock, a sleep that signals end, and riding out trouble that passes."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from dlt.common.runtime import signals

from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.log import logger

R = TypeVar("R")


class Timer:
    """The clock and the sleep of everything that waits. Tests pass one that does not wait."""

    def now(self) -> float:
        """Returns seconds on a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleeps, and ends at once when dlt has received SIGINT or SIGTERM.

        Raises:
            SignalReceivedException: If a signal was received.
        """
        signals.raise_if_signalled()
        signals.sleep(seconds)
        signals.raise_if_signalled()


def backoff() -> Iterator[float]:
    """Yields the seconds between attempts: 1, 2, 4 … 32 and then always 32."""
    seconds = 1.0
    while True:
        yield seconds
        seconds = min(2 * seconds, 32.0)


def ride_out(call: Callable[[], R], timer: Timer, deadline: float) -> R:
    """Returns the result of `call`, repeated while it fails in a way that passes.

    Args:
        call: A request that may be repeated: a read, not a trigger.
        timer: Clock and sleep.
        deadline: Reading of the clock after which no further attempt is made.

    Raises:
        DBTCloudAPIException: The last one, at the deadline; at once, one that does not pass.
    """
    for seconds in backoff():
        try:
            return call()
        except DBTCloudAPIException as error:
            pause = max(seconds, error.retry_after or 0)
            if not error.is_transient or timer.now() + pause > deadline:
                raise
            logger.warning("%s Trying again in %d s.", error, pause)
        timer.sleep(pause)
    raise AssertionError  # backoff() never ends
