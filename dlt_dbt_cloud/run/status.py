"""The statuses of a run, and how long the runs of a job usually take."""

from collections.abc import Sequence
from enum import IntEnum
from statistics import median, pstdev
from typing import Final, NamedTuple


class DBTCloudRunStatus(IntEnum):
    """The statuses that dbt Labs' OpenAPI spec lists. A run may come with another number."""

    QUEUED = 1
    STARTING = 2
    RUNNING = 3
    SUCCESS = 10
    ERROR = 20
    CANCELLED = 30


STATUSES: Final = frozenset(map(int, DBTCloudRunStatus))


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
        """Returns the usual times of these runs, None if there are too few of them."""
        if len(ran) < 3:  # noqa: PLR2004  # two can't tell a usual time from a chance
            return None
        usual = median(ran)
        # The API's durations are whole seconds.
        return cls(median(queued), usual, max(pstdev(ran), usual / 20, 0.5))

    @property
    def in_all(self) -> float:
        """Time from the trigger to the end."""
        return self.queued + self.ran

    def is_much_exceeded_by(self, ran: float) -> bool:
        """Returns True if a run took far longer than usual."""
        return ran > max(1.5 * self.ran, self.ran + 4 * self.spread)
