"""What concurrent pipelines build, with and without `reuse_queued`.

So many pipelines finish their load at the same moment, and each has the same job run: in a thread
each, with a client of its own, on a local dbt Cloud in a process of its own. Its runs do nothing
for some seconds; a job of 50 models is assumed. A load is covered by a run that has started after
it was there. A hundred runs in a row are waited for only where they are very short.

The shorter a run, the fewer loads arrive while it goes on: a hundred threads on a small machine
take some seconds to send their first requests, so that even short runs of real jobs are longer.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudRun,
    run_dbt_cloud_job,
)

from .contenders import ours_config
from .processes import serving
from .text import reach, table, title

MODELS: Final = 50
WAIT_SECONDS: Final = 0.5
HEADER: Final = (
    "pipelines",
    "runs triggered",
    "runs built",
    "models built",
    "loads covered",
    "all after",
)
CASES: Final = ((1, 1.0), (10, 1.0), (100, 0.2), (100, 5.0))
"""Pipelines, and seconds that a run takes."""
LONGEST: Final = 30
"""Seconds of runs in a row that are waited for at most."""
MAX_RUNS: Final = 2
"""One that has started before the other loads were there, and one that covers them all."""


@dataclass(frozen=True)
class Sharing:
    """What pipelines have led to.

    Attributes:
        triggered: Runs that were triggered.
        built: Runs that have started.
        covered: Loads that a run has covered.
        seconds: From the loads until all pipelines had their run.
        errors: What pipelines have raised.
    """

    triggered: int
    built: int
    covered: int
    seconds: float
    errors: list[str]

    def cells(self) -> list[str]:
        """Returns the cells of a row of a table."""
        counts = (self.triggered, self.built, MODELS * self.built, self.covered)
        return [*(f"{count:,}" for count in counts), f"{self.seconds:.1f} s"]


def moment(text: str | None) -> datetime:
    """Returns a point in time of the API."""
    assert text is not None
    return datetime.fromisoformat(text)


def pipeline(config: DBTCloudConfiguration, start: threading.Barrier) -> bool:
    """Has the job run after a load. Returns whether the run covers it."""
    start.wait()
    loaded_at = datetime.now(timezone.utc)
    run = run_dbt_cloud_job(config)
    return run.is_success and moment(run["started_at"]) >= loaded_at


def runs_of(config: DBTCloudConfiguration) -> list[DBTCloudRun]:
    """Returns all runs of the job."""
    client = DBTCloudClientV2(credentials=config)
    return list(client.list_runs(job_definition_id=config.job_id))


def concurrent(number: int, run_seconds: float, *, share: bool) -> Sharing:
    """Has so many pipelines end at the same moment."""
    with serving("serve_script", str(run_seconds)) as (_, settings):
        own = {"wait_seconds": WAIT_SECONDS, "reuse_queued": share}
        config = ours_config(**json.loads(settings), **own)
        start = threading.Barrier(number + 1)
        with ThreadPoolExecutor(number) as threads:
            loads = [threads.submit(pipeline, config, start) for _ in range(number)]
            start.wait()
            started = time.perf_counter()
        return sharing(time.perf_counter() - started, runs_of(config), loads)


def sharing(seconds: float, runs: list[DBTCloudRun], loads: list[Future[bool]]) -> Sharing:
    """Returns what has come of pipelines that have all ended."""
    errors = [repr(error) for load in loads if (error := load.exception())]
    covered = sum(load.result() for load in loads if not load.exception())
    built = sum(run["started_at"] is not None for run in runs)
    return Sharing(len(runs), built, covered, seconds, errors)


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title(f"Pipelines that finish together, and one job of {MODELS} models")
    shared = {case: concurrent(*case, share=True) for case in CASES}
    alone = {
        (number, seconds): concurrent(number, seconds, share=False)
        for number, seconds in CASES
        if number * seconds <= LONGEST
    }
    rows = [
        [f"{number}, runs of {seconds} s, {how}", *results[number, seconds].cells()]
        for number, seconds in CASES
        for how, results in (("each its own", alone), ("reuse_queued", shared))
        if (number, seconds) in results
    ]
    yield from table(HEADER, rows)
    yield from verdicts(shared)
    errors = [error for case in (*shared.values(), *alone.values()) for error in case.errors]
    yield from (f"{count} pipelines: {error}" for error, count in Counter(errors).items())


def verdicts(shared: dict[tuple[int, float], Sharing]) -> Iterator[str]:
    """Yields what was reached."""
    covered = all(sharing.covered == number for (number, _), sharing in shared.items())
    yield reach("every load is covered by a run that has started after it", holds=covered)
    number, seconds = CASES[-1]
    built = shared[number, seconds].built
    yield reach(
        f"{number} loads cost at most {MAX_RUNS} runs where these take {seconds} s: {built}",
        holds=built <= MAX_RUNS,
    )
