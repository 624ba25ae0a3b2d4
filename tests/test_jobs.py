"""`run_dbt_cloud_job` and `get_dbt_cloud_run_status`: configuration in, run out."""

import json
import logging
import re
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

from dlt_dbt_cloud import (
    DBTCloudConfiguration,
    DBTCloudHTTPException,
    DBTCloudJobNotUniqueException,
    DBTCloudRun,
    DBTCloudRunCancelledException,
    DBTCloudRunFailedException,
    DBTCloudRunTimedOutException,
    DBTCloudTriggerOutcomeUnknownException,
    DBTCloudWaitTimeoutException,
    InvalidCredentialsException,
    get_dbt_cloud_run_status,
    run_dbt_cloud_job,
)
from tests.dlt_world import to_nowhere
from tests.utils import (
    ACCOUNT,
    HOST,
    JOB_ID,
    RUN_ID,
    TOKEN,
    JumpingIO,
    PlayedJob,
    answer_trigger,
    bodies,
    configured,
    list_of,
    sample,
)

API = responses.RequestsMock
RunWith = Callable[..., DBTCloudRun]

RUN_URL = f"{ACCOUNT}/runs/{RUN_ID}/"
TRIGGER_URL = f"{ACCOUNT}/jobs/{JOB_ID}/run/"
REATTACH = f"To reattach: get_dbt_cloud_run_status(run_id={RUN_ID})"


@pytest.fixture(scope="module")
def load_info(tmp_path_factory: pytest.TempPathFactory) -> LoadInfo:
    """A load of a real pipeline."""
    home = tmp_path_factory.mktemp("flights")
    destination = dlt.destinations.duckdb(str(home / "flights.duckdb"))
    pipeline = dlt.pipeline(
        "flights", destination=destination, dataset_name="raw", pipelines_dir=str(home)
    )
    return pipeline.run([{"id": 1}], table_name="flights")


def cause_of(job: PlayedJob, run_id: int = RUN_ID) -> str:
    """Returns the cause of a run."""
    return str(job.runs[run_id]["trigger"]["cause"])


def tag_of(job: PlayedJob, run_id: int = RUN_ID) -> str:
    """Returns the tag of a run."""
    return cause_of(job, run_id)[1:].partition("]")[0]


def answers(api: API, *names: str, url: str = RUN_URL) -> None:
    """Has the API answer reads of the run with these samples, with the last one for ever."""
    for name in names:
        api.get(url, json=sample(name))


def triggered(api: API, **changes: Any) -> None:
    """Has the API create a run."""
    api.add_callback(responses.POST, TRIGGER_URL, answer_trigger(**changes))


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
        made = [call.request for call in api.calls if "/artifacts/" not in str(call.request.url)]
        assert [request.method for request in made] == ["POST", *["GET"] * 5]

    def test_public_function(self, api: API) -> None:
        """The same through the public function, with what dlt's helper takes."""
        triggered(api)
        answers(api, "run_success_related")
        credentials = DBTCloudConfiguration(
            api_token=TOKEN, account_id="70403103922125", base_api_url=HOST
        )
        run = run_dbt_cloud_job(credentials, JOB_ID, {"cause": "mine"}, True, 0)
        assert run["is_success"] is True
        assert re.fullmatch(r"\[dlt:[0-9a-f]{16}\] mine", bodies(api)[0]["cause"])

    def test_no_job(self) -> None:
        """Without a job there is an error before any request."""
        with pytest.raises(InvalidCredentialsException, match="`job_id` is missing"):
            run_dbt_cloud_job(configured(job_id=None))

    def test_malformed_job(self) -> None:
        """Nor is a word taken for a job."""
        with pytest.raises(InvalidCredentialsException, match="Invalid `job_id`: 'abc'"):
            run_dbt_cloud_job(configured(), job_id="abc")

    @pytest.mark.parametrize("name", ["wait_seconds", "wait_timeout"])
    def test_negative(self, name: str) -> None:
        """Negative seconds are refused before any request."""
        arguments: dict[str, Any] = {name: -1}
        with pytest.raises(
            InvalidCredentialsException, match=f"Invalid `{name}`: -1. Expected a number"
        ):
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
        assert "model.flights.punctuality (error, models/marts" in str(caught.value)
        assert "Done. PASS=20 WARN=0 ERROR=1" in str(caught.value)
        names = [node.unique_id.split(".")[2] for node in caught.value.run.failed_nodes]
        assert names == ["punctuality", "not_null_flights_carrier"]
        assert REATTACH not in log.text  # it has finished

    def test_logged(self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture) -> None:
        """Where it isn't raised, it is logged as an error in one line, and the run is returned."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        api.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"))
        assert "model.flights.punctuality (error" in str(run_with())
        assert log.records[-1].levelno == logging.ERROR
        assert "punctuality: Conversion Error: Could not convert" in log.records[-1].message
        assert log.records[-1].message.count("\n") == 0
        assert "model.flights.punctuality" not in log.text

    def test_late_artifacts(self, run_with: RunWith, api: API, io: JumpingIO) -> None:
        """Artifacts that arrive some seconds after the status are waited for."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        no_artifacts(api)
        no_artifacts(api)
        api.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"))
        assert len(run_with().failed_nodes) == 2
        assert io.sleeps == [1, 1, 2, 0]

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

    def test_no_artifacts(self, run_with: RunWith, api: API, io: JumpingIO) -> None:
        """A failed run without artifacts is told with its step and log, after a bounded wait."""
        triggered(api)
        answers(api, "run_error", "run_error_related")
        no_artifacts(api)
        run = run_with()
        assert run.failed_nodes == ()
        assert "4. Invoke dbt with `dbt build`: Error" in str(run)
        assert sum(io.sleeps[1:]) == 6

    def test_before_any_step(self, run_with: RunWith, api: API, io: JumpingIO) -> None:
        """A run that dbt Cloud failed before any step says why, and nothing is waited for."""
        triggered(api)
        answers(api, "run_internal_error")
        with pytest.raises(DBTCloudRunFailedException, match="Internal error"):
            run_with(raise_on_failure=True)
        assert io.sleeps == [1]

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
        assert f"Couldn't load all details of run {RUN_ID}: dbt Cloud answered 403" in log.text

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


CANCELLED = f"Cancelled dbt Cloud run {RUN_ID}: {sample('run_cancelled_by_user')['data']['href']}"


class TestAbort:
    """The deadline, Ctrl-C and SIGTERM."""

    def cancelled(self, api: API) -> None:
        """Has the API cancel the run."""
        api.post(f"{RUN_URL}cancel/", json=sample("run_cancelled_by_user"))

    def test_deadline(self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture) -> None:
        """At the deadline the run goes on, and the last line tells how to reattach."""
        triggered(api)
        answers(api, "run_running")
        with pytest.raises(DBTCloudWaitTimeoutException, match="within 60 s") as caught:
            run_with(wait_timeout=60)
        assert log.records[-1].message.endswith(REATTACH)
        assert str(caught.value).endswith(log.records[-1].message)

    def test_deadline_cancels(
        self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture
    ) -> None:
        """With `cancel_on_abort` the run that this call has triggered is cancelled."""
        triggered(api)
        answers(api, "run_running")
        self.cancelled(api)
        with pytest.raises(DBTCloudWaitTimeoutException) as caught:
            run_with(wait_timeout=60, cancel_on_abort=True)
        assert api.calls[-1].request.url == f"{RUN_URL}cancel/"
        assert log.records[-1].message == CANCELLED
        assert str(caught.value).endswith(CANCELLED)
        assert REATTACH not in log.text  # there is nothing to reattach to

    @pytest.mark.parametrize(
        ("end", "outcome"), [("run_success", "Success"), ("run_timed_out", "Timed out")]
    )
    def test_cancel_that_comes_too_late(
        self, run_with: RunWith, api: API, log: pytest.LogCaptureFixture, end: str, outcome: str
    ) -> None:
        """A run that has ended before the cancel arrives is not called cancelled."""
        triggered(api)
        answers(api, "run_running")
        api.post(f"{RUN_URL}cancel/", json=sample(end))
        with pytest.raises(DBTCloudWaitTimeoutException):
            run_with(wait_timeout=60, cancel_on_abort=True)
        expected = f"dbt Cloud run {RUN_ID} has ended ({outcome}): "
        assert log.records[-1].message.startswith(expected)

    def test_cancel_that_fails(
        self, run_with: RunWith, api: API, io: JumpingIO, log: pytest.LogCaptureFixture
    ) -> None:
        """A cancel that fails is tried again for 5 s, and told."""
        triggered(api)
        answers(api, "run_running")
        api.post(f"{RUN_URL}cancel/", status=502)
        with pytest.raises(DBTCloudWaitTimeoutException):
            run_with(wait_timeout=60, cancel_on_abort=True)
        assert log.text.count("Couldn't cancel the run. dbt Cloud answered 502") > 3
        assert sum(io.sleeps) == pytest.approx(65)
        assert log.records[-1].message.endswith(REATTACH)

    def interrupted(self, api: API, name: str, number: int = signal.SIGINT) -> None:
        """Has a signal come with the first poll."""

        def answer(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            signal.raise_signal(number)
            return 200, {}, json.dumps(sample(name))

        triggered(api)
        api.add_callback(responses.GET, RUN_URL, answer)
        answers(api, name)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signal(self, api: API, log: pytest.LogCaptureFixture, number: int) -> None:
        """SIGINT and SIGTERM end the wait at once, through dlt's signal handling, and cancel."""
        self.interrupted(api, "run_running", number)
        self.cancelled(api)
        with pytest.raises(SignalReceivedException):
            run_dbt_cloud_job(configured(wait_seconds=0, cancel_on_abort=True))
        # The poll in which the signal comes is left behind: its answer may come after the cancel.
        polls = [call for call in api.calls if str(call.request.url).startswith(f"{RUN_URL}?")]
        others = [call for call in api.calls if call not in polls]
        assert len(polls) <= 1
        assert others[-1].request.url == f"{RUN_URL}cancel/"
        assert log.records[-1].message == CANCELLED

    def test_signal_with_the_last_poll(self, api: API) -> None:
        """A signal that comes as the run finishes is not lost."""
        self.interrupted(api, "run_success")
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

    def test_succeeds(self, run_with: RunWith, api: API, job: PlayedJob) -> None:
        """The run that continues the failed one is followed, and returned."""
        job.outcome = 20
        job.retried_outcome = 10
        run = run_with(retry_failed=2)
        assert run.is_success
        assert run["retrying_run_id"] == RUN_ID
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
        assert "was not retried. dbt Cloud answered 400" in log.text

    @pytest.mark.parametrize("name", ["run_cancelled_by_user", "run_timed_out"])
    def test_only_failed_runs(self, run_with: RunWith, api: API, name: str) -> None:
        """Cancelled runs and those that timed out are not retried."""
        triggered(api)
        answers(api, name)
        run_with(retry_failed=3)
        assert len(bodies(api)) == 1


class TestLoad:
    """`load_info=`: one run for one load."""

    @pytest.mark.parametrize("cause", [None, "", "Triggered via API"])
    def test_cause(
        self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo, cause: str | None
    ) -> None:
        """The cause says which pipeline loaded what, if the user gives none."""
        run_with({"cause": cause}, load_info, wait_for_outcome=False)
        (load_id,) = load_info.loads_ids
        text = f"dlt pipeline flights loaded dataset raw: {load_id}"
        assert cause_of(job) == f"[{tag_of(job)}] {text}"

    def test_own_cause(self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo) -> None:
        """A cause of the user's own stays."""
        run_with(load_info=load_info, wait_for_outcome=False, cause="mine")
        assert cause_of(job) == f"[{tag_of(job)}] mine"

    @pytest.mark.parametrize("status", [1, 2, 3, 10])
    def test_reattaches(
        self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo, status: int
    ) -> None:
        """Called again for the same load, the function returns the run that the load has."""
        run_with(load_info=load_info, wait_for_outcome=False)
        job.runs[RUN_ID]["status"] = status
        job.create({"cause": "another's"}, status=10)
        run = run_with(load_info=load_info, wait_for_outcome=False)
        assert (run.id, run.status, len(job.sent)) == (RUN_ID, status, 1)

    @pytest.mark.parametrize(
        "changes", [{"status": 20}, {"status": 30}, {"status": 30, "message": "timed out"}]
    )
    def test_anew_after_a_failure(
        self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo, changes: dict[str, Any]
    ) -> None:
        """A run that failed, timed out or was cancelled is no run of the load: it is run anew."""
        run_with(load_info=load_info, wait_for_outcome=False)
        job.runs[RUN_ID]["status"] = changes["status"]
        job.runs[RUN_ID]["changes"] = {"status_message": changes.get("message")}
        assert run_with(load_info=load_info, wait_for_outcome=False).id == RUN_ID + 1
        assert tag_of(job, RUN_ID + 1) == tag_of(job)

    def test_failed_run_is_not_taken_for_the_new_one(
        self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo
    ) -> None:
        """If the trigger is unanswered, the failed run with the same tag is not its run."""
        run_with(load_info=load_info, wait_for_outcome=False)
        job.runs[RUN_ID]["status"] = 20
        job.fail("trigger", 502)
        assert run_with(load_info=load_info, wait_for_outcome=False).id == RUN_ID + 1

    def test_failed_run_is_continued(
        self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo
    ) -> None:
        """With `retry_failed`, a second call continues the failed run from its failed step."""
        run_with(load_info=load_info, wait_for_outcome=False)
        job.runs[RUN_ID]["status"] = 20
        assert run_with(load_info=load_info, retry_failed=1)["retrying_run_id"] == RUN_ID

    @pytest.mark.parametrize(
        ("can_retry", "settings"),
        [(False, {"retry_failed": 1}), (True, {"retry_failed": 1, "wait_for_outcome": False})],
    )
    def test_failed_run_that_will_not_be_continued(
        self,
        run_with: RunWith,
        job: PlayedJob,
        load_info: LoadInfo,
        can_retry: bool,
        settings: dict[str, Any],
    ) -> None:
        """A failed run that can't be retried, or won't be as nobody waits, is run anew."""
        run_with(load_info=load_info, wait_for_outcome=False)
        job.runs[RUN_ID].update(status=20, changes={"can_retry": can_retry})
        run = run_with(load_info=load_info, **settings)
        assert (run.id, run.get("retrying_run_id")) == (RUN_ID + 1, None)

    def test_retried_run_is_the_loads_run(
        self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo
    ) -> None:
        """A retry that succeeded is the run of the load, though its cause has no tag."""
        run_with(load_info=load_info, wait_for_outcome=False)
        job.runs[RUN_ID]["status"] = 20
        retry = job.create({"cause": "Rerun"}, status=10, retrying_run_id=RUN_ID)
        assert run_with(load_info=load_info).id == retry
        assert len(job.sent) == 1

    @pytest.mark.parametrize(
        "changes", [{"schema_override": "ci"}, {"steps_override": ["dbt run"]}]
    )
    def test_other_overrides_are_another_run(
        self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo, changes: dict[str, Any]
    ) -> None:
        """The load has a run for each set of overrides."""
        run_with(load_info=load_info, wait_for_outcome=False)
        other = run_with(load_info=load_info, wait_for_outcome=False, **changes)
        assert tag_of(job, other.id) != tag_of(job)

    def test_list_without_causes(
        self, run_with: RunWith, job: PlayedJob, load_info: LoadInfo
    ) -> None:
        """If the list shows no causes, the load may have a run: nothing is sent."""
        job.create({}, status=10)
        with pytest.raises(
            DBTCloudTriggerOutcomeUnknownException, match="doesn't show their cause"
        ):
            run_with(load_info=load_info)
        assert job.sent == []

    def test_old_runs_are_not_read(self, run_with: RunWith, api: API, load_info: LoadInfo) -> None:
        """Pages of runs from before the load are not read."""
        old = "2020-01-01 00:00:00+00:00"
        run = {**sample("run_success")["data"], "trigger": {"cause": "another's"}}
        runs = [{**run, "id": RUN_ID - n, "created_at": old if n else None} for n in range(100)]
        runs[0]["created_at"] = "2026-01-01 00:00:00+00:00"
        body = list_of(*runs)
        body["extra"]["pagination"]["total_count"] = 100_000
        api.get(f"{ACCOUNT}/runs/", json=body)
        triggered(api, id=RUN_ID + 1)
        run_with(load_info=load_info, wait_for_outcome=False)
        offsets = {call.request.params.get("offset") for call in api.calls}  # type: ignore[attr-defined]
        assert offsets == {"0", None}

    @pytest.mark.usefixtures("dlt_world")
    def test_failed_jobs(self, run_with: RunWith, api: API) -> None:
        """A load with failed jobs is refused by dlt's own exception, nothing is triggered."""
        pipeline = to_nowhere("bad")
        info = pipeline.run([{"id": 1}], table_name="t")
        jobs = info.load_packages[0].jobs
        jobs["failed_jobs"] = jobs["completed_jobs"]
        with pytest.raises(DestinationHasFailedJobs):
            run_with(load_info=info)
        assert len(api.calls) == 0

    @pytest.mark.usefixtures("dlt_world")
    def test_empty_load(self, run_with: RunWith, api: API) -> None:
        """A load that brought nothing has no run to reattach to: each call runs the job."""
        pipeline = to_nowhere("empty")
        pipeline.run([{"id": 1}], table_name="t")
        info = pipeline.run([], table_name="t")
        assert info.loads_ids == []
        triggered(api)
        run_with(load_info=info, wait_for_outcome=False)
        run_with(load_info=info, wait_for_outcome=False)
        assert len(bodies(api)) == len(api.calls) == 2

    def test_section_of_the_loads_pipeline(
        self, secrets_toml: Callable[[str], None], job: PlayedJob, load_info: LoadInfo
    ) -> None:
        """The section of the pipeline that loaded is looked in, whichever is active."""
        secrets_toml(
            f'[dbt_cloud]\napi_token="t"\naccount_id=70403103922125\nbase_api_url="{HOST}"\n'
            f"[flights.dbt_cloud]\njob_id={JOB_ID}\n[other.dbt_cloud]\njob_id=5\n"
        )
        dlt.pipeline("other", pipelines_dir="pipelines")
        run = run_dbt_cloud_job(load_info=load_info, wait_for_outcome=False)
        assert (run.is_queued, len(job.sent)) == (True, 1)


class TestJobName:
    """A job by name: exact, over all pages, narrowed by project and environment."""

    JOBS = f"{ACCOUNT}/jobs/"

    def can_run(self, api: API, job_id: int) -> None:
        """Has the API create runs of a job."""
        answer = answer_trigger(job_definition_id=job_id)
        api.add_callback(responses.POST, f"{self.JOBS}{job_id}/run/", answer)

    def test_one(self, run_with: RunWith, api: API) -> None:
        """The one job of the name is triggered."""
        api.get(self.JOBS, json=sample("jobs"))
        self.can_run(api, 1003)
        run = run_with(job_id=None, job_name="Hourly weather", wait_for_outcome=False)
        assert run.job_id == 1003

    def test_narrowed(self, run_with: RunWith, api: API) -> None:
        """Project and environment go into the query."""
        jobs = sample("jobs")
        jobs["data"] = [job for job in jobs["data"] if job["project_id"] == 12]
        jobs["extra"]["pagination"]["total_count"] = 1
        query = {"project_id": "12", "environment_id": "22", "limit": "100", "offset": "0"}
        api.get(self.JOBS, json=jobs, match=[responses.matchers.query_param_matcher(query)])
        self.can_run(api, 1002)
        settings = {"project_id": 12, "environment_id": 22, "job_name": "Nightly flights"}
        assert run_with(job_id=None, wait_for_outcome=False, **settings).job_id == 1002

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
        assert f"No job is named {name!r}. The token can see 3 jobs" in str(caught.value)
        assert "'Hourly weather': job_id 1003" in str(caught.value)

    def test_long_list_is_cut(self, run_with: RunWith, api: API) -> None:
        """A list of hundreds of jobs is cut in the message."""
        jobs = sample("jobs")
        jobs["data"] = [{**jobs["data"][0], "id": n} for n in range(1, 91)]
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
        newer = {**sample("run_success")["data"], "id": RUN_ID + 1}
        api.get(f"{ACCOUNT}/runs/", json=list_of(newer))
        with pytest.raises(DBTCloudHTTPException, match="404"):
            get_dbt_cloud_run_status(configured(), RUN_ID)
        assert len(api.calls) == 2
