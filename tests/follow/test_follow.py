"""Watching: what is shown, what history tells, and many runs at once."""

import io
import json
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dlt
import pytest
import requests
import responses
from dlt.common.runtime.collector import DictCollector, LogCollector, NullCollector

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudHTTPException,
    DBTCloudRun,
    DBTCloudRunFailedException,
    DBTCloudWaitTimeoutException,
    InvalidCredentialsException,
    run_dbt_cloud_job,
    wait_for_dbt_cloud_runs,
)
from dlt_dbt_cloud._call import Call, follow_runs
from dlt_dbt_cloud._follow.history import usual_times
from dlt_dbt_cloud._follow.progress import CLAIM, collector_of
from dlt_dbt_cloud._follow.screen import CollectorScreen
from dlt_dbt_cloud._io import run as run_program
from tests.dlt_world import to_nowhere
from tests.utils import ACCOUNT, JOB_ID, RUN_ID, JumpingIO, configured, sample

RUN_URL = f"{ACCOUNT}/runs/{RUN_ID}/"
RUNS_URL = f"{ACCOUNT}/runs/"


def a_run(run_id: int, name: str = "run_running", **changes: Any) -> DBTCloudRun:
    """Returns a recorded run with another id."""
    return DBTCloudRun({**sample(name)["data"], "id": run_id, **changes})


def listed(runs: list[DBTCloudRun]) -> dict[str, Any]:
    """Returns the API's list of these runs."""
    pagination = {"count": len(runs), "total_count": len(runs)}
    return {"status": {"code": 200}, "data": runs, "extra": {"pagination": pagination}}


@pytest.fixture
def client(config: DBTCloudConfiguration) -> DBTCloudClientV2:
    """The seam of the program, which retries by itself."""
    return DBTCloudClientV2(credentials=config, outage_timeout=0)


def followed(client: DBTCloudClientV2, run: DBTCloudRun, collector: Any = None) -> DBTCloudRun:
    """Returns a run when it has finished, in virtual time."""
    call = Call(JumpingIO(), client, configured(), collector)

    async def program() -> DBTCloudRun:
        return await call.report(await call.follow(run))

    return run_program(program())


def watch_all(
    client: DBTCloudClientV2, config: DBTCloudConfiguration, runs: Sequence[DBTCloudRun | int | str]
) -> list[DBTCloudRun]:
    """Returns runs when all have finished, in virtual time."""
    return run_program(follow_runs(JumpingIO(), client, config, runs))


class Recorder(DictCollector):
    """Remembers what was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[str, int, Any, Any]] = []

    def update(  # type: ignore[override]
        self, name: str, inc: int = 1, total: Any = None, message: Any = None, **_: Any
    ) -> None:
        """Remembers an update."""
        self.shown.append((name, inc, total, message))


@pytest.mark.usefixtures("dlt_world")
class TestProgress:
    """What dlt's collectors are told."""

    def watch(
        self, client: DBTCloudClientV2, collector: Any, name: str = "run_queued"
    ) -> DBTCloudRun:
        """Watches a run with a collector."""
        return followed(client, a_run(RUN_ID, name), collector)

    def test_queue_step_and_time(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """The run ahead, the step with its number, the time that passes, what is usually left."""
        step = {"index": 4, "name": "Invoke dbt with `dbt build`", "status": 3}
        step_name = "4. Invoke dbt with `dbt build`"
        api.get(RUNS_URL, json=listed([a_run(n, "run_success") for n in (1, 2, 3)]))
        running = {**sample("run_running")["data"], "run_steps": [step]}
        api.get(RUN_URL, json={"status": {"code": 200}, "data": running})
        api.get(RUN_URL, json=sample("run_success_related"))
        recorder = Recorder()
        assert self.watch(client, recorder).is_success
        messages = [message for name, _, _, message in recorder.shown if name == "Seconds"]
        assert messages[0].startswith("Queued behind run 70403111611683, usually 00:01:54")
        assert messages[1] == f"{step_name}, usually 00:01:54, about 00:00:55 left"
        assert messages[-1] == "Success"
        assert ("Seconds", 0, 114, messages[0]) in recorder.shown  # before the first look
        assert ("Seconds", 1, 114, messages[1]) in recorder.shown
        seconds = [(name, inc) for name, inc, *_ in recorder.shown if name != "Seconds"]
        assert seconds == [("Queued behind run 70403111611683", 1), (step_name, 1)]

    def test_steps_are_asked_for_only_when_shown(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """Where neither progress nor the log shows them, looks are lighter, and no fewer."""
        for collector in (None, Recorder()):
            api.reset()
            api.get(RUN_URL, json=sample("run_running"))
            api.get(RUN_URL, json=sample("run_success_related"))
            self.watch(client, collector)
            urls = [c.request.url or "" for c in api.calls if RUN_URL in str(c.request.url)]
            polls = [url for url in urls if "/artifacts/" not in url]
            assert ("run_steps" in polls[0]) == (collector is not None)
            assert len(polls) == 3

    def test_log_without_progress(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, log: pytest.LogCaptureFixture
    ) -> None:
        """The log has a line at each change of status or step, and none at other looks."""
        steps = [{"index": number, "name": f"Step {number}"} for number in (1, 2)]
        for seen in ([], steps[:1], steps[:1], steps, steps):
            running = {**sample("run_running")["data"], "run_steps": seen}
            api.get(RUN_URL, json={"status": {"code": 200}, "data": running})
        api.get(RUN_URL, json=sample("run_success_related"))
        self.watch(client, None)
        told = [r.getMessage().partition(": ")[2] for r in log.records if r.module == "watch"]
        assert told == ["Running", "1. Step 1", "2. Step 2", "Success"]
        assert "run_steps" in str(api.calls[1].request.url)

    def test_longer_than_usual(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A run that has outlived its history says so, in the progress and in the summary."""
        quick = [a_run(n, "run_success", run_duration="00:00:10") for n in (1, 2, 3)]
        api.get(RUNS_URL, json=listed(quick))
        api.get(RUN_URL, json=sample("run_running"))
        api.get(RUN_URL, json=sample("run_success_related"))
        recorder = Recorder()
        run = self.watch(client, recorder)
        assert "Running, usually 00:00:14, longer than usual" in str(recorder.shown)
        assert "Success, 00:01:50 (usually 00:00:10) after 00:00:04 in the queue" in str(run)

    def test_collector_that_raises(
        self,
        client: DBTCloudClientV2,
        api: responses.RequestsMock,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """A collector that raises is reported once, and ends no wait."""

        class Broken(NullCollector):
            def update(self, *_: Any, **__: Any) -> None:
                raise RuntimeError("no screen")

        api.get(RUN_URL, json=sample("run_running"))
        api.get(RUN_URL, json=sample("run_success_related"))
        assert self.watch(client, Broken()).is_success
        assert log.text.count("The progress collector failed") == 1
        assert "no screen" in log.text

    @pytest.mark.parametrize("progress", ["tqdm", "log", "alive_progress", "enlighten"])
    def test_dlts_own_collectors(
        self,
        progress: Any,
        client: DBTCloudClientV2,
        api: responses.RequestsMock,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """Each collector that dlt has works."""
        pipeline = dlt.pipeline("p", pipelines_dir="pipelines", progress=progress)
        assert collector_of() is pipeline.collector
        api.get(RUN_URL, json=sample("run_running"))
        api.get(RUN_URL, json=sample("run_success_related"))
        assert self.watch(client, pipeline.collector).is_success
        assert "collector failed" not in log.text

    def test_log_collector_shows_the_step(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """With dlt's log collector a person reads the job, and what the run is doing."""
        api.get(RUN_URL, json=sample("run_running"))
        api.get(RUN_URL, json=sample("run_success_related"))
        screen = io.StringIO()
        collector = LogCollector(log_period=0, logger=screen, dump_system_stats=False)
        self.watch(client, CollectorScreen(collector))
        assert f"run {RUN_ID} of job {JOB_ID}" in screen.getvalue()
        assert f"dbt Cloud run {RUN_ID}: Running" in screen.getvalue()

    @pytest.mark.parametrize("progress", ["tqdm", "log"])
    def test_waits_that_share_a_collector(
        self, progress: Any, client: DBTCloudClientV2, log: pytest.LogCaptureFixture
    ) -> None:
        """Waits in threads share a pipeline's collector: one is shown, none fails, all finish."""
        pipeline = dlt.pipeline("p", pipelines_dir="pipelines", progress=progress)
        together = threading.Barrier(8)

        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            if "/runs/?" in str(request.url):
                return 200, {}, json.dumps(listed([]))
            if "run_steps" in str(request.url):  # a poll, while all are shown
                together.wait(10)
            run_id = int(str(request.url).split("/runs/")[1].split("/")[0])
            return 200, {}, json.dumps({"data": a_run(run_id, "run_success")})

        with responses.RequestsMock() as api, ThreadPoolExecutor(8) as threads:
            api.add_callback(responses.GET, re.compile(RUNS_URL), answer)
            waits = [
                threads.submit(followed, client, a_run(run_id), pipeline.collector)
                for run_id in range(1, 9)
            ]
            assert all(wait.result(20).is_success for wait in waits)
        assert "collector failed" not in log.text
        assert CLAIM not in vars(pipeline.collector)

    def test_pipeline_without_progress(self) -> None:
        """A pipeline without progress, and no pipeline, have no collector."""
        assert collector_of() is None
        dlt.pipeline("p", pipelines_dir="pipelines")
        assert collector_of() is None


class TestHistory:
    """The one request that tells how long a job takes."""

    def test_request(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """The last successful runs of the job, the run itself not among them."""
        api.get(RUNS_URL, json=listed([a_run(n, "run_success") for n in (RUN_ID, 1, 2, 3)]))
        usual = run_program(usual_times(JumpingIO(), client, a_run(RUN_ID)))
        assert usual is not None
        assert (usual.queued, usual.ran) == (4, 110)
        query = parse_qs(urlsplit(api.calls[0].request.url or "").query)
        wanted = {"job_definition_id": [str(JOB_ID)], "status": ["10"], "order_by": ["-id"]}
        assert query == {**wanted, "limit": ["20"]}

    def test_retries(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A retry runs from the failed step: it tells nothing of whole runs, nor they of it."""
        short = [
            a_run(n, "run_success", retrying_run_id=9, run_duration="00:00:05") for n in (4, 5)
        ]
        whole = [a_run(n, "run_success") for n in (1, 2, 3)]
        api.get(RUNS_URL, json=listed([*short, *whole]))
        usual = run_program(usual_times(JumpingIO(), client, a_run(RUN_ID)))
        assert usual is not None
        assert usual.ran == 110
        assert (
            run_program(usual_times(JumpingIO(), client, a_run(RUN_ID, retrying_run_id=9))) is None
        )
        assert len(api.calls) == 1

    def test_unreadable(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A history that can't be read is done without, at once."""
        api.get(RUNS_URL, status=503)
        assert run_program(usual_times(JumpingIO(), client, a_run(RUN_ID))) is None
        assert len(api.calls) == 1


class TestManyRuns:
    """Many jobs, one wait."""

    def world(self, api: responses.RequestsMock, statuses: dict[int, list[str]]) -> None:
        """Has the API answer looks at several runs: for each, its samples one after the other."""

        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            query = parse_qs(urlsplit(request.url or "").query)
            ids = json.loads(query["pk__in"][0]) if "pk__in" in query else [99]
            names = {i: statuses[i] for i in ids if i in statuses}
            runs = [a_run(i, n.pop(0) if len(n) > 1 else n[0]) for i, n in names.items()]
            return 200, {}, json.dumps(listed(runs))

        api.add_callback(responses.GET, RUNS_URL, answer)

    def looks(self, api: responses.RequestsMock) -> list[list[int]]:
        """Returns which runs each look was at."""
        queries = [parse_qs(urlsplit(call.request.url or "").query) for call in api.calls]
        return [json.loads(query["pk__in"][0]) for query in queries if "pk__in" in query]

    def test_one_request_a_round(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """One request looks at all runs that still go on, and they come back in order."""
        self.world(
            api,
            {
                7: ["run_running", "run_running", "run_success"],
                5: ["run_running", "run_success"],
                6: ["run_queued", "run_success"],
            },
        )
        runs = watch_all(client, configured(), [a_run(7), a_run(5), a_run(6)])
        assert [(run.id, run.status) for run in runs] == [(7, 10), (5, 10), (6, 10)]
        assert self.looks(api) == [[7, 5, 6], [7, 5, 6], [7]]

    def test_a_hundred_at_a_time(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """The API takes 100 at a time."""
        self.world(api, {n: ["run_success"] for n in range(1, 102)})
        runs = watch_all(client, configured(), [a_run(n) for n in range(1, 102)])
        assert len(runs) == 101
        assert [len(ids) for ids in self.looks(api)] == [100, 1]

    def test_failure_does_not_stop_the_others(
        self,
        client: DBTCloudClientV2,
        api: responses.RequestsMock,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """A failure is logged as it ends, and raised after the others have ended."""
        self.world(api, {1: ["run_internal_error"], 2: ["run_running", "run_success"]})
        with pytest.raises(DBTCloudRunFailedException) as caught:
            watch_all(client, configured(raise_on_failure=True), [a_run(1), a_run(2)])
        assert caught.value.run.id == 1
        messages = [record.message for record in log.records]
        ended = [message.split("\n")[0] for message in messages if " of job " in message]
        assert ["Error" in ended[0], "Success" in ended[1]] == [True, True]

    def test_deadline(
        self,
        client: DBTCloudClientV2,
        api: responses.RequestsMock,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """At the deadline the last line tells which runs go on."""
        self.world(api, {1: ["run_success"], 2: ["run_running"], 3: ["run_running"]})
        with pytest.raises(DBTCloudWaitTimeoutException) as caught:
            watch_all(client, configured(wait_timeout=30), [a_run(n) for n in (1, 2, 3)])
        assert [run.id for run in caught.value.runs] == [2, 3]
        assert log.records[-1].message == "To reattach: wait_for_dbt_cloud_runs([2, 3])"
        assert str(caught.value).endswith(log.records[-1].message)

    def test_lost_run(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A run that the API refuses for 60 s is reported after the others have finished."""
        self.world(api, {1: ["run_running"] * 80 + ["run_success"]})
        api.get(f"{RUNS_URL}9/", status=404, json=sample("404"))
        api.get(f"{RUNS_URL}1/", json={"data": a_run(1, "run_success")})
        with pytest.raises(DBTCloudHTTPException, match="does not exist in this account"):
            watch_all(client, configured(), [a_run(1), a_run(9)])
        assert self.looks(api)[-1] == [1]

    def test_list_that_brings_others(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """Runs that were not asked for are ignored, and a missing one is read alone."""
        api.get(RUNS_URL, json=listed([a_run(5, "run_error"), a_run(6, "run_success")]))
        api.get(f"{RUNS_URL}7/", json={"data": a_run(7, "run_success")})
        api.get(f"{RUNS_URL}6/", json={"data": a_run(6, "run_success")})
        runs = watch_all(client, configured(), [a_run(6), a_run(7)])
        assert [(run.id, run.status) for run in runs] == [(6, 10), (7, 10)]

    @pytest.mark.usefixtures("dlt_world")
    def test_progress(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The collector of the active pipeline counts the runs that have finished."""
        self.world(api, {1: ["run_success"], 2: ["run_running", "run_success"]})
        recorder = Recorder()
        dlt.pipeline("p", pipelines_dir="pipelines", progress=recorder)
        watch_all(client, configured(progress="auto"), [a_run(1), a_run(2)])
        assert recorder.shown == [("Runs", 1, 2, None), ("Runs", 1, 2, None)]

    def test_ids(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """Runs may be given by id, as int or digits, and twice."""
        self.world(api, {1: ["run_success"], 2: ["run_success"]})
        runs = watch_all(client, configured(), [2, "1", 2])
        assert [run.id for run in runs] == [2, 1, 2]

    def test_nothing(self, api: responses.RequestsMock) -> None:
        """No runs, no request."""
        assert wait_for_dbt_cloud_runs([], configured()) == []

    def test_run_of_another_account(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """A run that this account does not have is told at once."""
        self.world(api, {1: ["run_running"]})
        api.get(f"{RUNS_URL}9/", status=404, json=sample("404"))
        with pytest.raises(DBTCloudHTTPException, match="does not exist in this account"):
            watch_all(client, configured(), [1, 9])

    def test_malformed_id(self) -> None:
        """What is no id is refused before any request."""
        with pytest.raises(InvalidCredentialsException, match="Invalid `run_id`: 'abc'"):
            wait_for_dbt_cloud_runs(["abc"], configured())


def test_progress_of_the_loads_pipeline(
    api: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    secrets_toml: Callable[[str], None],
) -> None:
    """`run_dbt_cloud_job` shows its wait through the collector of the pipeline that has loaded."""
    recorder = Recorder()
    pipeline = to_nowhere("flights", progress=recorder)
    info = pipeline.run([{"id": 1}], table_name="t")
    dlt.pipeline("other", pipelines_dir="pipelines")
    recorder.shown.clear()
    api.get(RUNS_URL, json=listed([]))
    api.post(f"{ACCOUNT}/jobs/{JOB_ID}/run/", json=sample("run_queued"))
    api.get(RUN_URL, json=sample("run_success_related"))
    run_dbt_cloud_job(configured(progress="auto"), load_info=info, wait_seconds=0)
    assert ("Seconds", 0, None, "Success") in recorder.shown
