"""Nothing in an answer raises anything but an exception of ours, on whichever path it is read."""

import json
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import dlt
import pytest

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudException,
    DBTCloudResponseException,
    DBTCloudRun,
)
from dlt_dbt_cloud._call import follow_run, follow_runs, run_job
from dlt_dbt_cloud._http.responses import parse_json
from dlt_dbt_cloud._http.transport import Transport
from dlt_dbt_cloud._io import run
from dlt_dbt_cloud._report import nodes
from dlt_dbt_cloud._values import printable
from dlt_dbt_cloud.sources import dbt_cloud_source
from tests.fuzz.mutations import UNREADABLE, VALUES, fields, mutated, mutations
from tests.fuzz.world import World, envelope, page
from tests.utils import JOB_ID, RUN_ID, JumpingIO, configured, sample, sample_run

READS: dict[str, list[Callable[[DBTCloudClientV2], Any]]] = {
    "run_error_related": [lambda api: api.get_run_status(RUN_ID)],
    "run_cancelled_by_user": [lambda api: api.cancel_run(RUN_ID)],
    "trigger": [lambda api: api.post_run(JOB_ID, {}), lambda api: api.post_retry(1)],
    "runs": [lambda api: list(api.list_runs(limit=300)), lambda api: api.get_runs()],
    "jobs": [lambda api: list(api.list_jobs(limit=300))],
    "artifacts": [lambda api: api.list_artifacts(RUN_ID)],
    "run_results": [
        lambda api: list(nodes(api.get_artifact(RUN_ID, "run_results.json"))),
        lambda api: api.get_retry(RUN_ID),
    ],
}
"""How a recorded body is read."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A dbt Cloud that all clients reach."""
    world = World()
    monkeypatch.setattr(Transport, "_receive", world.receive)
    return world


def client(**settings: Any) -> DBTCloudClientV2:
    """Returns a client in virtual time that sends each request once."""
    return DBTCloudClientV2(credentials=configured(**settings), outage_timeout=0, io=JumpingIO())


def outcome(story: str, call: Callable[[], Any]) -> Any:
    """Returns what a call returns, or its exception if it is one of ours."""
    try:
        return call()
    except DBTCloudException as error:
        show(story, error)
        return error
    except BaseException as error:
        raise AssertionError(story) from error


def show(story: str, value: Any) -> None:
    """Shows a run or an exception as people see it."""
    text = str(value)
    assert text == printable(text), story
    assert len(text) < 50_000, story


def ask(story: str, run: DBTCloudRun) -> None:
    """Asks a run all that one may ask of it."""
    names = [name for name in dir(DBTCloudRun) if isinstance(getattr(DBTCloudRun, name), property)]
    assert [getattr(run, name) for name in names]
    assert len(run._repr_html_()) < 60_000, story
    assert "<script" not in run.to_html() + run.to_markdown(), story
    assert str(pickle.loads(pickle.dumps(run))) == str(run), story  # noqa: S301  # our own
    show(story, run)
    assert repr(run)
    assert json.dumps(run, ensure_ascii=False).encode(), story  # a destination stores it
    outcome(story, run.raise_on_failure)


def stories(name: str, values: dict[str, str] = VALUES) -> Iterator[tuple[str, str]]:
    """Yields each mutation of a recorded body."""
    return ((f"{name}: {story}", text) for story, text in mutations(sample(name), values))


class TestReads:
    """The methods of the client."""

    @pytest.mark.parametrize("name", READS)
    def test_fields(self, name: str, world: World) -> None:
        """Whatever is in a field of an answer, a read returns or raises an exception of ours."""
        api = client()
        for story, text in stories(name):
            world.everything = text
            for read in READS[name]:
                found = outcome(story, partial(read, api))
                if not isinstance(found, list | tuple):
                    show(story, found)

    @pytest.mark.parametrize("name", READS)
    def test_unreadable(self, name: str, world: World) -> None:
        """A value that makes the body unreadable is an answer that is not the API's."""
        api = client()
        path = next(islice(fields(sample(name)), 5, None))
        for problem, value in UNREADABLE.items():
            world.everything = mutated(sample(name), path, value)
            for read in READS[name]:
                error = outcome(problem, partial(read, api))
                assert isinstance(error, DBTCloudResponseException), problem

    @pytest.mark.parametrize("name", ["400", "400_query", "401", "403", "404", "500"])
    def test_errors(self, name: str, world: World) -> None:
        """Whatever is in the body of an error, it is an exception of ours with its status."""
        api = client()
        world.status = int(name[:3])
        for story, text in stories(name, {**VALUES, **UNREADABLE}):
            world.everything = text
            error = outcome(story, lambda: api.get_run_status(RUN_ID))
            assert error.status_code == world.status, story


RUNS = ["run_error_related", "run_timed_out", "run_queued"]


@pytest.mark.parametrize("name", RUNS)
def test_runs(name: str) -> None:
    """Whatever is in a run, it can be shown, asked and pickled."""
    results = list(nodes(sample("run_results")))
    for story, text in stories(name):
        data = parse_json(text).get("data")
        found = DBTCloudRun(data if isinstance(data, dict) else {})
        found.nodes = found.failed_nodes = tuple(results)
        ask(story, found)


SETTINGS = {"wait_timeout": 300, "outage_timeout": 60, "retry_failed": 1, "raise_on_failure": True}
BY_NAME = {"job_id": None, "job_name": "Nightly flights", "reuse_queued": True}
Program = Callable[[JumpingIO, DBTCloudClientV2, DBTCloudConfiguration], Any]
PROGRAMS: dict[str, tuple[Program, dict[str, Any]]] = {
    "run_dbt_cloud_job": (run_job, SETTINGS),
    "run_dbt_cloud_job(job_name=...)": (run_job, {**SETTINGS, **BY_NAME}),
    "get_dbt_cloud_run_status": (follow_run, {**SETTINGS, "run_id": str(RUN_ID)}),
    "wait_for_dbt_cloud_runs": (
        lambda io, api, config: follow_runs(io, api, config, [RUN_ID, RUN_ID - 1]),
        SETTINGS,
    ),
}
KINDS = {
    "run": ("run_error_related", 11),
    "runs": ("runs", 7),
    "jobs": ("jobs", 1),
    "run_results": ("run_results", 2),
    "trigger": ("trigger", 11),
    "retry": ("run_queued", 11),
}
"""The kinds of answers of a program, with a recorded body that has their fields. Every
so manieth mutation is tried: each field is, and each value, but not each value in each field."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, kind: str, world: World, log: pytest.LogCaptureFixture) -> None:
    """Whatever is in a field, a program ends in time, as it may, and logs no control character."""
    program, settings = PROGRAMS[name]
    config, api = configured(**settings), client()
    body, stride = KINDS[kind]
    for story, change in islice(changes(sample(body)), 0, None, stride):
        io = JumpingIO()
        world.polls, world.changes = 0, {kind: change}
        found = outcome(story, partial(run, program(io, api, config)))
        show(story, found)
        assert sum(io.sleeps) < 900, story
        said = "\n".join(record.getMessage() for record in log.records)
        assert said == printable(said), story
        log.clear()
        if kind not in world.kinds:
            break  # the program makes no such request


def changes(body: Any) -> Iterator[tuple[str, Callable[[Any], str]]]:
    """Yields each mutation of a field for whichever body has the field."""
    for path in fields(body):
        for name, value in {**VALUES, "missing": None}.items():
            yield f"{path} is {name}", partial(changed, path=path, value=value)


def changed(body: Any, path: Any, value: str | None) -> str:
    """Returns the body as JSON, mutated if it has the field."""
    try:
        return mutated(body, path, value)
    except (LookupError, TypeError):
        return json.dumps(body)


def mutated_runs(stride: int) -> list[dict[str, Any]]:
    """Returns runs with ids of their own, each with a mutation."""
    found = []
    for number, (_, change) in enumerate(
        islice(changes(sample("run_error_related")), 0, None, stride)
    ):
        data = json.loads(change(sample_run("run_error_related", id=RUN_ID + number)))["data"]
        if isinstance(data, dict) and data["id"] == RUN_ID + number:
            found.append(data)
    return found


def test_source(world: World, dlt_world: Path) -> None:
    """Whatever is in a run, its steps and its results, the source loads it and all others."""
    runs = {run["id"]: run for run in mutated_runs(5)}
    results = cycle(text for _, text in mutations(sample("run_results")))
    world.changes = {
        "runs": lambda _: json.dumps(page(*runs.values())),
        "run": lambda body: json.dumps(envelope(runs[body["data"]["id"]])),
        "run_results": lambda _: next(results),
    }
    pipeline = dlt.pipeline("fuzz", destination="duckdb", pipelines_dir=str(dlt_world))
    source = dbt_cloud_source(credentials=configured(outage_timeout=0), all_jobs=True)
    pipeline.run(source).raise_on_failed_jobs()
    with pipeline.sql_client() as sql:
        loaded = sql.execute_sql("select run_id from dbt_cloud_runs") or ()
    finished = {run_id for run_id, run in runs.items() if DBTCloudRun(run).is_complete}
    assert len(finished) > 300
    assert {row[0] for row in loaded} == finished
