"""What `select_loaded` saves: a project that serves ten pipelines, all of it against one's part.

Each pipeline loads five tables into a dataset of its own in one DuckDB. The project has 300 models:
for each table a chain of six. A load brings one table of one pipeline, and the job is run as a
whole and narrowed, in turn, on a local dbt Cloud.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import dlt

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudConfiguration, run_dbt_cloud_job

from .contenders import ours_config
from .processes import serving
from .text import reach, table, title

PIPELINES: Final = 10
TABLES: Final = 5
CHAIN: Final = 6
TURNS: Final = 3
MOST: Final = 0.1
"""The share of the nodes that a load of one table may build."""

Turn = tuple[float, int]
"""Seconds of a run, and how many nodes it has built."""


def write_project(folder: Path) -> None:
    """Writes the project."""
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("{name: served, version: '1.0.0', profile: served}")
    output = f"{{type: duckdb, path: '{folder}/served.duckdb', threads: 2}}"
    profile = f"served: {{target: dev, outputs: {{dev: {output}}}}}"
    (folder / "profiles.yml").write_text(profile)
    names = ", ".join(f"{{name: t{number}}}" for number in range(TABLES))
    sources = (f"  - {{name: raw{it}, tables: [{names}]}}\n" for it in range(PIPELINES))
    (folder / "models" / "sources.yml").write_text("sources:\n" + "".join(sources))
    for pipeline in range(PIPELINES):
        for number in range(TABLES):
            write_chain(folder / "models", pipeline, number)


def write_chain(folder: Path, pipeline: int, number: int) -> None:
    """Writes the models that one table leads to."""
    of = f"source('raw{pipeline}', 't{number}')"
    for link in range(CHAIN):
        name = f"m{pipeline}_{number}_{link}"
        (folder / f"{name}.sql").write_text(f"from {{{{ {of} }}}} select id")
        of = f"ref('{name}')"


def load(folder: Path, pipeline: int, *tables: int) -> dlt.common.pipeline.LoadInfo:
    """Loads a row into tables of a pipeline."""
    destination = dlt.destinations.duckdb(str(folder / "served.duckdb"))
    loading = dlt.pipeline(
        f"p{pipeline}",
        str(folder / "pipelines"),
        destination=destination,
        dataset_name=f"raw{pipeline}",
    )
    return loading.run([dlt.resource([{"id": 1}], name=f"t{number}") for number in tables])


def turn(
    config: DBTCloudConfiguration, folder: Path, pipeline: int, *, select_loaded: bool
) -> Turn:
    """Loads one table and runs the job."""
    load_info = load(folder, pipeline, 0)
    started = time.perf_counter()
    run = run_dbt_cloud_job(
        config, load_info=load_info, select_loaded=select_loaded, raise_on_failure=True
    )
    seconds = time.perf_counter() - started
    results = DBTCloudClientV2(credentials=config).get_artifact(run.id, "run_results.json")
    return seconds, len(results["results"])


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    models = PIPELINES * TABLES * CHAIN
    yield from title(f"One table of a load, for a project of {models} models and ten pipelines")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder)
        for pipeline in range(PIPELINES):
            load(folder, pipeline, *range(TABLES))
        with serving("serve", folder) as (_, settings):
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
