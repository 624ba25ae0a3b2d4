"""How long after its end a run is seen to have ended, and how many requests that takes.

A run is triggered and watched through a fake API in place of the network, on a simulated clock on
which requests take no time. `wait_seconds` is 10, the default of both, and of the job no earlier
runs are known. Until the run has ended all answers are alike, so the times of the polls don't
depend on when it ends: from one watched run it is known when each earlier end would have been seen.
The end is swept in steps of 10 ms over the 10 s around each length, a full period of the helper's
polls, so that no length is in luck with the phase. All requests count: trigger, polls, and what is
read of a run that has ended.
"""

from collections.abc import Iterator
from typing import Final

from .contenders import run_helper, run_ours
from .fake_api import FAILURE, SILENT_FAILURE, SUCCESS, Ending
from .sweep import HEADER, Comparison, swept
from .text import reach, table, title

PERIOD: Final = 10.0
STEP: Final = 0.01
LENGTHS: Final = {
    "5 s": 5,
    "10 s": 10,
    "15 s": 15,
    "20 s": 20,
    "30 s": 30,
    "1 min": 60,
    "2 min": 120,
    "3 min": 180,
    "5 min": 300,
    "10 min": 600,
    "30 min": 1800,
    "1 h": 3600,
    "4 h": 14400,
}
SHORT: Final = 30
"""Longest run, in seconds, for which the delay is to be at most a fifth of the helper's."""
MAX_EXTRA: Final = 50
FAILED_LENGTH: Final = 600
"""Length of the failed runs: all intervals between polls have grown to 10 s by then."""


def compare(length: float, ending: Ending = SUCCESS) -> Comparison:
    """Sweeps the end around a length with both."""
    first = max(0.0, length - PERIOD / 2) + STEP / 2
    ends = [first + i * STEP for i in range(round(PERIOD / STEP))]
    return Comparison(swept(run_ours, ends, ending), swept(run_helper, ends, ending))


def verdicts(successes: dict[str, Comparison], failures: list[Comparison]) -> Iterator[str]:
    """Yields what was reached."""
    short = max(c.ratio for name, c in successes.items() if LENGTHS[name] <= SHORT)
    most = max(c.ratio for c in successes.values())
    extra = max(c.most_extra for c in [*successes.values(), *failures])
    yield reach(
        f"up to {SHORT} s, mean delay at most 0.20 of the helper's: {short:.2f}",
        holds=short <= 1 / 5,
    )
    yield reach(f"mean delay for no length above the helper's: {most:.2f}", holds=most <= 1)
    yield reach(f"at most {MAX_EXTRA} more requests for any run: {extra}", holds=extra <= MAX_EXTRA)


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title("Delay between a run's end and its detection, requests per run")
    successes = {name: compare(length) for name, length in LENGTHS.items()}
    failures = {
        f"{FAILED_LENGTH // 60} min, {ending.name}": compare(FAILED_LENGTH, ending)
        for ending in (FAILURE, SILENT_FAILURE)
    }
    yield from table(HEADER, [c.row(name) for name, c in {**successes, **failures}.items()])
    yield from verdicts(successes, [*failures.values()])
