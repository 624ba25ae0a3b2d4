"""`python -m tests.engines`: scenarios on real engines, counted in runs of the job."""

import argparse
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.engines.airflow_engine import Airflow
from tests.engines.dagster_engine import Dagster
from tests.engines.engine import Engine, EngineWork
from tests.engines.prefect_engine import Prefect
from tests.engines.scenarios import SCENARIOS

ENGINES: Final[dict[str, type[Engine]]] = {"airflow": Airflow,
    "dagster": Dagster,
    "prefect": Prefect,
}


def play(work: EngineWork) -> tuple[str, str, str]:
    began = time.monotonic()
    try:
        shown = work.scenario.act(work)
    except Exception as error:  # noqa: BLE001
        shown = f"{type(error).__name__}: {error}"
    said = f"{work.cloud.runs} runs, {work.cloud.cancelled} cancelled, {shown}"
    is_right = (work.cloud.runs, work.cloud.cancelled) == (work.scenario.runs, work.scenario.cancelled)
    print(f"{time.monotonic() - began:5.0f} s {'ok ' if is_right else 'BAD'} {work.scenario.name} / {work.client}: {said}", flush=True)
    return work.scenario.name, work.client, said


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--only", default="")
    parser.add_argument("--clients", default="")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # else the engines would stay
    for name in args.engines:
        began = time.monotonic()
        scenarios = [it for it in SCENARIOS if args.only in it.slug]
        with ENGINES[name](scenarios, [it for it in args.clients.split(",") if it]) as engine:
            print(f"{name} started in {time.monotonic() - began:.0f} s, {len(engine.works)} works", flush=True)
            works = list(engine.works.values())
            with ThreadPoolExecutor(engine.at_once) as pool:
                list(pool.map(play, [w for w in works if w.scenario.needs != "kill_waiter"]))
            for w in works:
                if w.scenario.needs == "kill_waiter":
                    play(w)
        print(f"{time.monotonic() - began:.0f} s")
    return 0


sys.exit(main())
