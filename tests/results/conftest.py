"""A local dbt Cloud on a clock that stands still, and a pipeline into an empty DuckDB."""

from collections.abc import Iterator
from pathlib import Path

import dlt
import pytest

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from tests.dlt_world import kept_open
from tests.results.shared import Clock, recorded_results


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def cloud(clock: Clock) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with a job whose runs end at once, and one whose runs end at 100 s."""
    artifacts = {"run_results.json": recorded_results()}
    jobs = [
        ScriptedJob("Nightly", [10], artifacts=artifacts),
        ScriptedJob("Slow", [(0, 3), (100, 10)], artifacts=artifacts),
    ]
    with LocalDBTCloud(jobs=jobs, clock=clock) as cloud:
        yield cloud


@pytest.fixture
def pipeline(dlt_world: Path) -> Iterator[dlt.Pipeline]:
    """A pipeline into an empty DuckDB."""
    database = dlt_world / "flights.duckdb"
    with kept_open(database):
        yield dlt.pipeline(
            "flights",
            destination=dlt.destinations.duckdb(str(database)),
            dataset_name="nyc",
            pipelines_dir=str(dlt_world / "pipelines"),
        )
