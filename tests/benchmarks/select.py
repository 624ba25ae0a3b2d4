"""What `select_loaded` saves: a project that serves ten pipelines, all of it against one's part.

All ten load into one DuckDB. A load brings one table of one pipeline, and the job is run as a
whole and narrowed, in turn, on a local dbt Cloud.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import dlt

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudConfiguration, run_dbt_cloud_job
from tests.select.served import MODELS, PIPELINES, TABLES, load, write_project

from .contenders import ours_config
from .processes import serving
from .text import reach, table, title

TURNS: Final = 3
MOST: Final = 0.1
"""The share of the nodes that a load of one table may build."""

Turn = tuple[float, int]
"""Seconds of a run, and how many nodes it has built."""


def database(folder: Path) -> Any:
    """Returns the DuckDB as dlt's destination."""
    return dlt.destinations.duckdb(str(folder / "served.duckdb"))


def turn(
    config: DBTCloudConfiguration, folder: Path, pipeline: int, *, select_loaded: bool
) -> Turn:
    """Loads one table and runs the job."""
    load_info = load(folder, database(folder), pipeline, 0)
    started = time.perf_counter()
    run = run_dbt_cloud_job(
        config, load_info=load_info, select_loaded=select_loaded, raise_on_failure=True
    )
    seconds = time.perf_counter() - started
    results = DBTCloudClientV2(credentials=config).get_artifact(run.id, "run_results.json")
    return seconds, len(results["results"])


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title(f"One table of a load, for a project of {MODELS} models and ten pipelines")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder / "dbt", {"type": "duckdb", "path": f"{folder}/served.duckdb"})
        for pipeline in range(PIPELINES):
            load(folder, database(folder), pipeline, *range(TABLES))
        with serving("serve", folder / "dbt") as (_, settings):
            config = ours_config(**json.loads(settings), wait_seconds=0.1)
            run_dbt_cloud_job(config, raise_on_failure=True)
            took = {
                kind: [turn(config, folder, it, select_loaded=narrow) for it in range(TURNS)]
                for kind, narrow in (("all", False), ("selected", True))
            }
    yield from table(
        ("", "nodes", "time"),
        [
            [kind, str(turns[-1][1]), f"{median(seconds for seconds, _ in turns):.1f} s"]
            for kind, turns in took.items()
        ],
    )
    share = took["selected"][-1][1] / took["all"][-1][1]
    yield reach(f"at most {MOST:.0%} of the nodes: {share:.1%}", holds=share <= MOST)
