"""Each operation of the client: the request it makes, and the API's `data` that it returns."""

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from responses import matchers

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudHTTPException,
    DBTCloudResponseException,
    DBTCloudRun,
    DBTCloudTriggerOutcomeUnknownException,
    InvalidCredentialsException,
)
from tests.utils import (
    ACCOUNT,
    HOST,
    JOB_ID,
    RUN_ID,
    TOKEN,
    JumpingIO,
    bodies,
    configured,
    sample,
    sample_run,
)

RUN_URL = f"{ACCOUNT}/runs/{RUN_ID}/"
TRIGGER_URL = f"{ACCOUNT}/jobs/{JOB_ID}/run/"
NEW_ID = RUN_ID + 1


def page(items: list[Any], total: int) -> dict[str, Any]:
    """Returns a page of a list in the API's shape."""
    extra = {"filters": {}, "pagination": {"count": len(items), "total_count": total}}
    return {"status": {"code": 200}, "data": items, "extra": extra}


def created(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
    """Creates a run. As the API does, it echoes the request."""
    run = sample_run("run_queued", id=NEW_ID, trigger=json.loads(request.body or "null"))
    return 200, {}, json.dumps(run)


class TestConstruction:
    """The seed's parameters, or nothing at all."""

    def test_positional(self, api: responses.RequestsMock) -> None:
        """Token, account and base URL in the order of dlt's helper."""
        api.get(f"{HOST}/api/v2/accounts/5/runs/2/", json=sample_run("run_success", id=2))
        client = DBTCloudClientV2("t", "5", f"{HOST}/api")
        assert client.get_run_status(2).is_success
        assert client.base_api_url == f"{HOST}/api/v2"

    def test_default_host(self, api: responses.RequestsMock) -> None:
        """Without a host it is the one of dlt's helper."""
        api.get(
            "https://cloud.getdbt.com/api/v2/accounts/5/runs/2/",
            json=sample_run("run_success", id=2),
        )
        assert DBTCloudClientV2("t", 5).get_run_status("2").is_success

    def test_injected(self, api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without arguments it finds token, account and host through dlt."""
        monkeypatch.setenv("DBT_CLOUD__API_TOKEN", "from-env")
        monkeypatch.setenv("DBT_CLOUD__ACCOUNT_ID", "7")
        monkeypatch.setenv("DBT_CLOUD__BASE_API_URL", "abc12.us1.dbt.com")
        header = matchers.header_matcher({"Authorization": "Token from-env"})
        api.get(
            f"{HOST}/api/v2/accounts/7/runs/2/",
            json=sample_run("run_success", id=2),
            match=[header],
        )
        assert DBTCloudClientV2().get_run_status(2).is_success

    def test_missing_account(self) -> None:
        """Without an account the first call says so, before any request."""
        with pytest.raises(InvalidCredentialsException, match="`account_id` is missing"):
            DBTCloudClientV2("t").get_run_status(1)

    @pytest.mark.parametrize("job_id", [None, ""])
    def test_missing_job(self, client: DBTCloudClientV2, job_id: Any) -> None:
        """Nor is there a request without a job."""
        with pytest.raises(InvalidCredentialsException, match="`job_id` is missing"):
            client.trigger_job_run(job_id)

    @pytest.mark.parametrize("run_id", [None, ""])
    def test_missing_run(self, client: DBTCloudClientV2, run_id: Any) -> None:
        """Nor without a run."""
        with pytest.raises(InvalidCredentialsException, match="`run_id` is missing"):
            client.get_run_status(run_id)

    @pytest.mark.parametrize("run_id", ["abc", "1/cancel", "../../2", 1.5])
    def test_malformed_id(self, client: DBTCloudClientV2, run_id: Any) -> None:
        """What is no id never becomes a part of a URL."""
        for call in (client.get_run_status, client.cancel_run, client.get_job):
            with pytest.raises(InvalidCredentialsException, match="Expected the numeric id"):
                call(run_id)


class TestTrigger:
    """`trigger_job_run` over HTTP."""

    def test_body(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """`data` is sent, with a tag at the beginning of its cause."""
        api.add_callback(responses.POST, TRIGGER_URL, created)
        run_id = client.trigger_job_run(JOB_ID, {"cause": "mine", "steps_override": ["dbt run"]})
        assert run_id == NEW_ID
        ((body),) = bodies(api)
        assert body["steps_override"] == ["dbt run"]
        assert re.fullmatch(r"\[dlt:[0-9a-f]{16}\] mine", body["cause"])

    @pytest.mark.parametrize("data", [None, {}, {"cause": ""}, {"cause": None}])
    def test_default_cause(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, data: Any
    ) -> None:
        """The API requires a cause: without one it is the one of dlt's helper."""
        api.add_callback(responses.POST, TRIGGER_URL, created)
        client.trigger_job_run(str(JOB_ID), data)
        assert bodies(api)[0]["cause"].endswith("] Triggered via API")

    def test_unanswered(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, io: JumpingIO
    ) -> None:
        """A 502 after the run was created: it is found by its tag among the newest runs."""

        def newest(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            run = {**sample("run_queued")["data"], "trigger": {"cause": bodies(api)[0]["cause"]}}
            other = {**run, "id": 9, "trigger": {"cause": "Triggered via API [dlt:other]"}}
            return 200, {}, json.dumps(page([other, run], 2))

        api.post(TRIGGER_URL, status=502, body="<html>")
        api.add_callback(responses.GET, f"{ACCOUNT}/runs/", newest)
        assert client.trigger_job_run(JOB_ID) == RUN_ID
        query = parse_qs(urlsplit(api.calls[1].request.url or "").query)
        assert query == {
            "job_definition_id": [str(JOB_ID)],
            "order_by": ["-id"],
            "include_related": ['["trigger"]'],
            "limit": ["100"],
            "offset": ["0"],
        }

    def test_unknown(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """An unknown outcome names the runs of the job as the place to look."""
        api.post(TRIGGER_URL, status=502)
        api.get(f"{ACCOUNT}/runs/", status=403, json=sample("403"))
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException) as caught:
            client.trigger_job_run(JOB_ID)
        runs = f"{ACCOUNT}/runs/?job_definition_id={JOB_ID}&order_by=-id&include_related=trigger"
        assert caught.value.url == runs
        assert isinstance(caught.value, requests.RequestException)

    def test_refused_override(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """An override that the API refuses: its detail is in the message, nothing is retried."""
        api.post(TRIGGER_URL, status=400, json=sample("400"))
        with pytest.raises(DBTCloudHTTPException, match="'many' is not of type 'integer'"):
            client.trigger_job_run(JOB_ID, {"threads_override": "many"})
        assert len(api.calls) == 1

    def test_unknown_job(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A job that does not exist: 404, and what that may mean."""
        api.post(TRIGGER_URL, status=404, json=sample("404"))
        with pytest.raises(DBTCloudHTTPException, match="It does not exist in this account"):
            client.trigger_job_run(JOB_ID)


class TestRetry:
    """`retry_run` creates one run, as a trigger does."""

    def test_retry(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """The new run is returned."""
        api.get(RUN_URL, json=sample("run_error"))
        api.add_callback(responses.POST, f"{RUN_URL}retry/", created)
        assert client.retry_run(RUN_ID).id == NEW_ID

    def test_unanswered(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, io: JumpingIO
    ) -> None:
        """A retry without an answer is found by the run that it retries, not sent again."""
        retried = {**sample("run_queued")["data"], "id": NEW_ID, "retrying_run_id": RUN_ID}
        api.get(RUN_URL, json=sample("run_error"))
        api.post(f"{RUN_URL}retry/", body=requests.ConnectionError("reset"))
        api.get(f"{ACCOUNT}/runs/", json=page([retried, sample("run_error")["data"]], 2))
        assert client.retry_run(RUN_ID).id == NEW_ID
        assert len(bodies(api)) == 1

    def test_get_retry(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """What a retry would do is the API's data."""
        data = {"failed_step": {"index": 4}, "skipped_steps": []}
        api.get(f"{RUN_URL}retry/", json={"status": {"code": 200}, "data": data})
        assert client.get_retry(RUN_ID) == data


class TestReads:
    """The other operations."""

    def test_include_related(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """What is wanted inside the run is asked for as a JSON array."""
        query = matchers.query_param_matcher({"include_related": '["job", "run_steps"]'})
        api.get(RUN_URL, json=sample("run_success_related"), match=[query])
        run = client.get_run_status(RUN_ID, include_related=("job", "run_steps"))
        assert run.job_name == "Nightly flights"

    def test_one_attempt(self, api: responses.RequestsMock) -> None:
        """With `outage_timeout=0` a read is one request, in the calling thread."""
        client = DBTCloudClientV2(credentials=configured(), outage_timeout=0)
        api.get(RUN_URL, json=sample("run_running"), match=[matchers.query_param_matcher({})])
        assert client.get_run_status(RUN_ID).in_progress
        api.replace(responses.GET, RUN_URL, status=503)
        with pytest.raises(DBTCloudHTTPException):
            client.get_run_status(RUN_ID)
        assert len(api.calls) == 2

    def test_another_run(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """An answer about another run or job than the one asked for is a broken answer."""
        api.get(f"{ACCOUNT}/runs/7/", json=sample_run("run_success", id=8))
        api.post(f"{ACCOUNT}/runs/7/cancel/", json=sample_run("run_success", id=8))
        api.get(f"{ACCOUNT}/jobs/7/", json={"data": {"id": 8}})
        for call in (client.get_run_status, client.cancel_run, client.get_job):
            with pytest.raises(DBTCloudResponseException, match="returned id 8 instead of 7"):
                call(7)

    def test_pages(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A page has its items and the total, None if the API names none."""
        api.get(f"{ACCOUNT}/runs/", json=page([{"id": 1}], 9))
        api.get(f"{ACCOUNT}/jobs/", json={"data": [{"id": 1}], "extra": {"pagination": None}})
        assert client.get_runs(order_by="-id", limit=1)[:2] == ([{"id": 1}], 9)
        assert client.get_jobs()[:2] == ([{"id": 1}], None)

    @pytest.mark.parametrize(
        ("limit", "asked"),
        [(0, []), (3, ["3"]), (100, ["100"]), (102, ["100", "2"]), (None, ["100", "100", "100"])],
    )
    def test_limit(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, limit: int, asked: list[str]
    ) -> None:
        """`list_runs(limit=3)` returns three runs, and asks for no more than it needs."""

        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            query = parse_qs(urlsplit(request.url or "").query)
            first, count = int(query["offset"][0]), int(query["limit"][0])
            runs = [{"id": 1 + number} for number in range(250)]
            return 200, {}, json.dumps(page(runs[first : first + count], 250))

        api.add_callback(responses.GET, f"{ACCOUNT}/runs/", answer)
        found = [run.id for run in client.list_runs(limit=limit)]
        assert found == list(range(1, 251))[:limit]
        queries = [parse_qs(urlsplit(call.request.url or "").query) for call in api.calls]
        assert [query["limit"][0] for query in queries] == asked

    def test_list_runs_pages(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """Runs come over all pages, and a page is read only when it is needed."""
        runs = [{**sample("run_success")["data"], "id": 1 + number} for number in range(250)]
        for offset in (0, 100, 200):
            query = {"status__in": "[10, 20]", "limit": "100", "offset": str(offset)}
            match = matchers.query_param_matcher(query)
            api.get(f"{ACCOUNT}/runs/", json=page(runs[offset : offset + 100], 250), match=[match])
        found = client.list_runs(status__in=[10, 20])
        first = next(found)
        assert isinstance(first, DBTCloudRun)
        assert len(api.calls) == 1
        assert [first.id, *(run.id for run in found)] == list(range(1, 251))
        assert len(api.calls) == 3

    def test_shorter_pages(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """Where the API sends fewer items than were asked for, none is skipped."""
        for offset, count in ((0, 60), (60, 60), (120, 10)):
            match = matchers.query_param_matcher({"limit": "100", "offset": str(offset)})
            jobs = [{"id": offset + number} for number in range(count)]
            api.get(f"{ACCOUNT}/jobs/", json=page(jobs, 130), match=[match])
        assert [job["id"] for job in client.list_jobs()] == list(range(130))

    def test_page_that_fails(self, io: JumpingIO, api: responses.RequestsMock) -> None:
        """A page that fails is retried: no item is lost, and none comes twice."""
        client = DBTCloudClientV2(credentials=configured(), io=io)
        api.get(f"{ACCOUNT}/jobs/", json=page([{"id": 1}], 2))
        api.get(f"{ACCOUNT}/jobs/", status=502, body="<html>")
        api.get(f"{ACCOUNT}/jobs/", body=requests.ConnectionError("reset"))
        api.get(f"{ACCOUNT}/jobs/", json=page([{"id": 2}], 2))
        assert list(client.list_jobs()) == [{"id": 1}, {"id": 2}]
        assert [call.request.params["offset"] for call in api.calls] == ["0", "1", "1", "1"]  # type: ignore[attr-defined]
        assert io.sleeps == [1, 2]

    def test_list_without_a_total(
        self, client: DBTCloudClientV2, api: responses.RequestsMock
    ) -> None:
        """A list that does not say how long it is, is not taken for a whole one."""
        api.get(f"{ACCOUNT}/jobs/", json={"status": {"code": 200}, "data": [{"id": 1}]})
        with pytest.raises(DBTCloudResponseException, match="without a `total_count`"):
            list(client.list_jobs())

    def test_list_that_shrinks(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A list that has become shorter than it said ends, it does not loop."""
        api.get(f"{ACCOUNT}/jobs/", json=page([{"id": 1}], 300))
        api.get(f"{ACCOUNT}/jobs/", json=page([], 300))
        assert list(client.list_jobs(project_id=None)) == [{"id": 1}]

    def test_booleans(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """Booleans are JSON in a query."""
        query = {"has_docs_generated": "true", "limit": "100", "offset": "0"}
        match = matchers.query_param_matcher(query)
        api.get(f"{ACCOUNT}/runs/", json=sample("runs"), match=[match])
        assert len(list(client.list_runs(has_docs_generated=True))) == 2

    def test_cancel(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """Cancel returns the run as it is then."""
        api.post(f"{RUN_URL}cancel/", json=sample("run_cancelled_by_user"))
        assert client.cancel_run(RUN_ID).is_cancelled

    def test_job(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A job is the API's data."""
        job = sample("jobs")["data"][0]
        api.get(f"{ACCOUNT}/jobs/1001/", json={"status": {"code": 200}, "data": job})
        assert client.get_job(1001) == job

    @pytest.mark.parametrize(("name", "count"), [("artifacts", 4), ("artifacts_none", 0)])
    def test_list_artifacts(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, name: str, count: int
    ) -> None:
        """A run without artifacts has none, though the API says null."""
        api.get(f"{RUN_URL}artifacts/", json=sample(name))
        assert len(client.list_artifacts(RUN_ID)) == count

    def test_json_artifact(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """A JSON artifact of a given step comes parsed; any content type is accepted."""
        match = [
            matchers.query_param_matcher({"step": 4}),
            matchers.header_matcher({"Accept": "*/*"}),
        ]
        api.get(f"{RUN_URL}artifacts/run_results.json", json=sample("run_results"), match=match)
        assert client.get_artifact(RUN_ID, "run_results.json", step=4) == sample("run_results")

    def test_text_artifact(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """Any other artifact is text, whatever characters its path has."""
        api.get(f"{RUN_URL}artifacts/compiled/a%20b%3F.sql", body="select 1")
        assert client.get_artifact(RUN_ID, "compiled/a b?.sql") == "select 1"

    @pytest.mark.parametrize("body", ["{", "[" * 100_000, "<html>"])
    def test_broken_artifact(
        self, client: DBTCloudClientV2, api: responses.RequestsMock, body: str
    ) -> None:
        """An artifact that is not the JSON its name promises is an error."""
        api.get(f"{RUN_URL}artifacts/manifest.json", body=body)
        with pytest.raises(DBTCloudResponseException, match=r"manifest\.json is not JSON"):
            client.get_artifact(RUN_ID, "manifest.json")


class TestDropIn:
    """What dlt's own client has."""

    def test_endpoints(self, client: DBTCloudClientV2, api: responses.RequestsMock) -> None:
        """`get_endpoint` and `post_endpoint` return the whole answer; a POST is sent once."""
        assert client.api_version == "v2"
        api.get(RUN_URL.rstrip("/"), json=sample("run_success"))
        api.post(f"{ACCOUNT}/jobs/1/run", status=502)
        endpoint = f"{client.accounts_url}/runs/{RUN_ID}"
        assert client.get_endpoint(endpoint) == sample("run_success")
        with pytest.raises(DBTCloudHTTPException):
            client.post_endpoint(f"{client.accounts_url}/jobs/1/run", {"cause": "x"})
        assert bodies(api) == [{"cause": "x"}]


def test_token_of_the_right_client(api: responses.RequestsMock) -> None:
    """Two clients in one process don't mix their tokens."""
    for token in ("one", "two"):
        header = matchers.header_matcher({"Authorization": f"Token {token}"})
        api.get(
            f"{HOST}/api/v2/accounts/1/runs/1/",
            json=sample_run("run_success", id=1),
            match=[header],
        )
    clients = [DBTCloudClientV2(token, 1, HOST) for token in ("one", "two", TOKEN)]
    assert all(client.get_run_status(1).is_success for client in clients[:2])
