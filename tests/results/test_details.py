"""What is read of a run beyond its row, and what of it may be missing."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import responses
from responses.matchers import query_param_matcher

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudRun, _io
from dlt_dbt_cloud.sources.manifests import Manifests
from dlt_dbt_cloud.sources.reading import read_details
from dlt_dbt_cloud.sources.rows import RunRow, run_row
from dlt_dbt_cloud.sources.schema import NODE_RESULTS
from tests.results.shared import recorded_results, step
from tests.utils import ACCOUNT, RUN_ID, SAMPLES, JumpingIO, sample


def artifact(api: responses.RequestsMock, index: int, **answer: Any) -> None:
    """Lets the API answer the request for the results of a step."""
    url = f"{ACCOUNT}/runs/{RUN_ID}/artifacts/run_results.json"
    api.get(url, match=[query_param_matcher({"step": str(index)})], **answer)


class Details:
    """Reads the details of a run with some steps."""

    def __init__(
        self, api: responses.RequestsMock, client: DBTCloudClientV2, io: JumpingIO
    ) -> None:
        self.api, self.client, self.io = api, client, io

    def of(self, *steps: dict[str, Any], **changes: Any) -> RunRow:
        """Returns the row of the run, with its steps and nodes."""
        run = {"id": RUN_ID, "status": 10, "run_steps": steps, **changes}
        self.api.get(f"{ACCOUNT}/runs/{RUN_ID}/", json={"data": run})
        return self.read()

    def read(self) -> RunRow:
        """Returns the row of the run, as the API answers."""
        row = run_row(DBTCloudRun(id=RUN_ID, status=10), [])
        _io.run(read_details(self.io, self.client, row, [NODE_RESULTS.name], Manifests()))
        return row


@pytest.fixture
def details(api: responses.RequestsMock, client: DBTCloudClientV2, io: JumpingIO) -> Details:
    """Reads details in virtual time."""
    return Details(api, client, io)


def now(**ago: float) -> str:
    """Returns a time before now."""
    return (datetime.now(timezone.utc) - timedelta(**ago)).isoformat()


def test_steps_without_results(api: responses.RequestsMock, details: Details) -> None:
    """Results are requested only of steps that may build or test something."""
    names = ["Clone git repository", "Create profile from connection dbt warehouse"]
    commands = ("deps", "docs generate", "source freshness", "compile", "parse", "run", "test")
    names += [f"Invoke dbt with `dbt {command}`" for command in commands]
    artifact(api, 8, json=recorded_results())
    artifact(api, 9, json={**sample("run_results"), "metadata": {"invocation_id": "other"}})
    row = details.of(*(step(index, name) for index, name in enumerate(names, start=1)))
    assert {node["step_index"] for node in row.nodes} == {8, 9}
    assert row["load_error"] is None


def test_missing(api: responses.RequestsMock, details: Details) -> None:
    """Results that an old step lacks are marked at once, and those of other steps are loaded."""
    artifact(api, 4, status=404)
    artifact(api, 5, json=recorded_results())
    row = details.of(step(4), step(5))
    assert len(row.nodes) == 4
    assert details.io.sleeps == []
    assert row["load_error"] == "Nodes of step 4: no readable run_results.json of its own"
    assert not row.is_refused


def test_late(api: responses.RequestsMock, details: Details) -> None:
    """Results of a step that has just succeeded are waited for, a few seconds."""
    for _ in range(2):
        artifact(api, 4, status=404)
    artifact(api, 4, json=recorded_results())
    row = details.of(step(4, finished_at=now(seconds=5)))
    assert (len(row.nodes), row["load_error"]) == (4, None)
    assert details.io.sleeps == [1, 2]


def test_late_and_never(api: responses.RequestsMock, details: Details) -> None:
    """The wait for them ends, and the steps of a run share it."""
    for index in (4, 5):
        artifact(api, index, status=404)
    row = details.of(*(step(index, finished_at=now()) for index in (4, 5)))
    assert row.nodes == []
    assert details.io.sleeps == [1, 2, 3]


def test_error(api: responses.RequestsMock, details: Details) -> None:
    """Why a run failed before its first node is in its row."""
    log = (SAMPLES / "dbt_logs" / "jinja.log").read_text()
    row = details.of(step(4, status=20, logs=log), status=20, artifacts_saved=False)
    told = [row[f"error_{name}"] for name in ("kind", "file", "line")]
    assert told == ["parse", "models/doubled.sql", 1]
    assert "unexpected '}'" in row["error"]


def test_failed_before_the_first_node(api: responses.RequestsMock, details: Details) -> None:
    """A run that failed before its first node is complete without results, and at once."""
    artifact(api, 4, status=404)
    failed = step(4, status=20, finished_at=now(), logs="Compilation Error in model flights")
    row = details.of(failed, status=20, artifacts_saved=False)
    assert (row.nodes, row["load_error"]) == ([], None)
    assert details.io.sleeps == []


@pytest.mark.parametrize("body", ["<html>", "", "[1]", "null", "[" * 100_000])
def test_unreadable(api: responses.RequestsMock, details: Details, body: str) -> None:
    """What is no `run_results.json` is marked."""
    artifact(api, 4, body=body)
    row = details.of(step(4))
    assert row.nodes == []
    assert "Nodes of step 4: no readable run_results.json" in row["load_error"]


def test_left_by_the_step_before(api: responses.RequestsMock, details: Details) -> None:
    """A step that failed before dbt did anything has none of the results of the step before."""
    artifact(api, 4, json=recorded_results())
    artifact(api, 5, json=recorded_results())
    row = details.of(step(4), step(5, status=20), artifacts_saved=True)
    assert {node["step_index"] for node in row.nodes} == {4}
    assert row["load_error"] == "Nodes of step 5: no readable run_results.json of its own"


@pytest.mark.parametrize("status", [400, 401, 403, 410, 500, 502])
def test_refused(api: responses.RequestsMock, details: Details, status: int) -> None:
    """If the results of one step are refused for good, those of the others are loaded."""
    artifact(api, 4, status=status)
    artifact(api, 5, json=recorded_results())
    row = details.of(step(4), step(5))
    assert {node["step_index"] for node in row.nodes} == {5}
    assert len(row.steps) == 2
    assert "Nodes of step 4: " in row["load_error"]
    assert str(status) in row["load_error"]
    assert row.is_refused


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 403},
        {"status": 404},
        {"status": 500},
        {"body": "<html>"},
        {"json": {"data": None}},
        {"json": {"data": {"id": RUN_ID + 1, "status": 10}}},
    ],
)
def test_steps_refused(
    api: responses.RequestsMock, details: Details, answer: dict[str, Any]
) -> None:
    """If the steps can't be read, the row says so."""
    api.get(f"{ACCOUNT}/runs/{RUN_ID}/", **answer)
    row = details.read()
    assert (row.steps, row.nodes) == ([], [])
    assert row["load_error"].startswith("Steps: ")


@pytest.mark.parametrize("steps", [None, 7, "soon", {"4": {}}, [None, "step", []]])
def test_odd_steps(details: Details, steps: Any) -> None:
    """Steps that are none are left out."""
    assert details.of(run_steps=steps).steps == []


@pytest.mark.parametrize("index", [None, "x", -0.5, {}, 2**64])
def test_odd_index(api: responses.RequestsMock, details: Details, index: Any) -> None:
    """A step has a place in the run, whatever its index is."""
    artifact(api, 1, json=recorded_results())
    row = details.of(step(index))
    assert [values["step_index"] for values in row.steps] == [1]
    assert len(row.nodes) == 4
