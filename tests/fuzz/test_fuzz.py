"""Nothing in an answer raises anything but an exception of ours, on whichever path it is read."""

import json
import pickle
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import dlt
import hypothesis
import pytest

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudException,
    DBTCloudResponseException,
    DBTCloudRun,
)
from dlt_dbt_cloud._call import follow_run, follow_runs, run_job
from dlt_dbt_cloud._call.checking import check_job
from dlt_dbt_cloud._http.responses import parse_json
from dlt_dbt_cloud._http.transport import Transport
from dlt_dbt_cloud._io import run
from dlt_dbt_cloud._io.retry import RetryPolicy
from dlt_dbt_cloud._report import nodes
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud._start.select import Job
from dlt_dbt_cloud._start.select_coverage import uncovered
from dlt_dbt_cloud._start.select_destination import Loaded
from dlt_dbt_cloud._start.select_sources import Place
from dlt_dbt_cloud._start.select_steps import UnsureError, narrow
from dlt_dbt_cloud._values import printable, str_of
from dlt_dbt_cloud.sources import dbt_cloud_source
from tests.fuzz.mutations import UNREADABLE, VALUES, changes, fields, mutated, mutations
from tests.fuzz.world import FRESHNESS, MANIFEST, STEP, World, envelope, page, success
from tests.utils import JOB_ID, RUN_ID, THOROUGH, JumpingIO, configured, sample, sample_run

T = TypeVar("T")

Read = Callable[[DBTCloudClientV2], Any]
JOB = sample("jobs")["data"][0]
READS: dict[str, tuple[Any, list[Read]]] = {
    "run": (sample("run_error_related"), [lambda api: api.get_run_status(RUN_ID)]),
    "cancelled run": (sample("run_cancelled_by_user"), [lambda api: api.cancel_run(RUN_ID)]),
    "trigger": (
        sample("trigger"),
        [lambda api: api.post_run(JOB_ID, {}), lambda api: api.post_retry(1)],
    ),
    "runs": (
        sample("runs"),
        [lambda api: list(api.list_runs(limit=300)), lambda api: api.get_runs()],
    ),
    "jobs": (sample("jobs"), [lambda api: list(api.list_jobs(limit=300))]),
    "job": (envelope(JOB), [lambda api: api.get_job(JOB["id"])]),
    "step": (envelope(STEP), [lambda api: api.get_step(1)]),
    "retry": (envelope({"failed_step": {"index": 4}}), [lambda api: api.get_retry(1)]),
    "artifacts": (sample("artifacts"), [lambda api: api.list_artifacts(RUN_ID)]),
    "run_results": (
        sample("run_results"),
        [lambda api: list(nodes(api.get_artifact(RUN_ID, "run_results.json")))],
    ),
}
"""Answers, and how they are read."""


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


def some(found: Iterator[T], stride: int) -> Iterator[T]:
    """Yields every so manieth mutation, a quarter of them where hypothesis tries a quarter."""
    return islice(found, 0, None, stride * THOROUGH // hypothesis.settings().max_examples)


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
    assert pickle.loads(pickle.dumps(run)) == run, story  # noqa: S301  # our own
    assert repr(run)
    assert json.dumps(run, ensure_ascii=False).encode(), story  # a destination stores it
    show(story, run)
    outcome(story, run.raise_on_failure)


class TestReads:
    """The methods of the client."""

    @pytest.mark.parametrize("name", READS)
    def test_fields(self, name: str, world: World) -> None:
        """Whatever is in a field of an answer, a read returns or raises an exception of ours."""
        api = client()
        body, reads = READS[name]
        for story, text in mutations(body):
            world.everything = text
            for read in reads:
                found = outcome(story, partial(read, api))
                if not isinstance(found, list | tuple):
                    show(story, found)

    @pytest.mark.parametrize("name", READS)
    def test_unreadable(self, name: str, world: World) -> None:
        """A value that makes the body unreadable is an answer that is not the API's."""
        api = client()
        body, reads = READS[name]
        *_, path = fields(body)
        for problem, value in UNREADABLE.items():
            world.everything = mutated(body, path, value)
            for read in reads:
                error = outcome(problem, partial(read, api))
                assert isinstance(error, DBTCloudResponseException), problem

    @pytest.mark.parametrize("name", ["400", "400_query", "401", "403", "404", "500"])
    def test_errors(self, name: str, world: World) -> None:
        """Whatever is in the body of an error, it is an exception of ours with its status."""
        api = client()
        world.status = int(name[:3])
        for story, text in mutations(sample(name), {**VALUES, **UNREADABLE}):
            world.everything = text
            error = outcome(story, lambda: api.get_run_status(RUN_ID))
            assert error.status_code == world.status, story


RUNS = {"run_error_related": 1, "run_timed_out": 4, "run_queued": 4}
"""Recorded runs. Every so manieth mutation is tried: each field is, and each value."""


@pytest.mark.parametrize("name", RUNS)
def test_runs(name: str) -> None:
    """Whatever is in a run, as it is read or as a task gets it, it can be shown and pickled."""
    (result, *_) = nodes(sample("run_results"))
    for story, text in some(mutations(sample(name)), RUNS[name]):
        data = parse_json(text).get("data")
        found = outcome(story, partial(DBTCloudRun.from_dict, data))
        if isinstance(found, DBTCloudRun):
            found.nodes = (result,)
            ask(story, found)


Program = Callable[[JumpingIO, DBTCloudClientV2, DBTCloudConfiguration], Any]


async def check(io: JumpingIO, _: DBTCloudClientV2, config: DBTCloudConfiguration) -> Any:
    """Does what `check_dbt_cloud_job` does."""
    return await check_job({"credentials": config}, io=io)


async def select(io: JumpingIO, api: DBTCloudClientV2, config: DBTCloudConfiguration) -> Any:
    """Reads what `select_loaded` does, and returns the steps. If it is unsure, it builds all."""
    job = Job(io, api, Order(job_id=JOB_ID), RetryPolicy(0.0))
    load = Loaded("1.0", "flights", datetime.now(timezone.utc), "")
    try:
        past = await job.history()
        steps, sources = await job.steps(past), await job.sources(past)
        assert uncovered([load], past, steps) == [load]
        found = sources.at(Place("nyc", "raw", "flights"))
        return narrow(steps, sources.terms(found), has_default=sources.has_default)
    except UnsureError as why:
        return str_of(str(why))  # as `selected` tells it


SETTINGS = {"wait_timeout": 300, "outage_timeout": 60, "retry_failed": 1, "raise_on_failure": True}
BY_NAME = {"job_id": None, "job_name": "Hourly weather", "reuse_queued": True}
PROGRAMS: dict[str, tuple[Program, dict[str, Any], str]] = {
    "run_dbt_cloud_job": (run_job, SETTINGS, "run runs run_results trigger retry"),
    "run_dbt_cloud_job(job_name=...)": (run_job, {**SETTINGS, **BY_NAME}, "runs jobs"),
    "run_dbt_cloud_job(logs=True)": (run_job, {"logs": True}, "run step"),
    "get_dbt_cloud_run_status": (follow_run, {**SETTINGS, "run_id": str(RUN_ID)}, "run"),
    "wait_for_dbt_cloud_runs": (
        lambda io, api, config: follow_runs(io, api, config, [RUN_ID, RUN_ID - 1]),
        SETTINGS,
        "run runs",
    ),
    "check_dbt_cloud_job": (check, {}, "runs jobs job cancel"),
    "select_loaded": (select, {}, "run runs manifest"),
}
"""Programs, with settings, and the kinds of answers that they read."""

KINDS = {
    "run": (sample("run_error_related"), 11),
    "runs": (page(success(RUN_ID - 1)), 14),
    "jobs": (sample("jobs"), 7),
    "job": (envelope(JOB), 7),
    "run_results": (sample("run_results"), 2),
    "trigger": (sample("trigger"), 11),
    "retry": (sample("run_queued"), 11),
    "cancel": (sample("run_cancelled_by_user"), 11),
    "step": (envelope(STEP), 2),
    "manifest": (MANIFEST, 1),
}
"""The kinds of answers, with a body that has their fields. Every so manieth mutation is tried:
each field is, and each value, but not each value in each field."""

CASES = [(name, kind) for name, (*_, kinds) in PROGRAMS.items() for kind in kinds.split()]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_programs(
    name: str,
    kind: str,
    world: World,
    log: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever is in a field, a program ends in time, as it may, and tells no control character."""
    program, settings, _ = PROGRAMS[name]
    config, api = configured(**settings), client()
    body, stride = KINDS[kind]
    for story, change in some(changes(body), stride):
        io = JumpingIO()
        world.polls, world.changes = 0, {kind: change}
        found = outcome(story, partial(run, program(io, api, config)))
        show(story, found)
        assert sum(io.sleeps) < 900, story
        told = [record.getMessage() for record in log.records] + [capsys.readouterr().err]
        assert "\n".join(told) == printable("\n".join(told)), story
        log.clear()
    assert kind in world.kinds


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
    for number, found in enumerate(runs.values()):
        found["git_sha"] = found.get("git_sha") and str(number)  # each has a manifest of its own
    bodies = {"run_results": sample("run_results"), "manifest": MANIFEST, "sources": FRESHNESS}
    endless = {kind: cycle(text for _, text in mutations(body)) for kind, body in bodies.items()}
    world.changes = {
        "runs": lambda _: json.dumps(page(*runs.values())),
        "run": lambda body: json.dumps(envelope(runs[body["data"]["id"]])),
        **{kind: partial(lambda texts, _: next(texts), texts) for kind, texts in endless.items()},
    }
    pipeline = dlt.pipeline("fuzz", destination="duckdb", pipelines_dir=str(dlt_world))
    source = dbt_cloud_source(credentials=configured(outage_timeout=0), all_jobs=True)
    pipeline.run(source).raise_on_failed_jobs()
    with pipeline.sql_client() as sql:
        loaded = sql.execute_sql("select run_id from dbt_cloud_runs") or ()
    finished = {run_id for run_id, run in runs.items() if DBTCloudRun(run).is_complete}
    assert len(finished) > 300
    assert {row[0] for row in loaded} == finished
