"""Runs, steps and node results as tables: what is in them, nothing skipped, nothing doubled."""

import json
import logging
import re
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import dlt
import pytest
import requests
import responses
from dlt.common.pipeline import LoadInfo
from dlt.pipeline.exceptions import PipelineStepFailed
from hypothesis import given
from hypothesis import strategies as st
from responses.matchers import query_param_matcher

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudHTTPException,
    DBTCloudRun,
    InvalidCredentialsException,
    run_dbt_cloud_job,
)
from dlt_dbt_cloud._start.load import load_cause, parse_load_cause
from dlt_dbt_cloud._start.trigger import tagged
from dlt_dbt_cloud.local import DBTJob, Fault, LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.sources import Bookmark, dbt_cloud_source, load_causes, node_rows
from dlt_dbt_cloud.sources.rows import node_values, nodes_in, run_row, step_row
from dlt_dbt_cloud.sources.tables import NODE_RESULTS, RUN_LOADS, RUN_STEPS, RUNS, Table, as_moment
from tests.utils import ACCOUNT, RUN_ID, SAMPLES, TOKEN, JumpingTimer, configured, sample

ROOT = Path(__file__).parents[2]
TABLES = (RUNS, RUN_LOADS, RUN_STEPS, NODE_RESULTS)
LOAD_ID = "1795458706.2138786"
CAUSE = f"dlt pipeline flights loaded dataset nyc: {LOAD_ID}"
FROM_LOADS_TO_MODELS = (ROOT / "sample_pipelines" / "loads_to_models.sql").read_text()


def recorded_results(**changes: Any) -> dict[str, Any]:
    """A recorded `run_results.json` of a `dbt build`."""
    return {**sample("run_results"), "args": {"which": "build"}, **changes}


class Clock:
    """The seconds by which the scripts of a local dbt Cloud go on."""

    time = 0.0

    def __call__(self) -> float:
        """Returns the seconds."""
        return self.time


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
def pipeline(dlt_world: Path) -> dlt.Pipeline:
    """A pipeline into an empty DuckDB."""
    return dlt.pipeline(
        "flights",
        destination=dlt.destinations.duckdb(str(dlt_world / "flights.duckdb")),
        dataset_name="nyc",
        pipelines_dir=str(dlt_world / "pipelines"),
    )


def triggered(cloud: LocalDBTCloud, job: int = 0, cause: str = "a test") -> DBTCloudRun:
    """Returns a new run as it is after a first look, with all that the API tells."""
    client = DBTCloudClientV2(credentials=cloud.credentials_for(job))
    run = client.trigger_run(cloud.jobs[job].id, {"cause": cause})
    return client.get_run_status(run.id, include_related=("trigger", "job", "run_steps"))


def rows(pipeline: dlt.Pipeline, sql: str) -> list[tuple[Any, ...]]:
    """Returns what a query finds in the dataset."""
    with pipeline.sql_client() as client:
        return [tuple(row) for row in client.execute_sql(sql) or ()]


def run_ids(pipeline: dlt.Pipeline) -> list[int]:
    """Returns the runs that are loaded."""
    return [row[0] for row in rows(pipeline, "select run_id from dbt_cloud_runs order by run_id")]


def contents(pipeline: dlt.Pipeline) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all rows, without the columns that dlt adds."""
    columns = {table.name: ", ".join(table.columns) for table in TABLES}
    return {
        name: rows(pipeline, f"select {columns[name]} from {name} order by all")  # noqa: S608
        for name in columns
    }


def requested(cloud: LocalDBTCloud, pattern: str) -> list[str]:
    """Returns the paths of the requests so far that match a pattern."""
    return [request.path for request in cloud.requests if re.search(pattern, request.path)]


class TestOneRun:
    """`pipeline.run(dbt_cloud_source(run=run))`, right after the job."""

    def test_from_load_to_models(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """One SQL join goes from `_dlt_loads` to the models that were built from the load."""
        load_info = pipeline.run([{"carrier": "UA"}], table_name="airlines")
        run = run_dbt_cloud_job(cloud.credentials, load_info=load_info)
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
        [load_id] = load_info.loads_ids
        assert rows(pipeline, FROM_LOADS_TO_MODELS) == [
            (load_id, run.id, "punctuality", "error", None, 1.02),
            (load_id, run.id, "routes", "skipped", None, 0.0),
            (load_id, run.id, "stg_flights", "success", 336776, 1.5),
        ]

    def test_tables(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """Each table has just its columns, of their types; nothing is nested in a further table."""
        run = triggered(cloud, cause=CAUSE)
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
        schema = pipeline.schemas["dbt_cloud"]
        assert {table["name"] for table in schema.data_tables()} == {t.name for t in TABLES}
        for table in TABLES:
            columns = schema.get_table_columns(table.name, include_incomplete=True)
            types = {name: column["data_type"] for name, column in columns.items()}
            own = {name: data_type for name, (data_type, _) in table.columns.items()}
            assert types == {**own, "_dlt_load_id": "text", "_dlt_id": "text"}
            keys = [name for name, column in columns.items() if column.get("primary_key")]
            assert keys == list(table.primary_key)

    def test_values(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """Times are times, ids of 14 digits stay whole, and durations are in seconds."""
        run = triggered(cloud, cause=CAUSE)
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
        [row] = rows(
            pipeline,
            """select run_id, job_name, status_name, pipeline_name, dataset_name,
            load_ids->>0, are_load_ids_complete, url,
            abs(epoch(finished_at - created_at) - queued_seconds - run_seconds) < 1e-5
            from dbt_cloud_runs""",
        )
        named = ("Nightly", "Success", "flights", "nyc", LOAD_ID, True, run.url, True)
        assert row == (run.id, *named)
        steps = "select run_id, step_index, name, status_name from dbt_cloud_run_steps"
        assert rows(pipeline, steps) == [(run.id, 1, "Invoke dbt with `dbt build`", "Success")]

    def test_twice(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """What is loaded twice is there once, and as it was: with the run, and from history."""
        source = dbt_cloud_source(run=triggered(cloud, cause=CAUSE), credentials=cloud.credentials)
        pipeline.run(source)
        once = contents(pipeline)
        assert {name: len(table) for name, table in once.items()} == {
            "dbt_cloud_runs": 1,
            "dbt_cloud_run_loads": 1,
            "dbt_cloud_run_steps": 1,
            "dbt_cloud_node_results": 4,
        }
        pipeline.run(source)
        pipeline.run(dbt_cloud_source(credentials=cloud.credentials))
        assert contents(pipeline) == once

    def test_joins_without_rows(self, pipeline: dlt.Pipeline) -> None:
        """All tables exist after the first run, also where it has no loads, steps or nodes."""
        with LocalDBTCloud(jobs=[ScriptedJob(statuses=[30])]) as cloud:
            source = dbt_cloud_source(run=triggered(cloud), credentials=cloud.credentials)
            pipeline.run(source)
        assert rows(pipeline, FROM_LOADS_TO_MODELS) == []
        counts = {name: len(table) for name, table in contents(pipeline).items()}
        assert counts == dict.fromkeys(counts, 0) | {"dbt_cloud_runs": 1}

    def test_bare_run(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """A run that was read without its trigger and its job is read again, with them."""
        bare = {"id": triggered(cloud, cause=CAUSE).id, "status": 10}
        pipeline.run(dbt_cloud_source(run=bare, credentials=cloud.credentials))
        run = "select job_name, pipeline_name from dbt_cloud_runs"
        assert rows(pipeline, run) == [("Nightly", "flights")]

    def test_run_that_goes_on(
        self,
        cloud: LocalDBTCloud,
        clock: Clock,
        pipeline: dlt.Pipeline,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """A run that goes on is loaded as it is, with a warning, and replaced when it has ended."""
        run = triggered(cloud, job=1)
        source = dbt_cloud_source(run=run, credentials=cloud.credentials)
        pipeline.run(source)
        status = "select status_name from dbt_cloud_runs"
        assert rows(pipeline, status) == [("Running",)]
        assert contents(pipeline)["dbt_cloud_run_steps"] == []
        assert f"Run {run.id} goes on. Load it again when it has ended." in log.text
        clock.time = 100
        pipeline.run(source)
        assert rows(pipeline, status) == [("Success",)]
        assert len(contents(pipeline)["dbt_cloud_node_results"]) == 4

    def test_destination_that_is_down(self, cloud: LocalDBTCloud, dlt_world: Path) -> None:
        """A failing load takes nothing away: the run is at hand, and the load can be repeated."""
        database = dlt_world / "missing" / "flights.duckdb"
        destination = dlt.destinations.duckdb(str(database))
        pipeline = dlt.pipeline("flights", "pipelines", destination=destination)
        run = run_dbt_cloud_job(cloud.credentials)
        with pytest.raises(PipelineStepFailed, match="missing"):
            pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
        assert run.is_success
        database.parent.mkdir()
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
        assert run_ids(pipeline) == [run.id]

    @pytest.mark.parametrize("run", [7, "70403110257794", {}, {"id": "7"}])
    def test_no_run(self, cloud: LocalDBTCloud, run: Any) -> None:
        """What is no run is refused before a request."""
        with pytest.raises(InvalidCredentialsException, match="`run` is a run as"):
            dbt_cloud_source(run=run, credentials=cloud.credentials)
        assert cloud.requests == []

    def test_load_without_run(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """A load belongs to one run: with the history it is refused."""
        load_info = pipeline.run([{"carrier": "UA"}], table_name="airlines")
        with pytest.raises(InvalidCredentialsException, match="`load_info` goes with `run`"):
            dbt_cloud_source(credentials=cloud.credentials, load_info=load_info)


class TestLoads:
    """Which loads a run belongs to."""

    def test_retry(self, pipeline: dlt.Pipeline) -> None:
        """A run that continues a failed one, even over several, has the loads of the first."""
        artifacts = {"run_results.json": recorded_results()}
        with LocalDBTCloud(jobs=[ScriptedJob(statuses=[20], artifacts=artifacts)]) as cloud:
            first = triggered(cloud, cause=CAUSE)
            client = DBTCloudClientV2(credentials=cloud.credentials)
            last = client.retry_run(client.get_run_status(client.retry_run(first.id).id).id)
            pipeline.run(dbt_cloud_source(run=last, credentials=cloud.credentials))
        assert first.id < last.id
        links = f"select load_id, pipeline_name from dbt_cloud_run_loads where run_id = {last.id}"  # noqa: S608
        assert rows(pipeline, links) == [(LOAD_ID, "flights")]

    def test_circle(self, api: responses.RequestsMock, client: DBTCloudClientV2) -> None:
        """A run that is said to continue a later one is not looked after: it would never end."""
        run = DBTCloudRun(id=2, status=10, retrying_run_id=2)
        assert load_causes(client, [run]) == [None]

    def test_own_cause(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """With `load_info` the run belongs to that load, whatever its cause says."""
        load_info = pipeline.run([{"carrier": "UA"}], table_name="airlines")
        for cause in ("The boss wants it", CAUSE):
            run = triggered(cloud, cause=cause)
            source = dbt_cloud_source(run=run, credentials=cloud.credentials, load_info=load_info)
            pipeline.run(source)
        links = "select load_id, dataset_name from dbt_cloud_run_loads order by all"
        [load_id] = load_info.loads_ids
        expected = [(load_id, "nyc"), (load_id, "nyc"), (LOAD_ID, "nyc")]
        assert rows(pipeline, links) == sorted(expected)

    @given(
        pipeline_name=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
        load_ids=st.lists(st.from_regex(r"1[0-9]{9}\.[0-9]{1,7}", fullmatch=True), min_size=1),
    )
    def test_round_trip(self, pipeline_name: str, load_ids: list[str]) -> None:
        """What `load_cause` writes is read again; where it was cut, only whole ids, and said so."""
        names = {"pipeline_name": pipeline_name}
        fields: dict[str, Any] = dict.fromkeys(LoadInfo._fields)
        fields |= {"pipeline": type("Pipeline", (), names), "dataset_name": "nyc: 1, 2"}
        load_info = LoadInfo(**{**fields, "loads_ids": load_ids, "metrics": {}})
        found = parse_load_cause(tagged(load_cause(load_info), "dlt:0123456789abcdef"))
        if found is None:  # cut before the ids
            assert len(pipeline_name) > 150
            return
        assert (found.pipeline_name, found.dataset_name) == (pipeline_name, "nyc: 1, 2")
        assert found.load_ids == load_ids[: len(found.load_ids)]
        assert found.are_load_ids_complete == (found.load_ids == load_ids)

    @pytest.mark.parametrize(
        ("cause", "expected"),
        [
            ("Triggered via API [dlt:0011223344556677]", None),
            ("", None),
            (f"Nightly: {CAUSE} [dlt:0]", ("flights", "nyc", [LOAD_ID], True)),
            (
                "dlt pipeline p loaded dataset None: 1.5, 2.5 [dlt:0]",
                ("p", None, ["1.5", "2.5"], True),
            ),
            ("dlt pipeline p loaded dataset d: 1.5, 2.… [dlt:0]", ("p", "d", ["1.5"], False)),
            ("dlt pipeline p loaded dataset d: 1.5,… [dlt:0]", ("p", "d", ["1.5"], False)),
            ("dlt pipeline p loaded dataset d: 1.5… [dlt:0]", ("p", "d", [], False)),
            ("dlt pipeline p loaded data… [dlt:0]", None),
        ],
    )
    def test_causes(self, cause: str, expected: tuple[Any, ...] | None) -> None:
        """A cause by anyone else has no loads; the last id of a cut cause may be half an id."""
        assert parse_load_cause(cause) == expected


class TestHistory:
    """`pipeline.run(dbt_cloud_source())`, again and again."""

    def test_since_the_last_time(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """The first time loads all runs that have ended, the next only what has ended since."""
        first = [triggered(cloud).id for _ in range(3)]
        pipeline.run(dbt_cloud_source(credentials=cloud.credentials))
        assert run_ids(pipeline) == first
        before = len(requested(cloud, "artifacts"))
        assert not pipeline.run(dbt_cloud_source(credentials=cloud.credentials)).loads_ids
        assert len(requested(cloud, "artifacts")) == before == 3
        later = triggered(cloud).id
        pipeline.run(dbt_cloud_source(credentials=cloud.credentials))
        assert run_ids(pipeline) == [*first, later]
        assert len(requested(cloud, "artifacts")) == before + 1

    def test_run_that_ends_late(
        self, cloud: LocalDBTCloud, clock: Clock, pipeline: dlt.Pipeline
    ) -> None:
        """A run that goes on is loaded once it has ended, though later ones were loaded before."""
        late, early = triggered(cloud, job=1).id, triggered(cloud).id
        history = dbt_cloud_source(credentials=cloud.credentials, all_jobs=True)
        pipeline.run(history)
        assert run_ids(pipeline) == [early]
        clock.time = 100
        pipeline.run(history)
        assert run_ids(pipeline) == [late, early]

    def test_run_left_far_behind(
        self, cloud: LocalDBTCloud, clock: Clock, pipeline: dlt.Pipeline
    ) -> None:
        """It is asked for by its id when more than a page of runs has come after it."""
        late = triggered(cloud, job=1).id
        client = DBTCloudClientV2(credentials=cloud.credentials)
        for _ in range(101):
            client.trigger_run(cloud.jobs[0].id)
        history = dbt_cloud_source(credentials=cloud.credentials, all_jobs=True)
        runs = history.with_resources("dbt_cloud_runs")
        pipeline.run(runs)
        assert late not in run_ids(pipeline)
        clock.time = 100
        pipeline.run(runs)
        assert run_ids(pipeline)[0] == late
        assert len(requested(cloud, f"pk__in=%5B{late}%5D")) == 1

    def test_jobs(self, cloud: LocalDBTCloud, clock: Clock, pipeline: dlt.Pipeline) -> None:
        """The configured job counts, by id or by name, or all do; each keeps its own bookmark."""
        nightly, slow = triggered(cloud).id, triggered(cloud, job=1).id
        clock.time = 100
        pipeline.run(dbt_cloud_source(credentials=cloud.credentials))
        assert run_ids(pipeline) == [nightly]
        settings = {**cloud.settings(), "job_id": ""}
        by_name = configured(**settings, job_name="Slow")
        pipeline.run(dbt_cloud_source(credentials=by_name))
        assert run_ids(pipeline) == [nightly, slow]
        again = pipeline.run(dbt_cloud_source(credentials=cloud.credentials, all_jobs=True))
        assert len(again.loads_ids) > 0
        assert run_ids(pipeline) == [nightly, slow]

    def test_in_parts(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """With a limit each load takes so many pages of a hundred, and none is skipped."""
        client = DBTCloudClientV2(credentials=cloud.credentials)
        for _ in range(230):
            client.trigger_run(cloud.jobs[0].id)
        counts = []
        for _ in range(4):
            source = dbt_cloud_source(credentials=cloud.credentials)
            source = source.with_resources("dbt_cloud_runs")
            source.dbt_cloud_runs.add_limit(1)
            pipeline.run(source)
            counts.append(len(run_ids(pipeline)))
        assert counts == [100, 200, 230, 230]

    def test_pages_are_read_when_needed(self, cloud: LocalDBTCloud) -> None:
        """A page is asked for when the one before has been taken."""
        client = DBTCloudClientV2(credentials=cloud.credentials)
        for _ in range(150):
            client.trigger_run(cloud.jobs[0].id)
        runs = iter(dbt_cloud_source(credentials=cloud.credentials).dbt_cloud_runs)
        next(runs)
        assert len(requested(cloud, r"/runs/\?.*offset")) == 1
        assert len(list(runs)) == 149
        assert len(requested(cloud, r"/runs/\?.*offset")) == 2

    def test_selection(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """Runs alone cost no request a run."""
        triggered(cloud)
        before = len(cloud.requests)
        source = dbt_cloud_source(credentials=cloud.credentials).with_resources("dbt_cloud_runs")
        pipeline.run(source)
        assert len(cloud.requests) == before + 1

    def test_refusal(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """What the API refuses surfaces as our exception, its words are in dlt's message."""
        credentials = configured(**{**cloud.settings(), "account_id": "7"})
        with pytest.raises(PipelineStepFailed, match="Token is not scoped to account") as info:
            pipeline.run(dbt_cloud_source(credentials=credentials))
        refusal = next(e for e in causes(info.value) if isinstance(e, DBTCloudHTTPException))
        assert refusal.status_code == 403

    def test_failure_skips_nothing(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """Where the artifact of one run is refused, the next load has all runs again."""
        first = [triggered(cloud).id for _ in range(2)]
        cloud.fail_next(Fault(commits=False, status=403), "artifacts")
        history = dbt_cloud_source(credentials=cloud.credentials)
        with pytest.raises(PipelineStepFailed, match="403 Forbidden"):
            pipeline.run(history)
        pipeline.run(history)
        assert run_ids(pipeline) == first
        assert len(contents(pipeline)["dbt_cloud_node_results"]) == 8

    def test_run_that_is_gone(
        self, api: responses.RequestsMock, pipeline: dlt.Pipeline, log: pytest.LogCaptureFixture
    ) -> None:
        """A run that went on and does not exist any more is given up, with a warning."""
        runs = [{"id": number, "status": 10} for number in range(1, 103)]
        runs[0]["status"] = 3
        listed(api, runs[:100], total=102, offset="0")
        listed(api, runs[100:], total=102, offset="100")
        listed(api, [], pk__in="[1]")
        listed(api, [], id__gt="2")
        for _ in range(3):
            source = dbt_cloud_source(credentials=configured(outage_timeout=0), all_jobs=True)
            pipeline.run(source.with_resources("dbt_cloud_runs"))
        assert run_ids(pipeline) == list(range(2, 103))
        assert log.text.count("Runs that went on do not exist any more: [1]") == 1

    def test_side_by_side(self, api: responses.RequestsMock, pipeline: dlt.Pipeline) -> None:
        """Artifacts of several runs are fetched at the same time."""
        both_are_asked_for = threading.Barrier(2, timeout=30)

        def answer(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            both_are_asked_for.wait()
            return 200, {}, json.dumps(recorded_results())

        listed(api, [{"id": number, "status": 10} for number in (1, 2)], offset="0")
        for number in (1, 2):
            run = {"id": number, "status": 10, "run_steps": [step(4)]}
            api.get(f"{ACCOUNT}/runs/{number}/", json={"data": run})
            url = f"{ACCOUNT}/runs/{number}/artifacts/run_results.json"
            api.add_callback("GET", url, answer, content_type="application/json")
        pipeline.run(dbt_cloud_source(credentials=configured(outage_timeout=0), all_jobs=True))
        assert len(contents(pipeline)["dbt_cloud_node_results"]) == 8


class Account:
    """An account whose runs appear, and end, in any order."""

    def __init__(self) -> None:
        self.ended: dict[int, bool] = {}
        self.state: dict[str, Any] = {}
        self.taken: list[int] = []

    def load(self) -> None:
        """Does what the history does, with a bookmark that has been through JSON."""
        self.state = json.loads(json.dumps(self.state))
        bookmark = Bookmark(self.state)
        behind = [self.run(number) for number in bookmark.left_behind]
        self.taken += [run.id for run in bookmark.take(behind)]
        ids = sorted(number for number in self.ended if number > bookmark.after_id)
        for start in range(0, len(ids), 100):
            found = bookmark.take(map(self.run, ids[start : start + 100]))
            self.taken += [run.id for run in found]

    def run(self, number: int) -> DBTCloudRun:
        """Returns a run as the API shows it now."""
        return DBTCloudRun(id=number, status=10 if self.ended[number] else 3)


class TestBookmark:
    """No run is skipped, and none is taken twice."""

    @given(st.randoms(use_true_random=True))
    def test_any_order(self, random: Random) -> None:
        """Runs may end in any order, appear some places late, and loads come at any time."""
        account = Account()
        hidden = list(range(1, random.randint(1, 400) + 1))
        while hidden:
            for _ in range(min(random.randint(1, 90), len(hidden))):
                # One of the first: those before it appear later.
                number = hidden.pop(random.randrange(min(10, len(hidden))))
                account.ended[number] = random.random() < 0.5
            account.load()
            going = [number for number, has_ended in account.ended.items() if not has_ended]
            account.ended.update(dict.fromkeys(random.sample(going, len(going) // 2), True))
        account.ended = dict.fromkeys(account.ended, True)
        account.load()
        account.load()
        assert sorted(account.taken) == sorted(account.ended)

    def test_state_is_small(self) -> None:
        """The state holds the runs that go on and the newest hundred, however many there were."""
        account = Account()
        account.ended = {number: number != 7 for number in range(1, 5001)}
        account.load()
        state = account.state
        assert (state["after_id"], state["going"], len(state["newest"])) == (4900, [7], 100)


def step(index: int, name: str = "Invoke dbt with `dbt build`", **changes: Any) -> dict[str, Any]:
    """Returns a step that ended long ago."""
    times = {"started_at": "2024-06-05 10:00:05", "finished_at": "2024-06-05 10:01:05+00:00"}
    return {"index": index, "name": name, "status": 10, **times, **changes}


def row_of(step: dict[str, Any]) -> dict[str, Any]:
    """Returns a step as a row."""
    return step_row(RUN_ID, 0, step)


def artifact(api: responses.RequestsMock, index: int, **answer: Any) -> None:
    """Lets the API answer the request for the results of a step."""
    url = f"{ACCOUNT}/runs/{RUN_ID}/artifacts/run_results.json"
    api.get(url, match=[query_param_matcher({"step": str(index)})], **answer)


class TestArtifacts:
    """The `run_results.json` of each dbt step."""

    def test_steps_without(self, api: responses.RequestsMock, client: DBTCloudClientV2) -> None:
        """Only of steps that may build or test something the results are asked for."""
        names = ["Clone git repository", "Create profile from connection dbt warehouse"]
        commands = ("deps", "docs generate", "source freshness", "compile", "parse", "run", "test")
        names += [f"Invoke dbt with `dbt {command}`" for command in commands]
        steps = [row_of(step(index, name)) for index, name in enumerate(names, start=1)]
        artifact(api, 8, json=recorded_results())
        artifact(api, 9, json={**sample("run_results"), "metadata": {"invocation_id": "other"}})
        found = node_rows(client, steps)()
        assert {row["step_index"] for row in found} == {8, 9}

    def test_missing(
        self,
        api: responses.RequestsMock,
        client: DBTCloudClientV2,
        timer: JumpingTimer,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """Results that are missing are skipped with a warning, at once where the step is old."""
        artifact(api, 4, status=404)
        artifact(api, 5, json=recorded_results())
        found = node_rows(client, [row_of(step(4)), row_of(step(5))])()
        assert len(found) == 4
        assert timer.sleeps == []
        assert f"Step 4 of run {RUN_ID} has no readable run_results.json" in log.text

    def test_late(
        self, api: responses.RequestsMock, client: DBTCloudClientV2, timer: JumpingTimer
    ) -> None:
        """Results of a step that has just ended are waited for, a few seconds."""
        finished_at = (datetime.now(timezone.utc) - timedelta(seconds=5)).isoformat()
        steps = [row_of(step(4, finished_at=finished_at))]
        for _ in range(2):
            artifact(api, 4, status=404)
        artifact(api, 4, json=recorded_results())
        assert len(node_rows(client, steps)()) == 4
        assert timer.sleeps == [1, 2]

    def test_late_and_never(
        self, api: responses.RequestsMock, client: DBTCloudClientV2, timer: JumpingTimer
    ) -> None:
        """The wait for them ends, and the steps of a run share it."""
        finished_at = datetime.now(timezone.utc).isoformat()
        for index in (4, 5):
            artifact(api, index, status=404)
        steps = [row_of(step(index, finished_at=finished_at)) for index in (4, 5)]
        assert node_rows(client, steps)() == []
        assert timer.sleeps == [1, 2, 3]

    @pytest.mark.parametrize("body", ["<html>", "", "[1]", "null"])
    def test_unreadable(
        self,
        api: responses.RequestsMock,
        client: DBTCloudClientV2,
        log: pytest.LogCaptureFixture,
        body: str,
    ) -> None:
        """What is no `run_results.json` is skipped with a warning."""
        artifact(api, 4, body=body)
        assert node_rows(client, [row_of(step(4))])() == []
        assert "no readable run_results.json" in log.text

    def test_left_by_the_step_before(
        self,
        api: responses.RequestsMock,
        client: DBTCloudClientV2,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """A step that failed before dbt did anything has none of the results of the step before."""
        artifact(api, 4, json=recorded_results())
        artifact(api, 5, json=recorded_results())
        found = node_rows(client, [row_of(step(4)), row_of(step(5))])()
        assert {row["step_index"] for row in found} == {4}
        assert f"Step 5 of run {RUN_ID} has no readable run_results.json of its own" in log.text

    def test_refused(self, api: responses.RequestsMock, client: DBTCloudClientV2) -> None:
        """A refusal is no missing artifact: it ends the load, and nothing is skipped."""
        artifact(api, 4, status=403)
        with pytest.raises(DBTCloudHTTPException):
            node_rows(client, [row_of(step(4))])()


class TestNodes:
    """The entries of a `run_results.json`."""

    def test_recorded(self) -> None:
        """Of a recorded one all nodes are there, with what their kind has."""
        found = nodes_in(recorded_results(), row_of(step(4)))
        columns = ("resource_type", "name", "status", "rows_affected", "failures", "command")
        assert [tuple(row[column] for column in columns) for row in found] == [
            ("model", "stg_flights", "success", 336776, None, "build"),
            ("model", "punctuality", "error", None, None, "build"),
            ("test", "not_null_flights_carrier", "fail", None, 3, "build"),
            ("model", "routes", "skipped", None, None, "build"),
        ]
        assert {tuple(row) for row in found} == {tuple(NODE_RESULTS.columns)}

    @pytest.mark.parametrize("version", range(1, 7))
    def test_known_schema(self, version: int, log: pytest.LogCaptureFixture) -> None:
        """The schema versions since dbt 0.19 are known."""
        url = f"https://schemas.getdbt.com/dbt/run-results/v{version}.json"
        results = recorded_results(metadata={"dbt_schema_version": url})
        assert len(nodes_in(results, row_of(step(4)))) == 4
        assert log.text == ""

    @pytest.mark.parametrize(
        "metadata", [{"dbt_schema_version": ".../run-results/v7.json"}, {}, None, "v7"]
    )
    def test_unknown_schema(self, metadata: Any, log: pytest.LogCaptureFixture) -> None:
        """An unknown schema version is loaded as far as it goes, with a warning."""
        result = {"unique_id": "model.flights.routes", "status": {"new": "kind"}, "timing": "soon"}
        entries = [result, "entry", {"status": "success"}, None]
        found = nodes_in(recorded_results(metadata=metadata, results=entries), row_of(step(4)))
        assert [(row["name"], row["started_at"]) for row in found] == [("routes", None)]
        assert f"Step 4 of run {RUN_ID} has a run_results.json of schema" in log.text
        nowhere = recorded_results(metadata=metadata, results={"model.flights.routes": "success"})
        assert nodes_in(nowhere, row_of(step(4))) == []

    @pytest.mark.parametrize("command", ["compile", "generate", "show"])
    def test_compiled_only(self, command: str) -> None:
        """Nodes that were only compiled, as for the docs, were not built: they are left out."""
        assert nodes_in(recorded_results(args={"which": command}), row_of(step(4))) == []

    @pytest.mark.parametrize(
        ("unique_id", "expected"),
        [
            ("model.flights.routes", ("model", "routes")),
            ("model.flights.routes.v2", ("model", "routes.v2")),
            ("test.flights.not_null_routes_id.3728a38420", ("test", "not_null_routes_id")),
            ("test.flights.every_flight_is_there", ("test", "every_flight_is_there")),
            ("unit_test.flights.routes.counts", ("unit_test", "routes.counts")),
            ("nodots", ("nodots", "")),
        ],
    )
    def test_names(self, unique_id: str, expected: tuple[str, str]) -> None:
        """The name is what people call the node."""
        found = node_values({"unique_id": unique_id})
        assert (found["resource_type"], found["name"]) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)
PYTHON_TYPES: dict[str, Any] = {
    "bigint": int,
    "bool": bool,
    "double": float,
    "json": list | dict,
    "text": str,
    "timestamp": datetime,
}


class TestTypes:
    """A value of an unexpected type never makes a column of its own."""

    @pytest.mark.parametrize("table", TABLES)
    @given(data=st.data())
    def test_rows(self, table: Table, data: st.DataObject) -> None:
        """Whatever the API answers, a row has values of its columns' types, or none."""
        names = st.sampled_from(list(table.columns))
        row = table.row(data.draw(st.dictionaries(names, json_values)))
        assert row.keys() == table.columns.keys()
        for name, (data_type, _) in table.columns.items():
            assert row[name] is None or isinstance(row[name], PYTHON_TYPES[data_type])

    @given(st.dictionaries(st.sampled_from(["trigger", "job", "created_at", "href"]), json_values))
    def test_odd_run(self, fields: dict[str, Any]) -> None:
        """A run is a row, whatever the API puts into it."""
        assert run_row(DBTCloudRun(id=1, status=10, **fields), None)["run_id"] == 1

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2024-06-05 10:00:05.052547+00:00", 52547),
            ("2024-06-05 10:00:05+00:00", 0),
            ("2024-06-05T10:00:05.100000Z", 100000),
            ("2024-06-05T10:00:05", 0),
        ],
    )
    def test_moments(self, text: str, expected: int) -> None:
        """The API's and dbt's times are all in UTC."""
        moment = datetime(2024, 6, 5, 10, 0, 5, expected, timezone.utc)
        assert as_moment(text) == moment

    def test_odd_numbers(self) -> None:
        """Digits are numbers; what no column can hold is left out."""
        row = NODE_RESULTS.row({"rows_affected": "12", "failures": 2**63, "execution_time": "nan"})
        assert (row["rows_affected"], row["failures"], row["execution_time"]) == (12, None, None)


class TestSettings:
    """The source is configured by `[dbt_cloud]`, as everything else."""

    def test_environment(
        self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The environment is enough, and a bare `JOB_ID` or `RUN` of a CI server is not ours."""
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        for name in ("JOB_ID", "RUN", "ALL_JOBS", "LOAD_INFO", "CREDENTIALS"):
            monkeypatch.setenv(name, "7")
        run = triggered(cloud)
        pipeline.run(dbt_cloud_source())
        assert run_ids(pipeline) == [run.id]

    def test_section_of_the_pipeline(
        self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline, secrets_toml: Callable[[str], None]
    ) -> None:
        """`[<pipeline>.dbt_cloud]` beats `[dbt_cloud]`, and an argument beats both."""
        general = "".join(f'{name} = "{value}"\n' for name, value in cloud.settings().items())
        slow = cloud.jobs[1].id
        secrets_toml(f"[dbt_cloud]\n{general}\n[flights.dbt_cloud]\njob_id = {slow}")
        run = triggered(cloud)
        pipeline.run(dbt_cloud_source().with_resources("dbt_cloud_runs"))
        pipeline.run(dbt_cloud_source(job_id=cloud.jobs[0].id))
        assert run_ids(pipeline) == [run.id]
        lists = requested(cloud, r"/runs/\?")
        assert f"job_definition_id={slow}" in lists[-2]

    @pytest.mark.parametrize("setting", ["api_token", "account_id"])
    def test_missing(self, cloud: LocalDBTCloud, setting: str) -> None:
        """A missing setting is named when the source is made, before any request."""
        settings: dict[str, Any] = {**cloud.settings(), setting: ""}
        with pytest.raises(InvalidCredentialsException, match=f"`{setting}` is missing"):
            dbt_cloud_source(credentials=DBTCloudConfiguration(**settings))
        assert cloud.requests == []

    def test_token_stays_secret(
        self,
        api: responses.RequestsMock,
        pipeline: dlt.Pipeline,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The token is in no log and no traceback, also where everything is logged and fails."""
        caplog.set_level(logging.DEBUG)
        listed(api, [{"id": 1, "status": 10}], offset="0")
        api.get(f"{ACCOUNT}/runs/1/", status=403, body=f"{TOKEN} may not")
        source = dbt_cloud_source(credentials=configured(outage_timeout=0), all_jobs=True)
        with pytest.raises(PipelineStepFailed) as info:
            pipeline.run(source)
        told = "".join(traceback.format_exception(info.value)) + repr(source) + str(source)
        assert TOKEN not in told
        assert TOKEN not in caplog.text


def test_real_dbt(dlt_world: Path, pipeline: dlt.Pipeline) -> None:
    """What dbt really writes is loaded: models and tests, their times and what they are called."""
    project = dlt_world / "tiny_dbt"
    shutil.copytree(SAMPLES / "local" / "tiny_dbt", project)
    env = {"TINY_DATABASE": str(dlt_world / "tiny.duckdb")}
    load_info = pipeline.run([{"carrier": "UA"}], table_name="airlines")
    with LocalDBTCloud(jobs=[DBTJob(project, env=env, generate_docs=True)]) as cloud:
        run = run_dbt_cloud_job(cloud.credentials, load_info=load_info, raise_on_failure=True)
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
    found = rows(pipeline, FROM_LOADS_TO_MODELS)
    assert [(row[0], row[2], row[3]) for row in found] == [
        (load_info.loads_ids[0], "numbers", "success"),
        (load_info.loads_ids[0], "doubled", "success"),
    ]
    timed = """
    select count(*), bool_and(abs(epoch(finished_at - started_at) - execution_time) < 1)
    from dbt_cloud_node_results
    """
    assert rows(pipeline, timed) == [(3, True)]


def listed(
    api: responses.RequestsMock, runs: list[dict[str, Any]], total: int = 0, **query: str
) -> None:
    """Lets the API answer a list of runs with this page."""
    related = {"include_related": '["trigger", "job"]'}
    order = {} if "pk__in" in query else {"order_by": "id"}
    params = {"limit": "100", "offset": "0", **order, **related, **query}
    pagination = {"count": len(runs), "total_count": total or len(runs)}
    body = {"data": runs, "extra": {"pagination": pagination}}
    api.get(f"{ACCOUNT}/runs/", match=[query_param_matcher(params)], json=body)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__
