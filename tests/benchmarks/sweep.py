"""A sweep of the time at which a run ends."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from .fake_api import SUCCESS, Ending, FakeAPI

HEADER: Final = (
    "length of run",
    "ours: mean",
    "worst",
    "requests",
    "helper: mean",
    "worst",
    "requests",
    "ratio of means",
    "extra requests",
)


@dataclass(frozen=True)
class Sweep:
    """What each end time led to.

    Attributes:
        delays: Seconds from the end to the answer that told it.
        requests: How many there were for the run.
    """

    delays: Sequence[float]
    requests: Sequence[int]

    @property
    def mean_delay(self) -> float:
        """Seconds, in the mean."""
        return fmean(self.delays)

    @property
    def mean_requests(self) -> float:
        """Requests for a run, in the mean."""
        return fmean(self.requests)

    def cells(self) -> list[str]:
        """Returns the cells of a row of a table."""
        worst = max(self.delays)
        return [f"{self.mean_delay:.2f} s", f"{worst:.2f} s", f"{self.mean_requests:.1f}"]


@dataclass(frozen=True)
class Comparison:
    """A sweep with each contender, over the same end times."""

    ours: Sweep
    helper: Sweep

    @property
    def ratio(self) -> float:
        """Our mean delay to the helper's, as far as the steps of the sweep resolve it."""
        return round(self.ours.mean_delay / self.helper.mean_delay, 2)

    @property
    def most_extra(self) -> int:
        """The most requests that we make more than the helper, of all end times."""
        pairs = zip(self.ours.requests, self.helper.requests, strict=True)
        return max(ours - helper for ours, helper in pairs)

    def row(self, name: str) -> list[str]:
        """Returns a row of a table."""
        sweeps = [*self.ours.cells(), *self.helper.cells()]
        return [name, *sweeps, f"{self.ratio:.2f}", f"{self.most_extra:+}"]


def swept(
    contender: Callable[[FakeAPI], None],
    ends: Sequence[float],
    ending: Ending = SUCCESS,
    history: Sequence[float] = (),
) -> Sweep:
    """Has a run watched to the last of the ends, and looks up when each would be seen."""
    api = FakeAPI(max(ends), ending, history)
    with api.plugged_in():
        contender(api)
    others = api.requests - len(api.polls)
    seen = [bisect_left(api.polls, end) for end in ends]
    delays = [api.polls[poll] - end for poll, end in zip(seen, ends, strict=True)]
    return Sweep(delays, [poll + 1 + others for poll in seen])
