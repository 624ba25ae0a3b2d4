"""When to look at a run: pure functions of the time and of how long earlier runs took."""

import math
from collections.abc import Sequence
from statistics import median, pstdev
from typing import Final, NamedTuple

MIN_INTERVAL: Final = 0.1
"""Seconds between two looks at least: more would flood the API."""

MAX_SPARSE: Final = 50.0
"""Seconds between two looks at most while a run can't have ended yet. It may fail at any time."""

DENSITY: Final = 2.5
"""Seconds between two looks where runs usually end, for a mean delay of less than 2 s."""

REACH: Final = 2.5
"""How many standard deviations around the usual time count as the time at which runs end."""


class UsualTimes(NamedTuple):
    """How long a job's last successful runs waited in the queue and ran, in seconds.

    Attributes:
        queued: Median time in the queue.
        ran: Median run time.
        spread: Standard deviation of the run time, at least 5 % of it and half a second.
    """

    queued: float
    ran: float
    spread: float

    @classmethod
    def of(cls, queued: Sequence[float], ran: Sequence[float]) -> "UsualTimes | None":
        """Returns the usual times of these runs, None if they are too few to tell."""
        if len(ran) < 3:  # noqa: PLR2004  # two can't tell a usual time from a chance
            return None
        usual = median(ran)
        # The API's durations are whole seconds.
        return cls(median(queued), usual, max(pstdev(ran), usual / 20, 0.5))

    def is_much_exceeded_by(self, ran: float) -> bool:
        """Tells whether a run took far longer than usual."""
        return ran > max(1.5 * self.ran, self.ran + 4 * self.spread)


def growing_interval(waited: float, wait_seconds: float) -> float:
    """Returns the seconds until the next look at a run of which nothing is known.

    A seventeenth of the time waited, so that the end of a run is seen within 6 % of its time, but
    at least 1 s and at most `wait_seconds`. With the default of 10 s no run costs more than 41
    looks more than looking every 10 s would.

    Args:
        waited: Seconds since the wait began.
        wait_seconds: The longest interval.
    """
    return max(MIN_INTERVAL, min(wait_seconds, max(1.0, waited / 17)))


def poll_interval(
    waited: float, wait_seconds: float, ran: float = 0.0, usual: UsualTimes | None = None
) -> float:
    """Returns the seconds until the next look at a run.

    Args:
        waited: Seconds since the wait began.
        wait_seconds: The longest interval, but for the time in which the run can't end yet.
        ran: Seconds since the run has started, 0 while it is queued.
        usual: How long the job's runs usually take.
    """
    plain = growing_interval(waited, wait_seconds)
    if usual is None or ran > usual.ran + REACH * usual.spread:
        return plain
    until_ends = usual.ran - REACH * usual.spread - ran
    if until_ends > 0:
        return max(MIN_INTERVAL, min(until_ends, max(MAX_SPARSE, wait_seconds)))
    # The best use of a given number of looks: as dense as the root of the density of the ends.
    before = usual.ran - ran
    interval = DENSITY * math.exp((before / usual.spread) ** 2 / 4)
    return max(MIN_INTERVAL, min(interval, max(DENSITY, before / 2), wait_seconds))
