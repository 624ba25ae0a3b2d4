"""The delay and the requests where it is known how long earlier runs of the job took.

As in `detection`, but the API lists 20 earlier runs whose durations scatter by 10 % around the
length, and the ends scatter as they do. Ten such lists are drawn, so that none is in luck.

Below, runs of the same job that end when they usually don't: far too early, as a failed run may,
and far too late.
"""

import random
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Final

from .contenders import run_helper, run_ours
from .sweep import HEADER, Comparison, Sweep, swept
from .text import reach, table, title

LENGTHS: Final = {
    "1 min": 60,
    "2 min": 120,
    "5 min": 300,
    "10 min": 600,
    "30 min": 1800,
    "1 h": 3600,
}
SCATTER: Final = 0.1
LISTS: Final = 10
EARLIER_RUNS: Final = 20
ENDS: Final = 1000
MAX_DELAY: Final = 2.0


def scattered(length: float) -> list[float]:
    """Returns ends that scatter around a length."""
    durations = NormalDist(length, SCATTER * length)
    return [durations.inv_cdf((i + 0.5) / ENDS) for i in range(ENDS)]


def evenly(first: float, last: float) -> list[float]:
    """Returns ends from the first to the last."""
    return [first + (last - first) * (i + 0.5) / ENDS for i in range(ENDS)]


def compare(length: float, ends: Sequence[float]) -> Comparison:
    """Sweeps the end of runs of a job that is known to take a length."""
    chance = random.Random(length)  # noqa: S311  # the same in each run of the benchmarks
    sweeps = [
        swept(
            run_ours,
            ends,
            history=[chance.gauss(length, SCATTER * length) for _ in range(EARLIER_RUNS)],
        )
        for _ in range(LISTS)
    ]
    ours = Sweep(
        [delay for sweep in sweeps for delay in sweep.delays],
        [count for sweep in sweeps for count in sweep.requests],
    )
    helper = swept(run_helper, ends)
    return Comparison(ours, Sweep([*helper.delays] * LISTS, [*helper.requests] * LISTS))


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title("The same, where it is known how long earlier runs took")
    usual = {name: compare(length, scattered(length)) for name, length in LENGTHS.items()}
    unusual = {
        "10 min, ends in the first 7 min": compare(600, evenly(0, 420)),
        "10 min, ends after 15 to 20 min": compare(600, evenly(900, 1200)),
    }
    yield from table(HEADER, [c.row(name) for name, c in {**usual, **unusual}.items()])
    delay = max(c.ours.mean_delay for c in usual.values())
    extra = max(c.ours.mean_requests - c.helper.mean_requests for c in usual.values())
    most_extra = max(c.most_extra for c in [*usual.values(), *unusual.values()])
    ratio = max(c.ratio for c in unusual.values())
    yield reach(f"mean delay at most {MAX_DELAY:.0f} s: {delay:.3f} s", holds=delay <= MAX_DELAY)
    yield reach(f"requests in the mean not above the helper's: {extra:+.1f}", holds=extra <= 0)
    yield f"in return: up to {most_extra} more requests for a run"
    yield f"in return: mean delay up to {ratio:.2f} of the helper's at an unusual time"
