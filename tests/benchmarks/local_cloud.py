"""The local dbt Cloud beside a bare `dbt build`, and how it bears polling.

Two copies of a dbt project are built in DuckDB, in turn: one by the `dbt` command, the other as a
job of a local dbt Cloud in a process of its own. Both parse partially, as both have built their
copy before. The job is timed from the call that triggers it to the one that returns the run, with
polls every 0.1 s; the first run is triggered as soon as the server listens. Each turn gives a
ratio, and the medians of these are told: other work on the machine slows both down.

The table goes into docs/local.md. Then a client polls as fast as it can while the job runs.
"""

import json
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudRun,
    run_dbt_cloud_job,
)
from tests.local.reference import write

from .contenders import ours_config
from .processes import processor, resident, serving
from .text import reach, table, title

SIZES: Final = (8, 80)
REPETITIONS: Final = 4
FIRST, UNCHANGED, EDITED = "first run", "nothing has changed", "one model edited"
MOST: Final = {FIRST: 1.0, UNCHANGED: 0.3, EDITED: 0.5}
DBT: Final = Path(sysconfig.get_path("scripts")) / "dbt"
PROFILE: Final = """
tiny:
  target: dev
  outputs:
    dev: {{type: duckdb, path: "{folder}/tiny.duckdb"}}
"""
TESTED: Final = "  - {{name: m{number}, columns: [{{name: i, data_tests: [unique, not_null]}}]}}\n"

Turn = tuple[float, float]
"""Seconds of the bare build, and of the job."""


def write_project(folder: Path, models: int) -> None:
    """Writes a project: chains of eight models, the first of each with two tests."""
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("{name: tiny, version: '1.0.0', profile: tiny}")
    (folder / "profiles.yml").write_text(PROFILE.format(folder=folder))
    for number in range(models):
        edit_model(folder, number, "")
    tested = [TESTED.format(number=number) for number in range(0, models, 8)]
    (folder / "models" / "models.yml").write_text("models:\n" + "".join(tested))


def edit_model(folder: Path, number: int, comment: str) -> None:
    """Writes a model of the project."""
    of = f"{{{{ ref('m{number - 1}') }}}}" if number % 8 else "range(1000) as numbers(i)"
    path = folder / "models" / f"m{number}.sql"
    path.write_text(f"from {of} {comment}", encoding="utf-8")


@contextmanager
def local_cloud(folder: Path) -> Iterator[tuple[int, DBTCloudConfiguration]]:
    """Serves the project. Yields the id of the process and the settings for a client."""
    with serving("serve", folder) as (pid, settings):
        yield pid, ours_config(**json.loads(settings), wait_seconds=0.1)


def bare(folder: Path) -> float:
    """Builds with the `dbt` command. Returns the seconds."""
    started = time.perf_counter()
    subprocess.run([DBT, "build"], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def job(config: DBTCloudConfiguration) -> float:
    """Builds as a job. Returns the seconds."""
    started = time.perf_counter()
    run_dbt_cloud_job(config, raise_on_failure=True)
    return time.perf_counter() - started


class Copies:
    """Two copies of a project, one of which is served."""

    def __init__(self, folder: Path, models: int) -> None:
        self._stack = ExitStack()
        self._bare, self._served = folder / "bare", folder / "served"
        self._comments = count()
        for copy in (self._bare, self._served):
            write_project(copy, models)

    def first(self) -> Turn:
        """Builds both for the first time."""
        theirs = bare(self._bare)
        self.pid, self.config = self._stack.enter_context(local_cloud(self._served))
        return theirs, job(self.config)

    def again(self) -> Turn:
        """Builds both."""
        return bare(self._bare), job(self.config)

    def edited(self) -> Turn:
        """Builds both after an edit."""
        comment = f"-- {next(self._comments)}"
        for copy in (self._bare, self._served):
            edit_model(copy, 3, comment)
        return self.again()

    def close(self) -> None:
        """Ends the server."""
        self._stack.close()


@contextmanager
def copies(models: int) -> Iterator[Copies]:
    """Makes the copies of a project."""
    with tempfile.TemporaryDirectory() as folder:
        made = Copies(Path(folder), models)
        try:
            yield made
        finally:
            made.close()


def first_again(models: int) -> Turn:
    """Builds new copies for the first time."""
    with copies(models) as made:
        return made.first()


def turns(models: int, made: Copies) -> dict[str, list[Turn]]:
    """Builds both copies time and again."""
    return {
        FIRST: [first_again(models), first_again(models), made.first()],
        UNCHANGED: [made.again() for _ in range(REPETITIONS)],
        EDITED: [made.edited() for _ in range(REPETITIONS)],
    }


Row = tuple[int, str, float, float, float]
"""Models, what was built, and medians: seconds of bare dbt, of the job, and their ratio."""


def beside_bare(models: int, made: Copies) -> list[Row]:
    """Returns how long the job takes beside bare dbt."""
    return [row(models, name, took) for name, took in turns(models, made).items()]


def row(models: int, name: str, took: list[Turn]) -> Row:
    """Returns a row of the table."""
    theirs, ours = (median(turn[which] for turn in took) for which in (0, 1))
    return models, name, theirs, ours, median(ours / theirs for theirs, ours in took)


def lines(rows: list[Row]) -> Iterator[str]:
    """Yields the lines of the table, and which aims were reached."""
    shown = [[name, f"{a:.2f} s", f"{b:.2f} s", f"{share:.2f}"] for _, name, a, b, share in rows]
    yield from table((f"{rows[0][0]} models", "dbt build", "job", "share"), shown)
    for models, name, _, _, share in rows:
        aim = f"{models} models, {name}: at most {MOST[name]} of bare dbt: {share:.2f}"
        yield reach(aim, holds=share <= MOST[name])


def markdown(rows: list[Row]) -> Iterator[str]:
    """Yields the lines of the table in the docs."""
    yield "| models | | `dbt build` | job | share | goal |"
    yield "|---|---|---|---|---|---|"
    for models, name, theirs, ours, share in rows:
        yield f"| {models} | {name} | {theirs:.2f} s | {ours:.2f} s | {share:.2f} | {MOST[name]} |"


def recorded(run: DBTCloudRun) -> float:
    """Returns the seconds that a run took by its record."""
    started, finished = (datetime.fromisoformat(run[f"{k}_at"]) for k in ("started", "finished"))
    return (finished - started).total_seconds()


def server_cost(pid: int, config: DBTCloudConfiguration) -> Iterator[str]:
    """Yields what the server itself does for a job: little noise of the machine is in that."""
    before = processor(pid)
    total = job(config)
    spent = processor(pid) - before
    yield f"CPU of the server for a job: {spent:.2f} s, {spent / total:.1%} of the time"


def polling(pid: int, config: DBTCloudConfiguration) -> Iterator[str]:
    """Polls a run until it ends, and yields how that went."""
    client = DBTCloudClientV2(credentials=config)
    before, started, polls = resident(pid), time.perf_counter(), 0
    run = client.trigger_run(str(config.job_id))
    while run.in_progress:
        run = client.get_run_status(run.id)
        polls += 1
    rate = polls / (time.perf_counter() - started)
    yield f"one client that polls as fast as it can while a job runs: {rate:.0f} polls per second"
    yield f"memory of the server: {before:.1f} MiB, after {polls:,} polls {resident(pid):.1f} MiB"
    yield f"the run that was polled so took {recorded(run):.2f} s"


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title("Local dbt Cloud beside a bare dbt build")
    all_rows = []
    for models in SIZES:
        with copies(models) as made:
            rows = beside_bare(models, made)
            all_rows += rows
            yield from lines(rows)
            if models == SIZES[0]:
                yield from server_cost(made.pid, made.config)
                yield from polling(made.pid, made.config)
    write("bench", markdown(all_rows))
