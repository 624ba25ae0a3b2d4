"""Whatever happened to loads and runs before: what is built by `select_loaded` is up to date."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudRun, run_dbt_cloud_job
from dlt_dbt_cloud.local import LocalDBTCloud
from tests.select.projects import NESTED, PACKAGE, TABLES, Event, Model, events, projects
from tests.select.shop import pipeline_in, write_project

pytestmark = pytest.mark.slow

HINTS: dict[str, dict[str, Any]] = {
    "a": {},
    "b": {"write_disposition": "replace"},
    "c": {
        "write_disposition": "merge",
        "primary_key": "v",
        "columns": {"is_gone": {"hard_delete": True, "data_type": "bool"}},
    },
}
BREAK = "select case when (select count(*) from marts.brake) > 0 then error('no') end"
BREAKS = f'{{{{ config(pre_hook="{BREAK}") }}}}'


class World:
    """A job over a generated project, and the pipelines that load its sources."""

    def __init__(self, folder: Path, models: list[Model], cloud: LocalDBTCloud) -> None:
        self.folder, self.models, self.cloud = folder, models, cloud
        self.client = DBTCloudClientV2(credentials=cloud.credentials)
        self.numbers = itertools.count(1)

    def load(self, event: Event, pipeline: str = "shop") -> Any:
        """Loads rows with numbers that are new, or that are deleted at once in `c`."""
        return pipeline_in(self.folder, pipeline).run(
            [self._resource(name, event) for name in event.tables]
        )

    def _resource(self, name: str, event: Event) -> Any:
        number = next(self.numbers)
        rows: list[dict[str, Any]] = [{"v": number, "items": [{"v": number}]}]
        if name == "c":
            rows = [{"v": number, "is_gone": False}, {"v": number - 3, "is_gone": True}]
        return dlt.resource([] if event.is_empty else rows, name=name, **HINTS[name])

    def call(self, load_info: Any, **more: Any) -> DBTCloudRun:
        """Runs the job."""
        more = {"wait_seconds": 0.1, "select_loaded": True, "skip_unchanged": True, **more}
        return run_dbt_cloud_job(self.cloud.credentials, load_info=load_info, **more)

    def happen(self, event: Event) -> None:
        """Lets a load happen, and what comes after."""
        load_info = self.load(event, "other" if event.end == "other" else "shop")
        if event.end in ("killed", "other"):
            return
        self.brake(is_on=event.end == "failed")
        run = self.call(load_info, wait_for_outcome=event.end != "cancelled")
        note(f"{event}: {run}")
        if event.end == "cancelled" and not run.is_skipped:
            self.client.cancel_run(run.id)
            while (run := self.client.get_run_status(run.id)).in_progress:
                time.sleep(0.05)
        self.brake(is_on=False)

    def brake(self, *, is_on: bool) -> None:
        """Lets the last model of the project fail, or succeed."""
        with duckdb.connect(str(self.folder / "shop.duckdb")) as connection:
            connection.execute(
                "create or replace table marts.brake as select 1 as v limit ?", [int(is_on)]
            )

    def tables(self, schema: str) -> dict[str, list[Any]]:
        """Returns all that was built in a schema."""
        built = [it.name for it in self.models if it.kind in ("table", "view", "incremental")]
        with duckdb.connect(str(self.folder / "shop.duckdb")) as connection:
            query = "select v, n from {}.{} order by all"
            return {
                name: connection.execute(query.format(schema, name)).fetchall() for name in built
            }


def write(folder: Path, models: list[Model]) -> Any:
    """Writes a project of two packages, and returns its job."""
    files = {model.name: model.sql for model in models}
    enabled = [model.name for model in models if model.kind != "disabled"]
    counted = [*(f"source('raw', '{it}')" for it in TABLES), *(f"ref('{it}')" for it in enabled)]
    counts = " + ".join(f"(select count(*) from {{{{ {it} }}}})" for it in counted)
    files["last"] = f"{BREAKS}\nselect {counts} as n"
    tables = "".join(
        f"      - {{name: {it}, columns: [{{name: v, data_tests: [not_null]}}]}}\n"
        for it in (*TABLES, NESTED)
    )
    sources = f"sources:\n  - name: raw\n    tables:\n{tables}"
    tested = [it for it in models if it.is_tested and it.kind != "disabled"]
    lines = [
        f"  - {{name: {it.name}, columns: [{{name: n, data_tests: [not_null]}}]}}" for it in tested
    ]
    own = "\n".join(["models:", *lines]) if lines else ""
    board = "{name: board, type: dashboard, owner: {name: me}, depends_on: [ref('last')]}"
    exposure = f"exposures: [{board}]"
    job = write_project(folder, files, f"{sources}\n{own}\n{exposure}")
    package = folder / "dbt_packages" / PACKAGE
    (package / "models").mkdir(parents=True)
    (package / "dbt_project.yml").write_text(f"{{name: {PACKAGE}, version: '1.0.0'}}")
    (package / "models" / "of_lib.sql").write_text(
        "select count(*) as n from {{ source('raw', 'c') }}"
    )
    return job


@contextmanager
def worlds(models: list[Model]) -> Iterator[World]:
    """A world in which everything was built once."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        job = write(folder, models)
        with duckdb.connect(str(folder / "shop.duckdb")) as connection:
            connection.execute("create schema marts")
        with LocalDBTCloud(jobs=[job]) as cloud:
            world = World(folder, models, cloud)
            world.brake(is_on=False)
            run = world.call(world.load(Event(TABLES, is_empty=False, end="success")))
            assert run.is_success, run
            yield world


@settings(
    max_examples=1,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(models=projects(), happened=st.lists(events, min_size=2, max_size=5))
def test_nothing_is_missed(models: list[Model], happened: list[Event]) -> None:
    """After any loads, failures, cancellations and kills, the tables are as after a full build."""
    with worlds(models) as world:
        for event in happened:
            world.happen(event)
        run = world.call(world.load(Event(("b",), is_empty=False, end="success")))
        assert run.is_success, run
        full = world.call(None, data={"schema_override": "whole"}, select_loaded=False)
        assert full.is_success, full
        assert world.tables("marts") == world.tables("whole")
