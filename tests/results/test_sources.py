"""Runs, steps and node results as tables: what is in them, nothing skipped, nothing doubled."""

import logging
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from math import nan
from pathlib import Path
from typing import Any

import dlt
import pytest
import responses
from dlt.pipeline.exceptions import PipelineStepFailed
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudRun,
    InvalidCredentialsException,
    run_dbt_cloud_job,
)
from dlt_dbt_cloud._start.order import tagged
from dlt_dbt_cloud._values import moment
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.sources import dbt_cloud_source
from dlt_dbt_cloud.sources.reading import load_causes
from dlt_dbt_cloud.sources.rows import node_values, nodes_in, run_row, step_row
from dlt_dbt_cloud.sources.schema import NODE_RESULTS
from dlt_dbt_cloud.sources.tables import Table
from tests.results.shared import (
    CAUSE,
    FROM_LOADS_TO_MODELS,
    LOAD_ID,
    TABLES,
    Clock,
    contents,
    listed,
    recorded_results,
    requested,
    rows,
    run_ids,
    step,
    triggered,
)
from tests.utils import ACCOUNT, RUN_ID, TOKEN, configured


class TestOneRun:
    """`pipeline.run(dbt_cloud_source(run=run))`, right after the job."""

    def test_from_load_to_models(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """One SQL join goes from `_dlt_loads` to the models that were built from the load."""
        load_info = pipeline.run([{"carrier": "UA"}], table_name="airlines")
        run = run_dbt_cloud_job(cloud.credentials, load_info=load_info, wait_seconds=0.1)
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

    @pytest.mark.parametrize("file_format", ["jsonl", "parquet", "insert_values"])
    def test_any_file_format(
        self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline, file_format: Any
    ) -> None:
        """Each table is there, also without rows, whatever `loader_file_format` says."""
        run = triggered(cloud, cause=CAUSE)
        source = dbt_cloud_source(run=run, credentials=cloud.credentials)
        pipeline.run(source, loader_file_format=file_format).raise_on_failed_jobs()
        assert rows(pipeline, "select count(*) from dbt_cloud_node_results") == [(4,)]
        assert rows(pipeline, "select count(*) from dbt_cloud_source_freshness") == [(0,)]

    def test_other_destination(self, cloud: LocalDBTCloud, dlt_world: Path) -> None:
        """A destination that is not DuckDB gets the same rows, in its own format."""
        destination = dlt.destinations.filesystem(str(dlt_world / "bucket"))
        pipeline = dlt.pipeline("flights", destination=destination, dataset_name="nyc")
        run = triggered(cloud, cause=CAUSE)
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
        assert pipeline.last_trace
        assert pipeline.last_trace.last_normalize_info
        counts = pipeline.last_trace.last_normalize_info.row_counts
        assert {it.name: counts[it.name] for it in TABLES if counts[it.name]} == {
            "dbt_cloud_runs": 1,
            "dbt_cloud_run_loads": 1,
            "dbt_cloud_run_steps": 1,
            "dbt_cloud_node_results": 4,
        }

    def test_twice(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """What is loaded twice is there once, and as it was: with the run, and from history."""
        source = dbt_cloud_source(run=triggered(cloud, cause=CAUSE), credentials=cloud.credentials)
        pipeline.run(source)
        once = contents(pipeline)
        assert {name: len(table) for name, table in once.items() if table} == {
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
        assert f"Run {run.id} is in progress. Load it again later." in log.text
        clock.time = 100
        pipeline.run(source)
        assert rows(pipeline, status) == [("Success",)]
        assert len(contents(pipeline)["dbt_cloud_node_results"]) == 4

    def test_destination_that_is_down(self, cloud: LocalDBTCloud, dlt_world: Path) -> None:
        """A failing load takes nothing away: the run is at hand, and the load can be repeated."""
        database = dlt_world / "missing" / "flights.duckdb"
        destination = dlt.destinations.duckdb(str(database))
        pipeline = dlt.pipeline("flights", "pipelines", destination=destination)
        run = run_dbt_cloud_job(cloud.credentials, wait_seconds=0.1)
        with pytest.raises(PipelineStepFailed, match="missing"):
            pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
        assert run.is_success
        database.parent.mkdir()
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
        assert run_ids(pipeline) == [run.id]

    @pytest.mark.parametrize("run", [7, "70403110257794", {}, {"id": "7"}])
    def test_no_run(self, cloud: LocalDBTCloud, run: Any) -> None:
        """What is no run is refused before a request."""
        with pytest.raises(InvalidCredentialsException, match="Invalid `run`"):
            dbt_cloud_source(run=run, credentials=cloud.credentials)
        assert cloud.requests == []

    def test_load_without_run(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """A load belongs to one run: with the history it is refused."""
        load_info = pipeline.run([{"carrier": "UA"}], table_name="airlines")
        with pytest.raises(InvalidCredentialsException, match="`load_info` needs `run`"):
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
        of_runs = "select unnest(from_json(load_ids, '[\"VARCHAR\"]')), dataset_name"
        assert rows(pipeline, f"{of_runs} from dbt_cloud_runs order by all") == sorted(expected)

    @pytest.mark.parametrize("cut", ["", ", 2.…", "…"])
    def test_cut_cause(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline, cut: str) -> None:
        """With `load_info` a cause that was cut within its ids leaves nothing open."""
        load_info = pipeline.run([{"carrier": "UA"}], table_name="airlines")
        run = triggered(cloud, cause=Load.of(load_info).cause() + cut)
        pipeline.run(dbt_cloud_source(run=run, credentials=cloud.credentials, load_info=load_info))
        row = "select load_ids->>0, json_array_length(load_ids), are_load_ids_complete"
        complete = [(load_info.loads_ids[0], 1, True)]
        assert rows(pipeline, f"{row} from dbt_cloud_runs") == complete

    @given(
        pipeline_name=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
        load_ids=st.lists(st.from_regex(r"1[0-9]{9}\.[0-9]{1,7}", fullmatch=True), min_size=1),
    )
    def test_round_trip(self, pipeline_name: str, load_ids: list[str]) -> None:
        """What `Load.cause` writes is read again; where it was cut, only whole ids, and said so."""
        load = Load(pipeline_name, "nyc: 1, 2", load_ids)
        found = Load.of_cause(tagged(load.cause(), "dlt:0123456789abcdef"))
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
        assert Load.of_cause(cause) == expected


def row_of(step: dict[str, Any]) -> dict[str, Any]:
    """Returns a step as a row."""
    return step_row(RUN_ID, 0, step)


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
        assert f"Step 4 of run {RUN_ID} has a run_results.json of unknown schema" in log.text
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
        found = node_values({"unique_id": unique_id}, {})
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
        assert run_row(DBTCloudRun(id=1, status=10, **fields), [])["run_id"] == 1

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
        assert moment(text) == datetime(2024, 6, 5, 10, 0, 5, expected, timezone.utc)

    @pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
    def test_odd_moments(self, text: str) -> None:
        """A time that has none in UTC is left out."""
        assert NODE_RESULTS.row({"started_at": text})["started_at"] is None

    def test_odd_results(self, pipeline: dlt.Pipeline) -> None:
        """What can't be written is left out of a row, or replaced, and the rest is loaded."""
        values = {"big": 2**70, "half": "\ud800", "deep": {"a": {"b": "\udfff"}}, "nan": nan}
        names = ("message", "status", "adapter_response", "execution_time", "relation_name")
        nodes = [
            {"unique_id": f"model.flights.{name}", **dict.fromkeys(names, value)}
            for name, value in values.items()
        ]
        found = nodes_in(recorded_results(results=nodes), row_of(step(4)))
        pipeline.run(NODE_RESULTS.resource(lambda: NODE_RESULTS.items(found)))
        loaded = rows(pipeline, "select name from dbt_cloud_node_results")
        assert {name for (name,) in loaded} == {*values}

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
