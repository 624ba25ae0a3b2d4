"""The history of a job: nothing skipped, nothing doubled, whatever is broken and whoever dies."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import dlt
import pytest
import requests
import responses
from dlt.pipeline.exceptions import PipelineStepFailed
from hypothesis import given
from hypothesis import strategies as st
from responses.matchers import query_param_matcher

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudHTTPException,
    DBTCloudRun,
    InvalidCredentialsException,
)
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.sources import dbt_cloud_source
from dlt_dbt_cloud.sources.cursor import LAG, Cursor
from dlt_dbt_cloud.sources.rows import run_row
from tests.results.killed import PLACES
from tests.results.shared import (
    ROOT,
    Clock,
    causes,
    contents,
    listed,
    recorded_results,
    requested,
    rows,
    run_ids,
    step,
    triggered,
    without_manifests,
)
from tests.utils import ACCOUNT, configured


class TestHistory:
    """`pipeline.run(dbt_cloud_source())`, again and again."""

    def test_since_the_last_time(self, cloud: LocalDBTCloud, pipeline: dlt.Pipeline) -> None:
        """The first time loads all runs that have ended, the next only what has ended since."""
        first = [triggered(cloud).id for _ in range(3)]
        pipeline.run(dbt_cloud_source(credentials=cloud.credentials))
        assert run_ids(pipeline) == first
        before = len(requested(cloud, "artifacts/run_results"))
        assert not pipeline.run(dbt_cloud_source(credentials=cloud.credentials)).loads_ids
        assert len(requested(cloud, "artifacts/run_results")) == before == 3
        later = triggered(cloud).id
        pipeline.run(dbt_cloud_source(credentials=cloud.credentials))
        assert run_ids(pipeline) == [*first, later]
        assert len(requested(cloud, "artifacts/run_results")) == before + 1

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
        """It is loaded also if more than a page of runs has come after it."""
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

    def test_side_by_side(self, api: responses.RequestsMock, pipeline: dlt.Pipeline) -> None:
        """Artifacts of several runs are fetched at the same time."""
        both_are_asked_for = threading.Barrier(2, timeout=30)

        def answer(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            both_are_asked_for.wait()
            return 200, {}, json.dumps(recorded_results())

        without_manifests(api)
        listed(api, [{"id": number, "status": 10} for number in (1, 2)], offset="0")
        for number in (1, 2):
            run = {"id": number, "status": 10, "run_steps": [step(4)]}
            api.get(f"{ACCOUNT}/runs/{number}/", json={"data": run})
            url = f"{ACCOUNT}/runs/{number}/artifacts/run_results.json"
            api.add_callback("GET", url, answer, content_type="application/json")
        pipeline.run(dbt_cloud_source(credentials=configured(outage_timeout=0), all_jobs=True))
        assert len(contents(pipeline)["dbt_cloud_node_results"]) == 8


NOW = datetime.now(timezone.utc)


def ended(number: int, **changes: Any) -> dict[str, Any]:
    """Returns a run that succeeded so many minutes before the hundredth did."""
    finished_at = (NOW - timedelta(minutes=100 - number)).isoformat()
    return {"id": number, "status": 10, "finished_at": finished_at, **changes}


class Broken:
    """An account with runs, of which the first and the last can be read."""

    def __init__(self, api: responses.RequestsMock, pipeline: dlt.Pipeline) -> None:
        self.api, self.pipeline = api, pipeline

    def answers(
        self, *, details: Sequence[dict[str, Any]] = (), artifacts: Sequence[dict[str, Any]] = ()
    ) -> None:
        """Lets the API answer, for the runs from the second on like this."""
        self.api.reset()
        without_manifests(self.api)
        numbers = range(1, 3 + max(1, len(details), len(artifacts)))
        self.api.get(f"{ACCOUNT}/runs/", json=page([ended(number) for number in numbers]))
        answers, results = (dict(enumerate(given, 2)) for given in (details, artifacts))
        for number in numbers:
            url = f"{ACCOUNT}/runs/{number}/"
            run = {"id": number, "status": 10, "run_steps": [step(4)]}
            self.api.get(url, **answers.get(number, {"json": {"data": run}}))
            result = results.get(number, {"json": recorded_results()})
            self.api.get(f"{url}artifacts/run_results.json", **result)

    def load(self) -> None:
        """Loads the history."""
        self.pipeline.run(dbt_cloud_source(credentials=configured(outage_timeout=0), all_jobs=True))

    def read(self) -> list[str]:
        """Returns which runs were read since the last time, beyond the list."""
        urls = [str(call.request.url) for call in self.api.calls]
        return sorted({run_id for url in urls for run_id in re.findall(r"/runs/(\d+)/", url)})


@pytest.fixture
def account(api: responses.RequestsMock, pipeline: dlt.Pipeline) -> Broken:
    """An account with runs that can't be read."""
    return Broken(api, pipeline)


NONSENSE: list[dict[str, Any]] = [
    {"status": 400},
    {"status": 403},
    {"status": 404},
    {"status": 500},
    {"status": 503, "body": "<html>"},
    {"body": "<html>"},
    {"json": {"data": [7]}},
    {"json": {"data": {"id": 1, "status": 10}}},
    {"body": requests.ConnectionError("reset")},
]


class TestBroken:
    """Runs that the API can't show."""

    MARKS = "select run_id, load_error is not null from dbt_cloud_runs order by run_id"

    def test_details(self, account: Broken) -> None:
        """A run without readable details is loaded as it is in the list, and blocks no other."""
        account.answers(details=NONSENSE)
        account.load()
        broken = range(2, 2 + len(NONSENSE))
        last = broken.stop
        assert rows(account.pipeline, self.MARKS) == [
            (1, False),
            *((number, True) for number in broken),
            (last, False),
        ]
        nodes = "select run_id, count(*) from dbt_cloud_node_results group by all order by all"
        assert rows(account.pipeline, nodes) == [(1, 4), (last, 4)]

    def test_artifacts(self, account: Broken) -> None:
        """A run without readable artifacts is loaded with its steps, and blocks no other."""
        account.answers(artifacts=NONSENSE[:6])
        account.load()
        marks = [(1, False), *((number, True) for number in range(2, 8)), (8, False)]
        assert rows(account.pipeline, self.MARKS) == marks
        assert rows(account.pipeline, "select count(*) from dbt_cloud_run_steps") == [(8,)]

    def test_mended(self, account: Broken) -> None:
        """An incomplete run is read again, it alone, and the mark goes when it is complete."""
        account.answers(details=[{"status": 403}])
        account.load()
        account.answers()
        account.load()
        assert account.read() == ["2"]
        assert rows(account.pipeline, "select count(load_error) from dbt_cloud_runs") == [(0,)]
        assert rows(account.pipeline, "select count(*) from dbt_cloud_node_results") == [(12,)]
        account.answers()
        account.load()
        assert account.read() == []

    def test_outage(self, account: Broken) -> None:
        """While the API is unavailable to all, the load fails, and the next one has all runs."""
        account.answers(details=[{"status": 500}])
        control = query_param_matcher({"limit": "1"})
        account.api.get(f"{ACCOUNT}/runs/", status=500, match=[control])
        with pytest.raises(PipelineStepFailed, match="500"):
            account.load()
        account.answers()
        account.load()
        assert rows(account.pipeline, "select count(*), count(load_error) from dbt_cloud_runs") == [
            (3, 0)
        ]

    def test_years_ahead(self, account: Broken) -> None:
        """A run that finished in the year 2999, as it says, does not hide those to come."""
        account.answers()
        runs = [ended(1), ended(2, finished_at="2999-01-01T00:00:00Z")]
        account.api.replace("GET", f"{ACCOUNT}/runs/", json=page(runs))
        account.load()
        account.api.replace("GET", f"{ACCOUNT}/runs/", json=page([*runs, ended(3)]))
        account.api.calls.reset()
        account.load()
        assert run_ids(account.pipeline) == [1, 2, 3]
        [request] = (
            call.request for call in account.api.calls if "offset" in str(call.request.url)
        )
        assert f"range=%5B%22{(datetime.now(timezone.utc) - LAG).year}-" in str(request.url)


def page(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a list of runs as the API answers it."""
    pagination = {"count": len(runs), "total_count": len(runs)}
    return {"data": runs, "extra": {"pagination": pagination}}


class TestSince:
    """`since`, and where a history begins."""

    @pytest.mark.parametrize("since", ["2026-01-01", datetime(2026, 1, 1)])  # noqa: DTZ001
    def test_first_load(
        self, api: responses.RequestsMock, pipeline: dlt.Pipeline, since: Any
    ) -> None:
        """The first load begins there, in UTC if no time zone is given."""
        span = '["2026-01-01T00:00:00+00:00", "9999-01-01T00:00:00+00:00"]'
        listed(api, [ended(1)], finished_at__range=span)
        source = dbt_cloud_source(credentials=configured(), all_jobs=True, since=since)
        pipeline.run(source.with_resources("dbt_cloud_runs"))
        assert run_ids(pipeline) == [1]

    def test_later_loads(self, api: responses.RequestsMock, pipeline: dlt.Pipeline) -> None:
        """A later load begins some hours before the newest run of the one before."""
        listed(api, [ended(1)])
        for _ in range(2):
            source = dbt_cloud_source(credentials=configured(), all_jobs=True)
            pipeline.run(source.with_resources("dbt_cloud_runs"))
            begin = datetime.fromisoformat(ended(1)["finished_at"]) - LAG
            span = f'["{begin.isoformat()}", "9999-01-01T00:00:00+00:00"]'
            listed(api, [ended(1), ended(2)], finished_at__range=span)
        assert run_ids(pipeline) == [1, 2]

    @pytest.mark.parametrize("since", ["soon", "", 7])
    def test_malformed(self, cloud: LocalDBTCloud, since: Any) -> None:
        """What is no point in time is refused before a request."""
        with pytest.raises(InvalidCredentialsException, match="Invalid `since`"):
            dbt_cloud_source(credentials=cloud.credentials, since=since)
        assert cloud.requests == []


class TestUpgrade:
    """The state that 0.1 has left."""

    def test_upgrade(self, cloud: LocalDBTCloud, clock: Clock, pipeline: dlt.Pipeline) -> None:
        """What 0.1 loaded is not read again, and what it had not is loaded."""
        late, taken = triggered(cloud, job=1).id, triggered(cloud).id
        newest, new = triggered(cloud).id, triggered(cloud).id
        account = configured(**cloud.settings()).account_id
        state = {"after_id": taken, "newest": [newest], "going": [late]}
        remember(pipeline, f"account {account} job any", state)
        clock.time = 100
        history = dbt_cloud_source(credentials=cloud.credentials, all_jobs=True)
        for _ in range(2):
            pipeline.run(history)
            assert run_ids(pipeline) == [0, late, new]
        assert not requested(cloud, f"/runs/({taken}|{newest})/artifacts/run_results")
        assert len(requested(cloud, f"/runs/({late}|{new})/artifacts/run_results")) == 2

    def test_bounded(self, api: responses.RequestsMock, pipeline: dlt.Pipeline) -> None:
        """Only the runs that may be new are listed: a long history costs nothing."""
        state = {"after_id": 4900, "newest": list(range(4901, 5001)), "going": [7, 4950]}
        remember(pipeline, "account 70403103922125 job any", state)
        listed(api, [ended(7), *(ended(n) for n in range(4901, 5002))], id__gt="6")
        source = dbt_cloud_source(credentials=configured(), all_jobs=True, since="2999-01-01")
        pipeline.run(source.with_resources("dbt_cloud_runs"))
        assert run_ids(pipeline) == [0, 7, 4950, 5001]


def remember(pipeline: dlt.Pipeline, key: str, state: dict[str, Any]) -> None:
    """Leaves a state in a pipeline, as 0.1 did."""

    @dlt.resource(name="dbt_cloud_runs", primary_key="run_id", write_disposition="merge")
    def runs() -> Any:
        dlt.current.resource_state()[key] = state
        yield {"run_id": 0}

    pipeline.run(dlt.source(lambda: runs, name="dbt_cloud")())


class Account:
    """An account whose runs finish in any order, and show it late."""

    def __init__(self) -> None:
        self.time = datetime(2024, 6, 5, tzinfo=timezone.utc)
        self.shown: dict[int, tuple[datetime, datetime]] = {}
        self.state: dict[str, Any] = {}
        self.taken: list[int] = []

    def finish(self, number: int, delay: timedelta) -> None:
        """Finishes a run, which the list shows after a while."""
        self.shown[number] = self.time + delay, self.time

    def load(self, pages: int) -> None:
        """Does what the history does, for so many pages, with a state that has been JSON."""
        self.state = json.loads(json.dumps(self.state))
        cursor = Cursor(self.state)
        begin = cursor.begin(None)
        times = {n: t for n, (shown, t) in self.shown.items() if shown <= self.time and t >= begin}
        new = [number for number in sorted(times, key=times.__getitem__) if cursor.is_new(number)]
        for first in range(0, min(len(new), pages * 5), 5):
            ids = new[first : first + 5]
            runs = [DBTCloudRun(id=n, status=10, finished_at=str(times[n])) for n in ids]
            cursor.advance([run_row(run, []) for run in runs])
            self.taken += ids


class TestCursor:
    """No run is skipped, and none is taken twice."""

    @given(st.randoms(use_true_random=True))
    def test_any_order(self, random: Random) -> None:
        """Runs may finish in any order, show it up to six hours late, and loads take any part."""
        account = Account()
        numbers = list(range(1, random.randint(1, 100) + 1))
        random.shuffle(numbers)
        for number in numbers:
            account.time += random.random() * timedelta(hours=1)
            account.finish(number, random.random() * LAG)
            if random.random() < 0.3:
                account.load(random.randint(1, 3))
        account.time += LAG
        account.load(100)
        assert sorted(account.taken) == sorted(numbers)

    def test_state_is_small(self) -> None:
        """The state holds the runs of the last hours, however many there were."""
        account = Account()
        for number in range(1, 1001):
            account.time += timedelta(hours=1)
            account.finish(number, timedelta())
        account.load(1000)
        assert len(account.state["loaded"]) == 7


@pytest.mark.slow
def test_killed_anywhere(tmp_path: Path) -> None:
    """Killed anywhere while it extracts, normalizes or loads, it ends with the same rows."""
    folder = tmp_path / "killed"
    folder.mkdir()
    artifacts = {"run_results.json": recorded_results()}
    with LocalDBTCloud(jobs=[ScriptedJob("Nightly", [10], artifacts=artifacts)]) as cloud:
        for _ in range(3):
            triggered(cloud)
        command = [sys.executable, "-m", "tests.results.killed", cloud.url, str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **cloud.environment}
        lines = subprocess.check_output(command, env=environment, text=True).splitlines()
    loaded = {place: rows for place, _, rows in (line.partition(" ") for line in lines)}
    assert len(loaded) == PLACES + 1
    assert loaded == dict.fromkeys(loaded, loaded["whole"])
    assert len(json.loads(loaded["whole"])["dbt_cloud_node_results"]) == 12
