"""`run_dbt_cloud_job` and `get_dbt_cloud_run_status`: configuration in, run out."""

import json
import logging
import signal
from collections.abc import Callable
from typing import Any

import dlt
import pytest
import requests
import responses
from dlt.common.destination.exceptions import DestinationHasFailedJobs
from dlt.common.exceptions import SignalReceivedException
from dlt.common.pipeline import LoadInfo
from dlt.common.runtime import signals

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudHTTPException,
    DBTCloudJobNotUniqueException,
    DBTCloudRun,
    DBTCloudRunCancelledException,
    DBTCloudRunFailedException,
    DBTCloudRunTimedOutException,
    DBTCloudWaitTimeoutException,
    InvalidCredentialsException,
    get_dbt_cloud_run_status,
    run_dbt_cloud_job,
)
from dlt_dbt_cloud._follow.watch import run_job
from tests.utils import (
    ACCOUNT,
    HOST,
    JOB_ID,
    RUN_ID,
    TOKEN,
    JumpingTimer,
    bodies,
    configured,
    sample,
    sample_run,
)

API = responses.RequestsMock
RunWith = Callable[..., DBTCloudRun]

RUN_URL = f"{ACCOUNT}/runs/{RUN_ID}/"
TRIGGER_URL = f"{ACCOUNT}/jobs/{JOB_ID}/run/"
REATTACH = f"To reattach: get_dbt_cloud_run_status(run_id={RUN_ID})"


@pytest.fixture
def run_with(api: API, timer: JumpingTimer) -> RunWith:
    """Runs a job as `run_dbt_cloud_job` does, but on the clock that jumps."""

    def run(
        data: dict[str, Any] | None = None, load_info: LoadInfo | None = None, **settings: Any
    ) -> DBTCloudRun:
        config = configured(**settings)
        client = DBTCloudClientV2(credentials=config, timer=timer)
        with signals.intercepted_signals():
            return run_job(client, config, data, load_info)

    return run


@pytest.fixture
def load_info() -> LoadInfo:
    """A load of a real pipeline."""
    pipeline = dlt.pipeline(
        "flights", destination="duckdb", dataset_name="raw", pipelines_dir="pipelines"
    )
    return pipeline.run([{"id": 1}], table_name="flights")


def answers(api: API, *names: str, url: str = RUN_URL) -> None:
    """Has the API answer reads of the run with these samples, with the last one for ever."""
    for name in names:
        api.get(url, json=sample(name))


def triggered(api: API, **changes: Any) -> None:
    """Has the API create a run."""
    api.post(TRIGGER_URL, json=sample_run("run_queued", **changes))


def no_artifacts(api: API) -> None:
    """Has the API find no results of the run."""
    api.get(f"{RUN_URL}artifacts/run_results.json", status=404, json=sample("404"))


class TestWholeJourney:
    """From the trigger to the outcome."""

    def test_success(self, run_with: RunWith, api: API) -> None:
        """Triggered once, watched until it has ended, read once more with all that it tells."""
        api.get(f"{ACCOUNT}/runs/", json=sample("runs"))
        triggered(api)
        answers(api, "run_queued", "run_running", "run_success", "run_success_related")
        run = run_with()
        assert run == sample("run_success_related")["data"]
        assert [call.request.method for call in api.calls] == ["POST", *["GET"] * 5]

    def test_public_function(self, api: API) -> None:
        """The same through the public function, with what dlt's helper takes."""
        triggered(api, status=10)
        answers(api, "run_success_related")
        credentials = DBTCloudConfiguration(
            api_token=TOKEN, account_id="70403103922125", base_api_url=HOST
        )
        run = run_dbt_cloud_job(credentials, JOB_ID, {"cause": "mine"}, True, 5)
        assert run["is_success"] is True
        assert bodies(api)[0]["cause"].startswith("mine [dlt:")

    def test_no_job(self) -> None:
        """Without a job there is an error before any request."""
        with pytest.raises(InvalidCredentialsException, match="`job_id` is missing"):
            run_dbt_cloud_job(configured(job_id=None))

    def test_malformed_job(self) -> None:
        """Nor is a word taken for a job."""
        with pytest.raises(InvalidCredentialsException, match=r"`job_id` is a number.*'abc'"):
            run_dbt_cloud_job(configured(), job_id="abc")

    @pytest.mark.parametrize("name", ["wait_seconds", "wait_timeout"])
    def test_negative(self, name: str) -> None:
        """Negative seconds are refused before any request."""
        arguments: dict[str, Any] = {name: -1}
        with pytest.raises(InvalidCredentialsException, match=f"`{name}` is a number, zero"):
            run_dbt_cloud_job(configured(), **arguments)

    def test_no_wait(self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture) -> None:
        """Without waiting: one request, and the log tells how to reattach."""
        triggered(api)
        assert run_with(wait_for_outcome=False).is_queued
        assert len(api.calls) == 1
        assert log.records[-1].message.endswith(REATTACH)
        assert "https://abc12.us1.dbt.com/deploy/" in log.records[-1].message


class TestFailure:
    """A failure is never silent, and explains itself."""

    def test_raised(self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture) -> None:
        """With `raise_on_failure` it raises, with the failed models and the end of the log."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        api.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"))
        with pytest.raises(DBTCloudRunFailedException) as caught:
            run_with(raise_on_failure=True)
        assert "model.flights.punctuality (error)" in str(caught.value)
        assert "Done. PASS=20 WARN=0 ERROR=1" in str(caught.value)
        names = [node.unique_id.split(".")[2] for node in caught.value.run.failed_nodes]
        assert names == ["punctuality", "not_null_flights_carrier"]
        assert log.records[-1].message.endswith(REATTACH)

    def test_logged(self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture) -> None:
        """Where it isn't raised, it is logged as an error, and the run is returned."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        api.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"))
        assert run_with().is_error
        assert log.records[-1].levelno == logging.ERROR
        assert "model.flights.punctuality (error)" in log.records[-1].message

    def test_late_artifacts(self, run_with: RunWith, api: API, timer: JumpingTimer) -> None:
        """Artifacts that arrive some seconds after the status are waited for."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        no_artifacts(api)
        no_artifacts(api)
        api.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"))
        assert len(run_with().failed_nodes) == 2
        assert timer.sleeps[1:] == [1, 2]

    def test_late_logs(self, run_with: RunWith, api: API) -> None:
        """So are logs."""
        late = sample("run_error_related")
        late["data"]["run_steps"][3]["logs"] = None
        triggered(api)
        answers(api, "run_error")
        api.get(RUN_URL, json=late)
        answers(api, "run_error_related")
        no_artifacts(api)
        assert "Done. PASS=20" in str(run_with())

    def test_no_artifacts(self, run_with: RunWith, api: API, timer: JumpingTimer) -> None:
        """A failed run without artifacts is told with its step and log, after a bounded wait."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        no_artifacts(api)
        run = run_with()
        assert run.failed_nodes == ()
        assert "4. Invoke dbt with `dbt build`: Error" in str(run)
        assert sum(timer.sleeps[1:]) == 6

    def test_before_any_step(self, run_with: RunWith, api: API, timer: JumpingTimer) -> None:
        """A run that dbt Cloud failed before any step says why, and nothing is waited for."""
        triggered(api)
        answers(api, "run_internal_error")
        with pytest.raises(DBTCloudRunFailedException, match="Internal error"):
            run_with(raise_on_failure=True)
        assert timer.sleeps == [1]

    @pytest.mark.parametrize(
        ("name", "exception", "message"),
        [
            ("run_cancelled_by_user", DBTCloudRunCancelledException, "Cancelled by user."),
            ("run_timed_out", DBTCloudRunTimedOutException, "timeout of 86400 seconds"),
            (
                "run_cancelled_by_infrastructure",
                DBTCloudRunCancelledException,
                "10 minutes to start due to capacity",
            ),
        ],
    )
    def test_cancelled(
        self, run_with: RunWith, api: API, name: str, exception: type[Exception], message: str
    ) -> None:
        """By a person, by the job's own timeout, by infrastructure: each says so."""
        triggered(api)
        answers(api, name)
        with pytest.raises(exception, match=message):
            run_with(raise_on_failure=True)

    def test_details_that_cant_be_read(
        self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture
    ) -> None:
        """A success stays a success if its steps can't be read."""
        triggered(api)
        answers(api, "run_success")
        api.get(RUN_URL, status=403, json=sample("403"))
        assert run_with().is_success
        assert f"Of run {RUN_ID} not all is known: dbt Cloud answered 403" in log.text

    def test_forbidden_artifacts(self, run_with: RunWith, api: API) -> None:
        """A failure stays a failure if its artifacts can't be read."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        api.get(f"{RUN_URL}artifacts/run_results.json", status=403, json=sample("403"))
        assert "Invoke dbt with `dbt build`: Error" in str(run_with())

    def test_garbage_artifact(self, run_with: RunWith, api: API) -> None:
        """So it does if they are no JSON."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        api.get(f"{RUN_URL}artifacts/run_results.json", body="<html>")
        assert run_with().is_error


class TestAbort:
    """The deadline, Ctrl-C and SIGTERM."""

    def cancelled(self, api: API) -> None:
        """Has the API cancel the run."""
        api.post(f"{RUN_URL}cancel/", json=sample("run_cancelled_by_user"))

    def test_deadline(self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture) -> None:
        """At the deadline the run goes on, and the last line tells how to reattach."""
        triggered(api)
        answers(api, "run_running")
        with pytest.raises(DBTCloudWaitTimeoutException, match="within 60 s"):
            run_with(wait_timeout=60)
        assert log.records[-1].message.endswith(REATTACH)

    def test_deadline_cancels(
        self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture
    ) -> None:
        """With `cancel_on_abort` the run that this call has triggered is cancelled."""
        triggered(api)
        answers(api, "run_running")
        self.cancelled(api)
        with pytest.raises(DBTCloudWaitTimeoutException):
            run_with(wait_timeout=60, cancel_on_abort=True)
        assert api.calls[-1].request.url == f"{RUN_URL}cancel/"
        assert f"Run {RUN_ID} is cancelled." in log.text

    def test_cancel_that_fails(
        self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture
    ) -> None:
        """A cancel that fails is tried again, and told."""
        triggered(api)
        answers(api, "run_running")
        api.post(f"{RUN_URL}cancel/", status=502)
        with pytest.raises(DBTCloudWaitTimeoutException):
            run_with(wait_timeout=60, cancel_on_abort=True)
        assert log.text.count(f"Run {RUN_ID} was not cancelled: dbt Cloud answered 502") == 3

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signal(self, api: API, log: pytest.LogCaptureFixture, number: int) -> None:
        """SIGINT and SIGTERM end the wait at once, through dlt's signal handling."""

        def running(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            signal.raise_signal(number)
            return 200, {}, json.dumps(sample("run_running"))

        triggered(api)
        api.add_callback(responses.GET, RUN_URL, running)
        self.cancelled(api)
        with pytest.raises(SignalReceivedException):
            run_dbt_cloud_job(configured(wait_seconds=0, cancel_on_abort=True))
        assert api.calls[-1].request.url == f"{RUN_URL}cancel/"
        assert REATTACH in log.records[-1].message

    def test_signal_with_the_last_poll(self, api: API) -> None:
        """A signal that comes as the run ends is not lost."""

        def success(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            signal.raise_signal(signal.SIGINT)
            return 200, {}, json.dumps(sample("run_success"))

        triggered(api)
        api.add_callback(responses.GET, RUN_URL, success)
        with pytest.raises(SignalReceivedException):
            run_dbt_cloud_job(configured(wait_seconds=0))

    def test_api_trouble_cancels_nothing(
        self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture
    ) -> None:
        """An error that is no abort leaves a healthy run alone."""
        triggered(api)
        api.get(RUN_URL, status=401, json=sample("401"))
        with pytest.raises(DBTCloudHTTPException):
            run_with(cancel_on_abort=True)
        assert not any("cancel" in str(call.request.url) for call in api.calls)
        assert log.records[-1].message.endswith(REATTACH)


class TestRetryFailed:
    """`retry_failed`: a failed run is continued from its failed step."""

    NEW = f"{ACCOUNT}/runs/78614274/"

    def test_succeeds(self, run_with: RunWith, api: API) -> None:
        """The run that continues the failed one is watched, and returned."""
        triggered(api)
        answers(api, "run_error")
        api.post(f"{RUN_URL}retry/", json=sample("trigger"))
        success = sample_run("run_success", id=78614274)
        api.get(self.NEW, json=success)
        assert run_with(retry_failed=2).id == 78614274
        assert len(bodies(api)) == 2

    def test_cant(self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture) -> None:
        """Where the API can't, nothing is sent, and the log says why."""
        triggered(api)
        answers(api, "run_internal_error")
        assert run_with(retry_failed=1).is_error
        assert len(bodies(api)) == 1
        assert "can't be retried: RETRY_NO_RUN_RESULTS" in log.text

    def test_refused(self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture) -> None:
        """A retry that the API refuses leaves the failed run as the outcome."""
        triggered(api)
        answers(api, "run_error")
        no_artifacts(api)
        api.post(f"{RUN_URL}retry/", status=400, json=sample("400"))
        assert run_with(retry_failed=1).id == RUN_ID
        assert "was not retried: dbt Cloud answered 400" in log.text

    @pytest.mark.parametrize("name", ["run_cancelled_by_user", "run_timed_out"])
    def test_only_failed_runs(self, run_with: RunWith, api: API, name: str) -> None:
        """Cancelled runs and those that timed out are not retried."""
        triggered(api)
        answers(api, name)
        run_with(retry_failed=3)
        assert len(bodies(api)) == 1


class TestLoad:
    """`load_info=`: one run for one load."""

    LIST = f"{ACCOUNT}/runs/"

    def has_runs(self, api: API, *runs: dict[str, Any]) -> None:
        """Has the job these runs, the newest first."""
        listed = {**sample("runs"), "data": list(runs)}
        listed["extra"]["pagination"] = {"count": len(runs), "total_count": len(runs)}
        api.get(self.LIST, json=listed)

    def run_of_load(self, name: str, tag: str, **changes: Any) -> dict[str, Any]:
        """Returns a run that was triggered for the load, some time after it."""
        trigger = {"cause": f"dlt pipeline flights [{tag}]"}
        late = "2999-01-01 00:00:00+00:00"
        run: dict[str, Any] = sample(name)["data"]
        return {**run, "trigger": trigger, "created_at": late, **changes}

    def tag(self, api: API) -> str:
        """Returns the tag of the run that was triggered."""
        return str(bodies(api)[0]["cause"]).rpartition("[")[2].rstrip("]")

    def first_call(self, run_with: RunWith, api: API, load_info: LoadInfo, **settings: Any) -> str:
        """Runs the job for the load, and returns the tag of the load."""
        self.has_runs(api)
        triggered(api)
        run_with(load_info=load_info, wait_for_outcome=False, **settings)
        tag = self.tag(api)
        api.reset()
        return tag

    def test_cause(self, run_with: RunWith, api: API, load_info: LoadInfo) -> None:
        """The cause says which pipeline loaded what."""
        self.has_runs(api)
        triggered(api)
        run_with(load_info=load_info, wait_for_outcome=False)
        (load_id,) = load_info.loads_ids
        cause = bodies(api)[0]["cause"]
        assert cause.startswith(f"dlt pipeline flights loaded dataset raw: {load_id} [dlt:")

    @pytest.mark.parametrize("cause", ["", None])
    def test_empty_cause(
        self, run_with: RunWith, api: API, load_info: LoadInfo, cause: str | None
    ) -> None:
        """An empty cause is none: the load's takes its place."""
        self.has_runs(api)
        triggered(api)
        run_with({"cause": cause}, load_info, wait_for_outcome=False)
        assert bodies(api)[0]["cause"].startswith("dlt pipeline flights loaded")

    def test_own_cause(self, run_with: RunWith, api: API, load_info: LoadInfo) -> None:
        """A cause of the user's own stays."""
        self.has_runs(api)
        triggered(api)
        run_with(load_info=load_info, wait_for_outcome=False, cause="mine")
        assert bodies(api)[0]["cause"].startswith("mine [dlt:")

    @pytest.mark.parametrize("name", ["run_queued", "run_running", "run_success"])
    def test_reattaches(self, run_with: RunWith, api: API, load_info: LoadInfo, name: str) -> None:
        """Called again for the same load, the helper returns the run that the load has."""
        tag = self.first_call(run_with, api, load_info)
        self.has_runs(
            api,
            self.run_of_load("run_success", "dlt:other", id=RUN_ID + 1),
            self.run_of_load(name, tag),
        )
        answers(api, "run_success")
        assert run_with(load_info=load_info).id == RUN_ID
        assert bodies(api) == []

    @pytest.mark.parametrize("name", ["run_error", "run_cancelled_by_user", "run_timed_out"])
    def test_anew_after_a_failure(
        self, run_with: RunWith, api: API, load_info: LoadInfo, name: str
    ) -> None:
        """A run that failed or was cancelled is no run of the load: it is run anew."""
        tag = self.first_call(run_with, api, load_info)
        self.has_runs(api, self.run_of_load(name, tag))
        triggered(api, id=78614274)
        assert run_with(load_info=load_info, wait_for_outcome=False).id == 78614274
        assert self.tag(api) == tag

    def test_failed_run_is_not_taken_for_the_new_one(
        self, run_with: RunWith, api: API, load_info: LoadInfo, timer: JumpingTimer
    ) -> None:
        """If the trigger is unanswered, the failed run with the same tag is not its run."""
        tag = self.first_call(run_with, api, load_info)
        self.has_runs(api, self.run_of_load("run_error", tag))
        api.post(TRIGGER_URL, status=502)
        triggered(api, id=78614274)
        assert run_with(load_info=load_info, wait_for_outcome=False).id == 78614274

    def test_failed_run_is_continued(
        self, run_with: RunWith, api: API, load_info: LoadInfo
    ) -> None:
        """With `retry_failed`, a second call continues the failed run from its failed step."""
        tag = self.first_call(run_with, api, load_info)
        self.has_runs(api, self.run_of_load("run_error", tag))
        answers(api, "run_error")
        api.post(f"{RUN_URL}retry/", json=sample("trigger"))
        api.get(f"{ACCOUNT}/runs/78614274/", json=sample_run("run_success", id=78614274))
        assert run_with(load_info=load_info, retry_failed=1).is_success

    @pytest.mark.parametrize(
        ("can_retry", "settings"),
        [(False, {"retry_failed": 1}), (True, {"retry_failed": 1, "wait_for_outcome": False})],
    )
    def test_failed_run_that_will_not_be_continued(
        self,
        run_with: RunWith,
        api: API,
        load_info: LoadInfo,
        can_retry: bool,
        settings: dict[str, Any],
    ) -> None:
        """A failed run that can't be retried, or won't be as nobody waits, is run anew."""
        tag = self.first_call(run_with, api, load_info)
        self.has_runs(api, self.run_of_load("run_error", tag, can_retry=can_retry))
        triggered(api, id=78614274, status=10)
        assert run_with(load_info=load_info, **settings).id == 78614274

    def test_retried_run_is_the_loads_run(
        self, run_with: RunWith, api: API, load_info: LoadInfo
    ) -> None:
        """A retry that succeeded is the run of the load, though its cause has no tag."""
        tag = self.first_call(run_with, api, load_info)
        retry = self.run_of_load("run_success", "-", id=RUN_ID + 5, retrying_run_id=RUN_ID)
        self.has_runs(api, retry, self.run_of_load("run_error", tag))
        answers(api, "run_success", url=f"{ACCOUNT}/runs/{RUN_ID + 5}/")
        assert run_with(load_info=load_info).is_success
        assert bodies(api) == []

    @pytest.mark.parametrize(
        "changes", [{"schema_override": "ci"}, {"job_id": 5}, {"steps_override": ["dbt run"]}]
    )
    def test_other_overrides_are_another_run(
        self, run_with: RunWith, api: API, load_info: LoadInfo, changes: dict[str, Any]
    ) -> None:
        """Another job, or other overrides, is another run of the load."""
        api.post(f"{ACCOUNT}/jobs/5/run/", json=sample("run_queued"))
        tag = self.first_call(run_with, api, load_info)
        api.post(f"{ACCOUNT}/jobs/5/run/", json=sample("run_queued"))
        assert self.first_call(run_with, api, load_info, **changes) != tag

    def test_old_runs_are_not_read(self, run_with: RunWith, api: API, load_info: LoadInfo) -> None:
        """Pages of runs from before the load are not read."""
        old = sample("run_success")["data"]
        full = {**sample("runs"), "data": [old] * 100}
        full["extra"]["pagination"] = {"count": 100, "total_count": 100_000}
        api.get(self.LIST, json=full)
        triggered(api)
        run_with(load_info=load_info, wait_for_outcome=False)
        assert len(api.calls) == 2

    def test_failed_jobs(self, run_with: RunWith, api: API) -> None:
        """A load with failed jobs is refused by dlt's own exception, nothing is triggered."""
        pipeline = dlt.pipeline("bad", destination="duckdb", pipelines_dir="pipelines")
        info = pipeline.run([{"id": 1}], table_name="t")
        jobs = info.load_packages[0].jobs
        jobs["failed_jobs"] = jobs["completed_jobs"]
        with pytest.raises(DestinationHasFailedJobs):
            run_with(load_info=info)
        assert len(api.calls) == 0

    def test_empty_load(self, run_with: RunWith, api: API) -> None:
        """A load that brought nothing has no run to reattach to: each call runs the job."""
        pipeline = dlt.pipeline("empty", destination="duckdb", pipelines_dir="pipelines")
        pipeline.run([{"id": 1}], table_name="t")
        info = pipeline.run([], table_name="t")
        assert info.loads_ids == []
        triggered(api)
        run_with(load_info=info, wait_for_outcome=False)
        run_with(load_info=info, wait_for_outcome=False)
        assert len(bodies(api)) == len(api.calls) == 2

    def test_section_of_the_loads_pipeline(
        self, secrets_toml: Callable[[str], None], api: API, load_info: LoadInfo
    ) -> None:
        """The section of the pipeline that loaded is looked in, whichever is active."""
        secrets_toml(
            f'[dbt_cloud]\napi_token="t"\naccount_id=70403103922125\nbase_api_url="{HOST}"\n'
            f"[flights.dbt_cloud]\njob_id={JOB_ID}\n[other.dbt_cloud]\njob_id=5\n"
        )
        dlt.pipeline("other", pipelines_dir="pipelines")
        self.has_runs(api)
        triggered(api)
        assert run_dbt_cloud_job(load_info=load_info, wait_for_outcome=False).is_queued


class TestReuseQueued:
    """`reuse_queued`: a run that waits in the queue will see this load too."""

    RUNS = f"{ACCOUNT}/runs/"

    def queued(self, api: API, *ids: int, **trigger: Any) -> None:
        """Has the job these runs in its queue, or, without one, always those that were seen."""
        cause = {"cause": "another's [dlt:x]", **trigger}
        runs = [{**sample("run_queued")["data"], "id": n, "trigger": cause} for n in ids]
        api.get(self.RUNS, json={**sample("runs"), "data": runs})

    def test_queued_run_is_waited_for(self, run_with: RunWith, api: API) -> None:
        """Nothing is triggered, and the queued run is the outcome."""
        self.queued(api, RUN_ID)
        answers(api, "run_success")
        assert run_with(reuse_queued=True).is_success
        assert bodies(api) == []

    def test_other_overrides(self, run_with: RunWith, api: API) -> None:
        """A queued run that builds something else is none for us."""
        self.queued(api, 5, schema_override="ci")
        triggered(api)
        run_with(reuse_queued=True, wait_for_outcome=False)
        assert len(bodies(api)) == 1

    def test_younger_is_cancelled(self, run_with: RunWith, api: API) -> None:
        """Two that were triggered at the same moment settle on the older one."""
        self.queued(api)
        triggered(api)
        self.queued(api, 5, RUN_ID)
        api.post(f"{RUN_URL}cancel/", json=sample("run_cancelled_by_user"))
        assert run_with(reuse_queued=True, wait_for_outcome=False).id == 5

    def test_joined_run_is_cancelled(self, run_with: RunWith, api: API) -> None:
        """If the run that we joined is cancelled in the queue, another one is found."""
        self.queued(api, 5)
        cancelled = sample_run("run_cancelled_by_user", id=5)
        api.get(f"{self.RUNS}5/", json=cancelled)
        api.get(self.RUNS, json=sample("runs"))  # the history, once
        self.queued(api, 6)
        api.get(self.RUNS, json={**sample("runs"), "data": [cancelled["data"]]})
        self.queued(api)
        triggered(api)
        self.queued(api)
        answers(api, "run_success")
        assert run_with(reuse_queued=True).id == RUN_ID

    def test_joined_run_is_not_ours_to_cancel(self, run_with: RunWith, api: API) -> None:
        """A run that we joined is not cancelled at the deadline."""
        self.queued(api, RUN_ID)
        answers(api, "run_running")
        with pytest.raises(DBTCloudWaitTimeoutException):
            run_with(reuse_queued=True, cancel_on_abort=True, wait_timeout=5)
        assert bodies(api) == []


class TestJobName:
    """A job by name: exact, over all pages, narrowed by project and environment."""

    JOBS = f"{ACCOUNT}/jobs/"

    def test_one(self, run_with: RunWith, api: API) -> None:
        """The one job of the name is triggered."""
        api.get(self.JOBS, json=sample("jobs"))
        api.post(f"{ACCOUNT}/jobs/1003/run/", json=sample("trigger"))
        run_with(job_id=None, job_name="Hourly weather", wait_for_outcome=False)

    def test_narrowed(self, run_with: RunWith, api: API) -> None:
        """Project and environment go into the query."""
        jobs = sample("jobs")
        jobs["data"] = [job for job in jobs["data"] if job["project_id"] == 12]
        jobs["extra"]["pagination"]["total_count"] = 1
        query = {"project_id": "12", "environment_id": "22", "limit": "100", "offset": "0"}
        api.get(self.JOBS, json=jobs, match=[responses.matchers.query_param_matcher(query)])
        api.post(f"{ACCOUNT}/jobs/1002/run/", json=sample("trigger"))
        settings = {"project_id": 12, "environment_id": 22, "job_name": "Nightly flights"}
        run_with(job_id=None, wait_for_outcome=False, **settings)

    def test_several(self, run_with: RunWith, api: API) -> None:
        """Several of the name: they are listed, with what tells them apart."""
        api.get(self.JOBS, json=sample("jobs"))
        with pytest.raises(DBTCloudJobNotUniqueException) as caught:
            run_with(job_id=None, job_name="Nightly flights")
        assert "2 jobs are named 'Nightly flights'" in str(caught.value)
        assert "job_id 1002, project_id 12, environment_id 22" in str(caught.value)
        assert [job["id"] for job in caught.value.matches] == [1001, 1002]

    @pytest.mark.parametrize("name", ["nightly flights", "Nightly", "Nightly flights "])
    def test_none(self, run_with: RunWith, api: API, name: str) -> None:
        """None of the name: those that there are are listed."""
        api.get(self.JOBS, json=sample("jobs"))
        with pytest.raises(DBTCloudJobNotUniqueException) as caught:
            run_with(job_id=None, job_name=name)
        assert f"No job is named {name!r}. There are 3" in str(caught.value)
        assert "'Hourly weather': job_id 1003" in str(caught.value)

    def test_long_list_is_cut(self, run_with: RunWith, api: API) -> None:
        """A list of hundreds of jobs is cut in the message."""
        jobs = sample("jobs")
        jobs["data"] = jobs["data"] * 30
        jobs["extra"]["pagination"]["total_count"] = 90
        api.get(self.JOBS, json=jobs)
        with pytest.raises(DBTCloudJobNotUniqueException, match="and 70 more"):
            run_with(job_id=None, job_name="x")


class TestGetStatus:
    """`get_dbt_cloud_run_status`: reattach to a run."""

    def test_ended(self, api: API) -> None:
        """A run that has ended is returned at once."""
        answers(api, "run_success")
        assert get_dbt_cloud_run_status(configured(), RUN_ID).is_success

    def test_configured_run(self, api: API) -> None:
        """The run may be a setting, as in dlt's helper."""
        answers(api, "run_success")
        assert get_dbt_cloud_run_status(configured(run_id=str(RUN_ID))).is_success

    def test_no_run(self) -> None:
        """Without a run there is an error before any request."""
        with pytest.raises(InvalidCredentialsException, match="`run_id` is missing"):
            get_dbt_cloud_run_status(configured())

    def test_no_wait(self, api: API) -> None:
        """Without waiting the status is read once."""
        answers(api, "run_running")
        run = get_dbt_cloud_run_status(configured(), RUN_ID, wait_for_outcome=False)
        assert run.in_progress
        assert len(api.calls) == 1

    def test_raises(self, api: API) -> None:
        """A failure raises if that is wanted."""
        answers(api, "run_cancelled_by_user")
        with pytest.raises(DBTCloudRunCancelledException):
            get_dbt_cloud_run_status(configured(), RUN_ID, raise_on_failure=True)

    def test_never_cancels(self, api: API) -> None:
        """A run that another call has triggered is not cancelled at the deadline."""
        answers(api, "run_running")
        with pytest.raises(DBTCloudWaitTimeoutException):
            get_dbt_cloud_run_status(configured(cancel_on_abort=True), RUN_ID, wait_timeout=0)
        assert bodies(api) == []

    def test_unknown_run_is_no_new_one(self, api: API) -> None:
        """A 404 is an error at once here: the run is not one of a moment ago."""
        api.get(RUN_URL, status=404, json=sample("404"))
        with pytest.raises(DBTCloudHTTPException, match="404"):
            get_dbt_cloud_run_status(configured(), RUN_ID)
        assert len(api.calls) == 1
