"""`python -m tests.engines`: scenarios on real engines, counted in runs of the job."""

import argparse
import atexit
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final, NamedTuple

from tests.engines.airflow_engine import Airflow
from tests.engines.dagster_engine import Dagster
from tests.engines.engine import Engine, EngineWork
from tests.engines.prefect_engine import Prefect
from tests.engines.scenarios import CI, SCENARIOS, Scenario
from tests.engines.table import write_tables

ENGINES: Final[dict[str, type[Engine]]] = {
    "airflow": Airflow,
    "dagster": Dagster,
    "prefect": Prefect,
}


class Outcome(NamedTuple):
    """What came of a scenario.

    Attributes:
        scenario: The scenario.
        client: What ran the job.
        runs: How many runs were created.
        cancelled: How many of them were cancelled.
        shown: What the engine shows in the end.
        seconds: How long it took.
    """

    scenario: Scenario
    client: str
    runs: int
    cancelled: int
    shown: str
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether there are as many runs as there must be."""
        expected = (self.scenario.runs, self.scenario.cancelled)
        return (self.runs, self.cancelled) == expected

    def __str__(self) -> str:
        cancelled = f", {self.cancelled} cancelled" if self.cancelled else ""
        runs = f"{self.runs} run{'' if self.runs == 1 else 's'}{cancelled}"
        return f"{runs if self.is_right else f'**{runs}**'}: {self.shown}"


def play(work: EngineWork) -> Outcome:
    """Plays the scenario of a piece of work."""
    began = time.monotonic()
    try:
        shown = work.scenario.act(work)
    except Exception as error:  # noqa: BLE001  # the others go on
        shown = f"{type(error).__name__}: {error}"
    cloud, seconds = work.cloud, time.monotonic() - began
    return Outcome(work.scenario, work.client, cloud.runs, cloud.cancelled, shown, seconds)


def play_all(engine: Engine) -> Iterator[Outcome]:
    """Plays all scenarios of an engine: those that disturb others come last."""
    works = list(engine.works.values())
    alone = [work for work in works if work.scenario.needs == "kill_waiter"]
    with ThreadPoolExecutor(engine.at_once) as pool:
        together = [pool.submit(play, work) for work in works if work not in alone]
        yield from (done.result() for done in as_completed(together))
    yield from map(play, alone)


def run(name: str, scenarios: Sequence[Scenario], clients: Sequence[str]) -> list[Outcome]:
    """Returns what came of the scenarios on an engine."""
    began, outcomes = time.monotonic(), []
    with ENGINES[name](scenarios, clients) as engine:
        print(f"{name} started in {time.monotonic() - began:.0f} s", flush=True)
        for it in play_all(engine):
            outcomes.append(it)
            verdict = "ok " if it.is_right else "BAD"
            where = f"{it.scenario.name} / {it.client}"
            print(f"{it.seconds:5.0f} s  {verdict}  {where}: {it}", flush=True)
    print(f"{name} took {time.monotonic() - began:.0f} s", flush=True)
    return outcomes


def main() -> int:
    """Returns 0 if our function has done what it must in all scenarios."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines", description=__doc__)
    parser.add_argument("engines", nargs="*", help=f"Of {', '.join(ENGINES)}; all by default.")
    parser.add_argument(
        "--only", default="", help="Regular expression of scenarios, as their functions are called."
    )
    parser.add_argument("--clients", default="", help="Clients with a comma; all by default.")
    parser.add_argument("--ci", action="store_true", help="The subset for CI.")
    parser.add_argument("--write", action="store_true", help="Write the tables into the docs.")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    scenarios = [it for it in (CI if options.ci else SCENARIOS) if re.search(options.only, it.slug)]
    clients = [it for it in options.clients.split(",") if it]
    outcomes = {name: run(name, scenarios, clients) for name in (options.engines or list(ENGINES))}
    if options.write:
        write_tables(outcomes)
    every = [it for found in outcomes.values() for it in found]
    wrong = [it for it in every if it.client.startswith("ours") and not it.is_right]
    print(f"{len(every) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def _stop(*_: object) -> None:
    """Ends at once, with all engines."""
    Engine.stop_all()
    atexit._run_exitfuncs()  # the database is no child of ours
    os._exit(1)


sys.exit(main())
