"""Simulates: `python -m tests.simulation`, or one schedule again with `--seed` or `--choices`."""

import argparse
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial

from tests.simulation.choices import Choices
from tests.simulation.explore import Findings, at_random, of_seed, simulate, story, whole
from tests.simulation.mutants import survivors
from tests.simulation.small_worlds import SMALL

PROCESSES = 2
CHUNK = 250
MAX_SHOWN = 10


def main() -> int:
    """Returns 0 if all laws hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=20_000, help="number of random schedules")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, help="replay the schedule of a seed")
    parser.add_argument("--small", type=int, help="replay a schedule of a small world")
    parser.add_argument("--choices", default="", help="... with these choices")
    parser.add_argument(
        "--mutants", nargs="?", const="", help="show which mutants survive, of a rule or file"
    )
    parser.add_argument("--first-failure", action="store_true", help="stop at the first failure")
    options = parser.parse_args()
    if options.mutants is not None:
        return survivors(options.mutants)
    if options.seed is not None:
        return _replayed(*of_seed(options.seed))
    if options.small is not None:
        choices = [int(choice) for choice in options.choices.split(",") if choice]
        return _replayed(SMALL[options.small], Choices(prefix=choices))
    if options.first_failure:
        return _first_failure(options.schedules)
    return _all(options.first_seed, options.schedules)


def _replayed(make: object, choices: Choices) -> int:
    simulation, broken = simulate(make, choices)  # type: ignore[arg-type]
    _write(story(simulation))
    _write("\n".join(broken) or "All laws hold.")
    return len(broken)


def _first_failure(schedules: int) -> int:
    """Prints the first law that is broken, and returns 0 if none is."""
    searches = (partial(whole, number, limit=120, stop_at=1) for number in range(len(SMALL)))
    for search in (partial(at_random, range(schedules), stop_at=1), *searches):
        for how, broken in search().failures:
            _write(f"{broken[1][:120]} ({how[:60]})")
            return 1
    return 0


def _all(first: int, schedules: int) -> int:
    started, total = time.perf_counter(), Findings()
    with ProcessPoolExecutor(PROCESSES) as pool:
        jobs: list[Future[Findings]] = [
            pool.submit(whole, number, part=part, parts=PROCESSES)
            for number in range(len(SMALL))
            for part in range(PROCESSES)
        ]
        seeds = range(first, first + schedules)
        jobs += [
            pool.submit(at_random, seeds[start : start + CHUNK])
            for start in range(0, schedules, CHUNK)
        ]
        for job in jobs:
            total.add(job.result())
    for how, broken in total.failures[:MAX_SHOWN]:
        _write(f"python -m tests.simulation {how}")
        _write("\n".join(f"  {line}" for line in broken))
    for name, number in total.by_world.items():
        _write(f"{number:7,} schedules of world {name!r}")
    seconds = time.perf_counter() - started
    _write(
        f"{total.schedules:,} schedules with {total.events:,} operations and {len(total.states):,}"
        f" states in {seconds:.0f} s: {len(total.failures)} break a law."
    )
    return min(1, len(total.failures))


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
