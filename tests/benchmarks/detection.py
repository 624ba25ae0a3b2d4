"""How long after its end a run is seen to have ended, and how many requests that takes.

A run is triggered and watched through a fake API in place of the network, on a simulated clock on
which requests take no time. `wait_seconds` is 10, the default of both. Until the run has ended all
answers are alike, so from one watched run it is known when each earlier end would have been seen.
All requests count: trigger, polls, and what is read of a run that has ended.

Of a new job no earlier runs are known. The ends are all those in the 10 s around a length, a full
period of the helper's polls, so that no length is in luck with the phase. Of a known job the API
lists 20 earlier runs whose durations scatter by 10 %, and the ends scatter as they do, or are far
too early, as those of failed runs may be, or far too late. Ten such lists are drawn.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist
from typing import Final

from .contenders import run_helper, run_ours
from .fake_api import FAILURE, SILENT_FAILURE, SUCCESS, Ending
from .sweep import HEADER, Comparison, Sweep, swept
from .text import reach, table, title

PERIOD: Final = 10.0
ENDS: Final = 1000
LISTS: Final = 10
SHORT: Final = 30
"""Longest run, in seconds, for which the delay is to be at most a fifth of the helper's."""

MAX_EXTRA: Final = 60
MAX_DELAY: Final = 2.0


def evenly(first: float, last: float) -> list[float]:
    """Returns ends from the first to the last."""
    return [first + (last - first) * (i + 0.5) / ENDS for i in range(ENDS)]


def scattered(length: float) -> list[float]:
    """Returns ends that scatter around a length."""
    durations = NormalDist(length, length / 10)
    return [durations.inv_cdf((i + 0.5) / ENDS) for i in range(ENDS)]


def of_new_job(length: float, ending: Ending = SUCCESS) -> Comparison:
    """Sweeps the end around a length."""
    first = max(0.0, length - PERIOD / 2)
    ends = evenly(first, first + PERIOD)
    return Comparison(swept(run_ours, ends, ending), swept(run_helper, ends, ending))


def of_known_job(length: float, ends: Sequence[float]) -> Comparison:
    """Sweeps the end of a run of a job that is known to take a length."""
    chance = random.Random(length)  # noqa: S311  # the same in each run of the benchmarks
    lists = [[chance.gauss(length, length / 10) for _ in range(20)] for _ in range(LISTS)]
    sweeps = [swept(run_ours, ends, history=durations) for durations in lists]
    ours = Sweep(
        [delay for sweep in sweeps for delay in sweep.delays],
        [count for sweep in sweeps for count in sweep.requests],
    )
    helper = swept(run_helper, ends)
    return Comparison(ours, Sweep([*helper.delays] * LISTS, [*helper.requests] * LISTS))


CASES: Final[dict[str, Callable[[], Comparison]]] = {
    "new job, 5 s": lambda: of_new_job(5),
    "new job, 15 s": lambda: of_new_job(15),
    "new job, 30 s": lambda: of_new_job(30),
    "new job, 2 min": lambda: of_new_job(120),
    "new job, 10 min": lambda: of_new_job(600),
    "new job, 1 h": lambda: of_new_job(3600),
    "failed after 10 min": lambda: of_new_job(600, FAILURE),
    "failed, no logs, no results": lambda: of_new_job(600, SILENT_FAILURE),
    "usually 1 min": lambda: of_known_job(60, scattered(60)),
    "usually 10 min": lambda: of_known_job(600, scattered(600)),
    "usually 1 h": lambda: of_known_job(3600, scattered(3600)),
    "usually 10 min, ends in the first 7": lambda: of_known_job(600, evenly(0, 420)),
    "usually 10 min, takes 15 to 20": lambda: of_known_job(600, evenly(900, 1200)),
}


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title("Delay between a run's end and its detection, requests per run")
    found = {name: compare() for name, compare in CASES.items()}
    yield from table(HEADER, [comparison.row(name) for name, comparison in found.items()])
    short = max(found[f"new job, {seconds} s"].ratio for seconds in (5, 15, SHORT))
    new = max(it.ratio for name, it in found.items() if name.startswith("new"))
    usual = [found[f"usually {length}"] for length in ("1 min", "10 min", "1 h")]
    delay = max(it.ours.mean_delay for it in usual)
    extra = max(it.most_extra for it in found.values())
    fifth = f"up to {SHORT} s, mean delay at most 0.20 of the helper's: {short:.2f}"
    yield reach(fifth, holds=short <= 1 / 5)
    yield reach(f"mean delay of a new job not above the helper's: {new:.2f}", holds=new <= 1)
    yield reach(f"usual ends known within 2 s on average: {delay:.2f} s", holds=delay <= MAX_DELAY)
    yield reach(f"at most {MAX_EXTRA} more requests for any run: {extra}", holds=extra <= MAX_EXTRA)
