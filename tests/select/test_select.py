"""What a call builds, on a local dbt Cloud with scripted runs and real loads into DuckDB."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common.pipeline import LoadInfo
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConnectionException,
    DBTCloudRun,
    _io,
    run_dbt_cloud_job,
)
from dlt_dbt_cloud._start import select_coverage
from dlt_dbt_cloud._start.select_steps import UnsureError
from dlt_dbt_cloud.local import Fault, LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.sources import dbt_cloud_source
from tests.dlt_world import kept_open
from tests.results.shared import Clock
from tests.select.shop import DATABASE, Loaded, customers, orders, pipeline_in, source_of

ORDERS = "source:shop.items+ source:shop.orders+"
PEOPLE = "source:shop.people+"
EVERYTHING = None


def source(name: str, identifier: str, schema: str = "raw", source_name: str = "shop") -> Any:
    """Returns an entry of a manifest."""
    relation = f'"shop"."{schema}"."{identifier}"'
    names = {"source_name": source_name, "name": name, "database": "shop", "schema": schema}
    return {**names, "identifier": identifier, "relation_name": relation}


SOURCES = [
    source("orders", "orders"),
    source("items", "orders__items"),
    source("people", "customers"),
]
MANIFEST = {"metadata": {"adapter_type": "duckdb"}, "sources": dict(enumerate(SOURCES))}


@dataclass
class World:
    """A job, and pipelines that load what it builds on.

    Attributes:
        cloud: Where the job is.
        folder: Where the data is.
        ends: How runs go, from now on.
        artifacts: What they leave.
        pipelines: The pipelines by name.
        database: Keeps the database open, until it is closed.
    """

    cloud: LocalDBTCloud
    folder: Path
    ends: list[int]
    artifacts: dict[str, Any]
    pipelines: dict[str, dlt.Pipeline] = field(default_factory=dict)
    database: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.client = DBTCloudClientV2(credentials=self.cloud.credentials)

    def load(self, *resources: Any, pipeline: str = "shop", **more: Any) -> LoadInfo:
        """Loads."""
        if pipeline not in self.pipelines:
            self.pipelines[pipeline] = pipeline_in(self.folder, pipeline)
        loaded = [*resources] or [dlt.resource([], name="orders")]
        return self.pipelines[pipeline].run(loaded, **more)

    def call(self, load_info: Any, **more: Any) -> DBTCloudRun:
        """Runs the job."""
        settings = {"select_loaded": True, **more}
        return run_dbt_cloud_job(self.cloud.credentials, load_info=load_info, **settings)

    def built(self, load_info: Any, **more: Any) -> str | None:
        """Runs the job. Returns what `dbt build` was narrowed to, None if it was not."""
        run = self.call(load_info, **more)
        steps = self.trigger(run)["steps_override"]
        return steps[0].removeprefix("dbt build --select ") if steps else EVERYTHING

    def trigger(self, run: DBTCloudRun) -> dict[str, Any]:
        """Returns what a run was triggered with."""
        found: dict[str, Any] = self.client.get_run_status(run.id, include_related=["trigger"])
        trigger: dict[str, Any] = found["trigger"]
        return trigger

    @property
    def triggers(self) -> int:
        """Number of triggers so far."""
        return sum(request.method == "POST" for request in self.cloud.requests)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The first load: an order and a customer."""
    return Loaded.into(tmp_path_factory.mktemp("loaded"), orders(1), customers(1))


@pytest.fixture
def world(dlt_world: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A job that has built everything once. No call waits."""
    ends, artifacts = [10], {"manifest.json": MANIFEST, "run_results.json": {"results": []}}
    job = ScriptedJob("Nightly", ends, artifacts=artifacts)
    with LocalDBTCloud(jobs=[job], virtual_time=True) as cloud, ExitStack() as database:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        pipelines = {"shop": loaded.copied_to(dlt_world)}
        database.enter_context(kept_open(dlt_world / DATABASE))
        world = World(cloud, dlt_world, ends, artifacts, pipelines, database)
        assert world.built(loaded.load_info) is EVERYTHING
        yield world


class TestWhatChanged:
    """What is built is downstream of what has changed."""

    def test_one_table(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """Only the tables of the load and those nested in it are built on, and the log says so."""
        assert world.built(world.load(customers(2))) == PEOPLE
        line = "Building what is downstream of source:shop.people+: 1 source tables have changed"
        assert line in log.text
        assert world.built(world.load(orders(2))) == ORDERS

    def test_all_tables(self, world: World) -> None:
        """If all tables of a source have changed, it is named as a whole."""
        assert world.built(world.load(orders(2), customers(2))) == "source:shop+"

    def test_own_steps(self, world: World) -> None:
        """Steps that the caller overrides are narrowed too, once they have run as a whole."""
        steps = ["dbt seed", "dbt run -s a --exclude b"]
        for load, expected in ((orders(2), steps), (customers(2), None)):
            run = world.call(world.load(load), steps_override=steps)
            narrowed = [steps[0], f"dbt run --exclude b --select a,{PEOPLE}"]
            assert world.trigger(run)["steps_override"] == (expected or narrowed)

    def test_two_datasets(self, world: World) -> None:
        """The tables of each schema of a pipeline are looked for where they are."""
        world.pipelines["shop"].config.use_single_dataset = False
        crm = source("deals", "deals", "raw_crm", "crm")
        sources = dict(enumerate([*SOURCES, crm]))
        world.artifacts["manifest.json"] = {**MANIFEST, "sources": sources}
        deals = dlt.resource([{"id": 1}], name="deals")
        of_crm = source_of(deals, "crm")
        assert world.built(world.load(of_crm)) is EVERYTHING  # the old manifest has no deals
        assert world.built(world.load(of_crm)) == "source:crm+"
        assert world.built(world.load(customers(3))) == PEOPLE


class TestCovered:
    """What counts is every change since the last run that succeeded and covered it."""

    @pytest.mark.parametrize("status", [20, 30])
    def test_failed(self, world: World, status: int) -> None:
        """The load of a run that failed or was cancelled is built with the next."""
        world.ends[:] = [status]
        assert world.built(world.load(orders(2))) == ORDERS
        world.ends[:] = [10]
        assert world.built(world.load(customers(2))) == "source:shop+"
        assert world.built(world.load(customers(3))) == PEOPLE

    def test_never_triggered(self, world: World) -> None:
        """A load after which the script died is built with the next, and named in its cause."""
        lost = world.load(orders(2))
        run = world.call(load := world.load(customers(2)))
        trigger = world.trigger(run)
        assert trigger["steps_override"] == ["dbt build --select source:shop+"]
        assert trigger["cause"].endswith(f"raw: {load.loads_ids[0]}, {lost.loads_ids[0]}")
        assert world.built(world.load(customers(3))) == PEOPLE

    def test_another_pipeline(self, world: World) -> None:
        """So is another pipeline's load into the same dataset, once."""
        world.load(customers(2), pipeline="crm")
        assert world.built(world.load(orders(2))) == "source:shop+"
        assert world.built(world.load(orders(3))) == ORDERS

    def test_another_pipeline_built(self, world: World) -> None:
        """What the other pipeline's own run has built is not built again."""
        assert world.built(world.load(customers(2), pipeline="crm")) == PEOPLE
        assert world.built(world.load(orders(2))) == ORDERS

    def test_traceless(self, world: World) -> None:
        """Of a lost load all tables count that it may have changed without a trace."""
        gone = {"hard_delete": True, "data_type": "bool"}
        hints: Any = {"primary_key": "id", "columns": {"gone": gone}}
        people = dlt.resource([{"id": 2}], name="customers", write_disposition="merge", **hints)
        assert world.built(world.load(people)) == PEOPLE
        world.load(orders(2))
        assert world.built(world.load(orders(3))) == "source:shop+"

    def test_lost_and_empty(self, world: World) -> None:
        """A lost load that has emptied a table is not overlooked."""
        world.load(customers())
        assert world.built(world.load(orders(2))) == "source:shop+"

    def test_lost_column(self, world: World) -> None:
        """A lost load that has only added a column is not overlooked."""
        nothing = dlt.mark.materialize_table_schema()
        column: Any = {"size": {"data_type": "text"}}
        world.load(dlt.resource([nothing], name="orders", columns=column))
        assert world.built(world.load(customers(2))) == "source:shop+"

    def test_lost_drop(self, world: World) -> None:
        """A lost load that has dropped a table is not overlooked: dlt forgets what was before."""
        schema = world.pipelines["shop"].default_schema_name
        empty = source_of(dlt.resource([], name="orders"), str(schema))
        world.load(empty, refresh="drop_resources")
        assert world.built(world.load(customers(2))) is EVERYTHING

    def test_retried(self, world: World) -> None:
        """A failed run that a retry has completed covers its load."""
        world.ends[:] = [20]
        failed = world.call(world.load(orders(2)))
        world.ends[:] = [10]
        world.client.retry_run(failed.id)
        assert world.built(world.load(customers(2))) == PEOPLE

    def test_elsewhere(self, world: World) -> None:
        """A run into another schema covers nothing, and has a history of its own."""
        assert world.built(load := world.load(orders(2)), schema_override="ci") is EVERYTHING
        assert world.built(load) == ORDERS
        assert world.built(world.load(customers(2)), schema_override="ci") == PEOPLE

    def test_scheduled(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full run of others covers what was complete long before it."""
        world.load(orders(2))
        world.client.trigger_run(world.cloud.jobs[0].id)
        world.client.get_run_status(max(run.id for run in world.client.list_runs()))
        assert world.built(world.load(customers(2))) == "source:shop+"
        monkeypatch.setattr(select_coverage, "CLOCK_SKEW", timedelta(0))
        world.client.trigger_run(world.cloud.jobs[0].id)
        world.client.get_run_status(max(run.id for run in world.client.list_runs()))
        assert world.built(world.load(customers(3))) == PEOPLE

    def test_results(self, world: World) -> None:
        """The results of runs, loaded into the same dataset, are no reason to build."""
        run = world.call(world.load(orders(2)))
        world.load(dbt_cloud_source(run=run, credentials=world.cloud.credentials))
        assert world.built(world.load(customers(2))) == PEOPLE
        assert world.call(world.load(), skip_unchanged=True).is_skipped

    def test_own_cause(self, world: World) -> None:
        """With a cause of one's own the load is named after it."""
        run = world.call(load := world.load(orders(2)), data={"cause": "The boss"})
        assert (
            f"] The boss (dlt pipeline shop loaded dataset raw: {load.loads_ids[0]})" in run.cause
        )
        assert world.built(world.load(customers(2))) == PEOPLE

    def test_called_twice(self, world: World) -> None:
        """A second call for a load returns its run, whatever was built meanwhile."""
        first = world.call(load := world.load(orders(2)))
        world.call(world.load(customers(2)))
        assert world.call(load, skip_unchanged=True).id == first.id
        world.database.close()
        (world.folder / DATABASE).unlink()  # the destination is not asked again
        before = len(world.cloud.requests)
        assert world.call(load).id == first.id
        paths = [request.path for request in world.cloud.requests[before:]]
        assert not any("manifest" in path for path in paths)

    def test_queued_run(self, dlt_world: Path) -> None:
        """With `reuse_queued` a queued run of the whole job will do."""
        artifacts = {"manifest.json": MANIFEST, "run_results.json": {"results": []}}
        clock = Clock()
        job = ScriptedJob("Nightly", [(0, 3), (100, 10)], artifacts=artifacts)
        with LocalDBTCloud(jobs=[job], clock=clock) as cloud:
            world = World(cloud, dlt_world, [], artifacts)
            world.client.trigger_run(cloud.jobs[0].id)
            clock.time = 100
            world.client.trigger_run(cloud.jobs[0].id)
            queued = world.client.trigger_run(cloud.jobs[0].id)
            settings = {"reuse_queued": True, "wait_for_outcome": False}
            assert world.call(world.load(orders(1)), **settings).id == queued.id


class TestUnsure:
    """What is unsure builds everything, and the log says why."""

    def test_no_run(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """Without a full run that has succeeded, nothing is known."""
        steps = ["dbt run"]
        assert world.trigger(world.call(world.load(orders(2)), steps_override=steps))
        assert "Building everything: none of the last 1 runs built everything" in log.text

    def test_no_source(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """A table may be read without being a source."""
        assert world.built(world.load(dlt.resource([1], name="other"))) is EVERYTHING
        assert "Building everything: the table other is not a source of the project." in log.text

    def test_no_manifest(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """A run may have left no manifest."""
        world.cloud.fail_next(Fault.not_found(), "manifest.json$")
        assert world.built(world.load(orders(2))) is EVERYTHING
        assert "Building everything: " in log.text

    def test_project_changed(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """After a run with another commit, all may have changed."""
        full = world.call(world.load(orders(2)), data={"git_sha": "a"})
        assert world.trigger(full)["steps_override"] is None
        runs = [DBTCloudRun({**run, "git_sha": sha}) for run, sha in ((full, "b"), (full, "a"))]
        for run, run_id in zip(runs, (2, 1), strict=True):
            run.update(id=run_id, trigger={"cause": "", "steps_override": ["x"] * (run_id - 1)})
        past = select_coverage.history(runs, {})
        assert past is not None
        with pytest.raises(UnsureError, match="project has changed since run 1"):
            past.check_project()

    def test_steps_changed(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """If the job had other steps when all was built, that was not all."""
        for run in world.cloud._world.runs.values():
            run.steps[0].name = "Invoke dbt with `dbt run`"
        assert world.built(world.load(orders(2))) is EVERYTHING
        assert "had other steps" in log.text

    def test_destination(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """A destination without SQL can't be queried for earlier loads."""
        destination = dlt.destinations.filesystem(str(world.folder / "files"))
        pipeline = dlt.pipeline("files", str(world.folder), destination=destination)
        assert world.built(pipeline.run(orders(2))) is EVERYTHING
        assert "the destination can't be queried for earlier loads" in log.text

    def test_slow_destination(self) -> None:
        """A destination that does not answer in time is named, not dbt Cloud."""
        asked = _io.ask(_io.Blocking(0.01), "the destination", threading.Event().wait, 1)
        with pytest.raises(DBTCloudConnectionException, match=r"^the destination gave"):
            _io.run(asked)

    def test_locked(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """Nor can a database that is not there any more."""
        load_info = world.load(orders(2))
        world.database.close()
        (world.folder / DATABASE).write_text("no database")
        assert world.built(load_info) is EVERYTHING
        assert "can't be queried for earlier loads" in log.text

    def test_no_load(self, world: World, log: pytest.LogCaptureFixture) -> None:
        """A call that knows of no load builds everything, and skips nothing."""
        assert world.built(None, skip_unchanged=True) is EVERYTHING
        assert "Building everything: no destination is known: pass `load_info`" in log.text


class TestSkipped:
    """If no table has changed, nothing is triggered."""

    def test_nothing_loaded(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        """A load without rows triggers nothing, raises nothing, and prints as one line."""
        before = world.triggers
        for load in (world.load(dlt.resource([], name="orders")), world.load()):
            run = world.call(load, skip_unchanged=True, raise_on_failure=True)
            assert world.triggers == before
            assert run.is_skipped
            assert run.is_complete
            assert not run.is_error
            run.raise_on_failure()
            job = world.cloud.jobs[0].id
            assert str(run).startswith(f"dbt Cloud job {job}: Skipped. Nothing to build: no table")
            assert "\n" not in str(run)

    def test_everything_or_nothing(self, world: World) -> None:
        """Without `select_loaded` all is built as soon as anything has changed."""
        settings = {"select_loaded": False, "skip_unchanged": True}
        assert world.built(world.load(orders(2)), **settings) is EVERYTHING
        assert world.call(world.load(), **settings).is_skipped

    def test_earlier_load(self, world: World) -> None:
        """Nothing is skipped that no run has covered: the next call builds it, once."""
        lost = world.load(orders(2))
        empty = world.load(dlt.resource([], name="orders"))
        run = world.call(empty, skip_unchanged=True)
        assert world.trigger(run)["steps_override"] == [f"dbt build --select {ORDERS}"]
        assert lost.loads_ids[0] in world.trigger(run)["cause"]
        assert world.call(empty, skip_unchanged=True).is_skipped

    def test_not_loaded(self, world: World) -> None:
        """The source of results has no rows of it."""
        run = world.call(world.load(), skip_unchanged=True)
        source = dbt_cloud_source(run=run, credentials=world.cloud.credentials)
        world.load(source, pipeline="results")
        with (
            world.pipelines["results"].sql_client() as client,
            pytest.raises(DatabaseUndefinedRelation, match="dbt_cloud_runs does not exist"),
        ):
            client.execute_sql("select * from dbt_cloud_runs")


def test_threads(world: World) -> None:
    """Calls for one load from several threads settle on one run."""
    load_info = world.load(orders(2))
    runs: list[int] = []
    threads = [
        threading.Thread(target=lambda: runs.append(world.call(load_info).id)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 3
    assert len({*runs}) == 1
