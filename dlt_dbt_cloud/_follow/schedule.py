"""When to poll a run: a pure function of the time and of how long earlier runs took."""

import math
from typing import Final

from dlt_dbt_cloud.run import UsualTimes

MIN_INTERVAL: Final = 0.1
"""Minimum seconds between two polls: more polls would flood the API."""

DENSITY: Final = 2.5
"""Seconds between two polls when runs usually end: a mean delay of less than 2 s. More if run times
scatter by more than an eighth of the usual time: then there is no usual end.
"""

REACH: Final = 2.5
"""How many standard deviations around the usual time count as the time at which runs end."""

SHORT: Final = 30.0
"""Runs that usually take at most so many seconds are polled every second or two, whatever its
history.
"""

LOOKS: Final = (0.0, 1.0, 3.0, 7.0, 15.0, 30.0, 60.0)
"""Seconds after the trigger at which to look for duplicates, which a list may show late."""


def poll_interval(
    waited: float, wait_seconds: float, ran: float = 0.0, usual: UsualTimes | None = None
) -> float:
    """Returns the seconds until the next poll of a run that has run for `ran` seconds.

    If nothing is known, that is a seventeenth of the time waited: the end of a run is known within
    6 % of its duration. If runs of the job usually take longer, it is `wait_seconds` until they
    begin to end. Then polls are as dense as the square root of the density of the ends: that gives
    the shortest delay for a given number of polls.
    """
    interval = max(1.0, waited / 17)
    if usual and usual.ran > SHORT and ran <= usual.ran + REACH * usual.spread:
        before = usual.ran - ran
        until_ends = before - REACH * usual.spread
        density = DENSITY * max(1.0, 8 * usual.spread / usual.ran)
        dense = density * math.exp(min(50.0, (before / usual.spread) ** 2 / 4))
        dense = min(dense, max(density, before / 2))
        interval = until_ends if until_ends > 0 else dense
    return max(MIN_INTERVAL, min(interval, wait_seconds))


def next_look(waited: float) -> float:
    """Returns when to look for duplicates next, in seconds since the trigger."""
    later = (at for at in LOOKS if at > waited)
    return next(later, waited + 2 * LOOKS[-1])
