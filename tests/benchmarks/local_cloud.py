"""What the local dbt Cloud adds to a bare `dbt build`, and how it bears polling.

A small dbt project is built in DuckDB: by the `dbt` command, and as a job of a local dbt Cloud in a
process of its own, in turn. The job is timed by its own record, from start to finish, and end to
end, from the call that triggers it to that which returns the run, with polls every 0.1 s. Both
parse partially, since both have built the project before. What is added is told between the
quickest of each: other work on the machine only makes them slower.

Since dbt itself varies by more than what is looked for, each dbt also writes down how long it
lived, and what passes around its life is told apart: that hardly depends on the machine.

Then a client polls as fast as it can while the job runs.
"""

import json
import os
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudConfiguration, DBTCloudRun
from dlt_dbt_cloud._follow.watch import run_job

from .contenders import ours_config
from .processes import processor, resident, serving
from .text import reach, table, title

REPETITIONS: Final = 6
MAX_SHARE: Final = 0.05
MAX_SECONDS: Final = 0.5
PROJECT: Final = {
    "dbt_project.yml": "{name: tiny, version: '1.0.0', profile: tiny}",
    "profiles.yml": """
tiny:
  target: dev
  outputs:
    dev: {type: duckdb, path: "{{ env_var('TINY_DUCKDB') }}"}
""",
    "models/numbers.sql": "select i from range(1000) as numbers(i)",
    "models/even.sql": "select i from {{ ref('numbers') }} where i % 2 = 0",
    "models/models.yml": """
models:
  - name: numbers
    columns: [{name: i, data_tests: [unique, not_null]}]
""",
    "site/sitecustomize.py": """
import atexit, os, pathlib, sys, time
began = time.time()
@atexit.register
def write_down():
    if "build" in sys.argv:
        pathlib.Path(os.environ["TINY_LIVED"]).write_text(str(time.time() - began))
""",
}


@dataclass(frozen=True)
class Build:
    """Seconds that the project took.

    Attributes:
        total: From the call to its return.
        recorded: By the record of the run, where there is one.
        around: Outside of dbt's life.
    """

    total: float
    recorded: float
    around: float


@contextmanager
def project() -> Iterator[Path]:
    """Makes the dbt project. Yields its folder."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in PROJECT.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        variables = {
            "TINY_DUCKDB": f"{folder}/tiny.duckdb",
            "TINY_LIVED": f"{folder}/lived",
            "PYTHONPATH": f"{folder}/site",
        }
        with patch.dict(os.environ, variables):
            yield Path(folder)


@contextmanager
def local_cloud(folder: Path) -> Iterator[tuple[int, DBTCloudConfiguration]]:
    """Serves the project. Yields the id of the process and the settings for a client."""
    with serving("serve", folder) as (pid, settings):
        yield pid, ours_config(**json.loads(settings), wait_seconds=0.1)


def bare_build(folder: Path) -> Build:
    """Builds with the `dbt` command."""
    dbt = Path(sysconfig.get_path("scripts")) / "dbt"
    started = time.perf_counter()
    subprocess.run([dbt, "build"], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    total = time.perf_counter() - started
    return Build(total, total, total - lived())


def job(config: DBTCloudConfiguration) -> Build:
    """Builds as a job."""
    client = DBTCloudClientV2(credentials=config)
    started = time.perf_counter()
    run = run_job(client, config)
    total = time.perf_counter() - started
    run.raise_on_failure()
    return Build(total, recorded(run), total - lived())


def lived() -> float:
    """Returns how long the last dbt lived, without its first and last moments."""
    return float(Path(os.environ["TINY_LIVED"]).read_text(encoding="utf-8"))


def recorded(run: DBTCloudRun) -> float:
    """Returns the seconds that a run took by its record."""
    started, finished = (datetime.fromisoformat(run[f"{k}_at"]) for k in ("started", "finished"))
    return (finished - started).total_seconds()


def builds(folder: Path, config: DBTCloudConfiguration) -> list[tuple[Build, Build]]:
    """Builds both ways, time and again, after a turn to warm up. Changes who is first."""
    turns = []
    for turn in range(REPETITIONS + 1):
        first = job(config) if turn % 2 else None
        turns.append((bare_build(folder), first or job(config)))
    return turns[1:]


def overhead(turns: list[tuple[Build, Build]]) -> Iterator[str]:
    """Yields what the local dbt Cloud adds."""
    bare, jobs = [turn[0].total for turn in turns], [turn[1].total for turn in turns]
    rows = [
        row("dbt build", bare, bare),
        row("job, by its record", [turn[1].recorded for turn in turns], bare),
        row("job, end to end", jobs, bare),
    ]
    yield from table(("", "median", "quickest", "added", "share"), rows)
    around = median(job.around - bare.around for bare, job in turns)
    yield f"added outside of dbt's life: {around:.3f} s, {around / min(bare):.1%}"
    added = min(jobs) - min(bare)
    share = added / min(bare)
    yield reach(
        f"end to end at most {MAX_SHARE:.0%} and {MAX_SECONDS} s added: {share:.1%}, {added:.2f} s",
        holds=added <= MAX_SECONDS and share <= MAX_SHARE,
    )


def row(name: str, seconds: list[float], bare: list[float]) -> list[str]:
    """Returns a row of the table."""
    added = min(seconds) - min(bare)
    cells = [f"{median(seconds):.2f} s", f"{min(seconds):.2f} s"]
    return [name, *cells, f"{added:+.2f} s", f"{added / min(bare):+.1%}"]


def server_cost(pid: int, config: DBTCloudConfiguration) -> Iterator[str]:
    """Yields what the server itself does for a job: little noise of the machine is in that."""
    before = processor(pid)
    total = job(config).total
    spent = processor(pid) - before
    yield f"CPU of the server for a job: {spent:.2f} s, {spent / total:.1%} of the time"


def polling(pid: int, config: DBTCloudConfiguration) -> Iterator[str]:
    """Polls a run until it ends, and yields how that went."""
    client = DBTCloudClientV2(credentials=config)
    before, started, polls = resident(pid), time.perf_counter(), 0
    run = client.trigger_run(str(config.job_id))
    while run.in_progress:
        run = client.poll_run(run.id)
        polls += 1
    rate = polls / (time.perf_counter() - started)
    yield f"one client that polls as fast as it can while a job runs: {rate:.0f} polls per second"
    yield f"memory of the server: {before:.1f} MiB, after {polls:,} polls {resident(pid):.1f} MiB"
    yield f"the run that was polled so took {recorded(run):.2f} s"


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title("Local dbt Cloud beside a bare dbt build")
    with project() as folder, local_cloud(folder) as (pid, config):
        yield from overhead(builds(folder, config))
        yield from server_cost(pid, config)
        yield from polling(pid, config)
