"""A key of the caller: one piece of work, one run, whoever asks for it and how often."""

import json
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud import DBTCloudRunKeyException, InvalidCredentialsException, load_ref
from dlt_dbt_cloud._start.engines import HOSTS, engine_key
from dlt_dbt_cloud.run import DBTCloudRun
from tests.utils import JOB_ID, RUN_ID, JumpingIO, PlayedJob, Response, configured

RunWith = Callable[..., DBTCloudRun]
Log = pytest.LogCaptureFixture
LOAD = {"pipeline_name": "flights", "dataset_name": "raw", "loads_ids": ["1767225600.5"]}
DAY = 24 * 60 * 60.0


class TestOneKey:
    """Calls with one key."""

    def test_same_run(self, run_with: RunWith, job: PlayedJob) -> None:
        """A second call returns the run of the first, which has succeeded."""
        assert run_with(run_key="daily").id == run_with(run_key="daily").id == RUN_ID
        assert len(job.sent) == 1

    def test_run_in_progress(self, run_with: RunWith, job: PlayedJob) -> None:
        """A second call follows a run in progress to its end."""
        run_with(run_key="daily", wait_for_outcome=False)
        run = run_with(run_key="daily")
        assert (run.id, run.is_success) == (RUN_ID, True)
        assert len(job.sent) == 1

    @pytest.mark.parametrize("outcome", [20, 30])
    def test_anew(self, run_with: RunWith, job: PlayedJob, outcome: int) -> None:
        """A run that failed or was cancelled is run anew."""
        run_with(run_key="daily", wait_for_outcome=False)
        job.runs[RUN_ID]["status"] = outcome
        run = run_with(run_key="daily")
        assert (run.id, run.is_success) == (RUN_ID + 1, True)

    def test_other_key(self, run_with: RunWith, job: PlayedJob) -> None:
        """Another key is another run."""
        assert run_with(run_key="flights").id != run_with(run_key="weather").id

    def test_other_overrides(self, run_with: RunWith, job: PlayedJob) -> None:
        """Other overrides are an error that names the difference, and no run."""
        run_with({"schema_override": "ci"}, run_key="daily")
        with pytest.raises(DBTCloudRunKeyException, match="`schema_override` is 'ci', not None"):
            run_with(run_key="daily")
        assert len(job.sent) == 1

    def test_failed_run_with_other_overrides(self, run_with: RunWith, job: PlayedJob) -> None:
        """A failed run with other overrides is not retried either."""
        job.outcome = 20
        run_with({"schema_override": "ci"}, run_key="daily")
        with pytest.raises(DBTCloudRunKeyException):
            run_with(run_key="daily", retry_failed=1)
        assert len(job.sent) == 1

    def test_race_with_other_overrides(self, run_with: RunWith, job: PlayedJob) -> None:
        """Of two callers at one moment the later one cancels its run, and says what differs."""
        run_with({"schema_override": "ci"}, run_key="daily", wait_for_outcome=False)
        job.lag = 10  # the second caller doesn't see the first one's run before it triggers
        with pytest.raises(DBTCloudRunKeyException, match=str(RUN_ID)):
            run_with(run_key="daily")
        assert [run["cancelled_at"] < 1e9 for run in job.runs.values()] == [False, True]

    def test_duplicate_that_shows_at_the_end(
        self, run_with: RunWith, api: responses.RequestsMock, io: JumpingIO, log: Log
    ) -> None:
        """A duplicate that the list shows only when the run has finished is reported."""

        class Replayed(PlayedJob):
            def _trigger(self, request: requests.PreparedRequest) -> Response:
                answer = super()._trigger(request)
                self.create(json.loads(request.body or "{}"))  # a gateway sends it twice
                return answer

        Replayed(api, io, lag=32)
        assert run_with(run_key="daily").id == RUN_ID
        assert f"Job {JOB_ID} ran twice for the same work" in log.text

    def test_load_is_recorded(self, run_with: RunWith, job: PlayedJob) -> None:
        """With a load too, the key is the identity, and the cause names the load."""
        first = run_with(None, LOAD, run_key="daily")
        second = run_with(None, {**LOAD, "loads_ids": ["1767225700.5"]}, run_key="daily")
        assert first.id == second.id
        assert "dlt pipeline flights loaded dataset raw: 1767225600.5" in first.cause

    def test_key_comes_again(self, run_with: RunWith, job: PlayedJob) -> None:
        """A run older than the window is another day's."""
        run_with(run_key="daily")
        job.io.sleeps.append(DAY - 100)
        assert run_with(run_key="daily").id == RUN_ID
        job.io.sleeps.append(200)
        assert run_with(run_key="daily").id == RUN_ID + 1
        assert run_with(run_key="daily", run_key_window=3 * DAY).id == RUN_ID

    def test_empty_key_is_none(self, run_with: RunWith, job: PlayedJob) -> None:
        """A key of white space is none: two calls are two runs."""
        assert run_with(run_key=" ").id != run_with(run_key=" ").id

    def test_malformed(self) -> None:
        """What is no text, or no time, is refused."""
        with pytest.raises(InvalidCredentialsException, match=r"(?s)`run_key`.*`run_key_window`"):
            configured(run_key=["daily"], run_key_window=0)


class TestEngines:
    """`run_key="auto"`."""

    @pytest.mark.parametrize("host", HOSTS, ids=lambda host: str(host.name))
    def test_variables(self, host: object) -> None:
        """Each variable that names the work is in the key. Without one of them there is none."""
        names = [*host.variables, *host.more]  # type: ignore[attr-defined]
        environ = {name: f"value of {name}" for name in names}
        key = engine_key(environ)
        assert key is not None
        assert all(value in key for value in environ.values())
        for name in host.variables:  # type: ignore[attr-defined]
            assert engine_key({**environ, name: ""}) is None

    @given(st.dictionaries(st.sampled_from([v for h in HOSTS for v in h.variables]), st.text()))
    def test_attempts_do_not_count(self, environ: dict[str, str]) -> None:
        """What changes from try to try is not in the key."""
        tries = {"GITHUB_RUN_ATTEMPT": "2", "AWS_BATCH_JOB_ATTEMPT": "2", "CI_JOB_ID": "2"}
        assert engine_key(environ) == engine_key(environ | tries | {"CLOUD_RUN_TASK_ATTEMPT": "2"})

    def test_auto(self, run_with: RunWith, job: PlayedJob, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two tries of one piece of work have one run."""
        monkeypatch.setenv("AWS_BATCH_JOB_ID", "ef3d:1")
        assert run_with(run_key="auto").id == run_with(run_key="auto").id

    def test_calls_of_a_prefect_task(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A retried flow run has the keys of the try before, under new ids, one for each call."""
        context = ModuleType("prefect.context")
        monkeypatch.setitem(sys.modules, "prefect", ModuleType("prefect"))
        monkeypatch.setitem(sys.modules, "prefect.context", context)

        def keys_of_a_try(*ids: int) -> list[str | None]:
            flow = SimpleNamespace(task_run_dynamic_keys={"load": 0})
            context.FlowRunContext = SimpleNamespace(get=lambda: flow)  # type: ignore[attr-defined]
            found = []
            for it in ids:
                run = SimpleNamespace(id=it, task_key="transform", flow_run_id="f")
                task = SimpleNamespace(get=lambda run=run: SimpleNamespace(task_run=run))
                context.TaskRunContext = task  # type: ignore[attr-defined]
                found.append(engine_key({}))
            return found

        first, second = "prefect/f/transform/0", "prefect/f/transform/1"
        assert keys_of_a_try(11, 12, 11) == [first, second, first]
        assert keys_of_a_try(13, 14) == [first, second]

    def test_outside_of_a_task(
        self, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
    ) -> None:
        """An engine that is imported but runs no task gives no key, and the log says why."""
        monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
        assert engine_key({"AWS_BATCH_JOB_ID": "ef3d:1"}) == "aws-batch/ef3d:1"
        assert "couldn't read the current task of airflow: ModuleNotFoundError" in log.text

    def test_nothing_recognised(
        self,
        run_with: RunWith,
        job: PlayedJob,
        monkeypatch: pytest.MonkeyPatch,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """Where no engine tells its work, the log says so, and each call has its run."""
        for name in [name for host in HOSTS for name in host.variables]:
            monkeypatch.delenv(name, raising=False)
        assert run_with(run_key="auto").id != run_with(run_key="auto").id
        assert "no orchestrator is detected" in log.text


def test_ref_is_small() -> None:
    """A load travels as three fields, and what has travelled is a load again."""
    assert load_ref({**LOAD, "load_packages": [], "first_run": True}) == LOAD == load_ref(LOAD)
