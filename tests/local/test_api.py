"""The endpoints: who may ask, what is answered, what is refused. All without dbt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from dlt_dbt_cloud.local import LocalDBTCloud

INVALID = "The request was invalid. Please double check the provided data and try again."


def paths(api: Any) -> list[tuple[str, str]]:
    """Every operation, on things that exist."""
    run_id, step_id = api.trigger()["id"], 70403112000001
    api.finished(run_id)
    return [
        ("GET", "jobs"),
        ("GET", f"jobs/{api.job_id}"),
        ("POST", f"jobs/{api.job_id}/rerun"),
        ("GET", "runs"),
        ("GET", f"runs/{run_id}"),
        ("POST", f"runs/{run_id}/cancel"),
        ("GET", f"runs/{run_id}/artifacts"),
        ("GET", f"runs/{run_id}/artifacts/run_results.json"),
        ("GET", f"jobs/{api.job_id}/artifacts/run_results.json"),
        ("GET", f"steps/{step_id}"),
    ]


def test_both_spellings_of_a_path(api: Any) -> None:
    """A path is served with and without a slash at its end, without a redirect."""
    for method, path in paths(api):
        with_slash = path if path.endswith(".json") else f"{path}/"
        for spelling in (path, with_slash):
            answer = api.request(method, spelling, allow_redirects=False)
            assert answer.status_code == 200, (method, spelling)
    slashless = api.request("POST", f"jobs/{api.job_id}/run", json={"cause": "no slash"})
    assert slashless.status_code == 200


def test_both_schemes_of_authorization(api: Any) -> None:
    """`Token` and `Bearer` are equivalent."""
    for scheme in ("Token", "Bearer"):
        api.session.headers["Authorization"] = f"{scheme} {api.settings['api_token']}"
        assert api.get("runs/") == []


@pytest.mark.parametrize("header", [None, "Token wrong", "Basic x", "Token ", "Bearer", "Token ä"])
def test_a_token_is_always_required(
    api: Any, header: str | None, read_sample: Callable[[str], Any]
) -> None:
    """Without the token nothing is answered, and nothing is done."""
    for method, path in [*paths(api), ("GET", "nothing/here")]:
        answer = requests.request(
            method,
            f"{api.account}/{path}",
            headers={} if header is None else {"Authorization": header.encode()},
            timeout=10,
        )
        assert (answer.status_code, answer.json()) == (401, read_sample("error_401.json"))


def test_another_account_is_forbidden(api: Any, read_sample: Callable[[str], Any]) -> None:
    """An account that is not the token's is forbidden, not missing."""
    api.account = api.account.replace(api.settings["account_id"], "1")
    assert api.refusal("GET", "runs/") == (403, read_sample("error_403.json"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "runs/1/"),
        ("GET", "runs/abc/"),
        ("POST", "runs/1/cancel/"),
        ("POST", "runs/1/retry/"),
        ("GET", "runs/1/artifacts/"),
        ("GET", "jobs/1/"),
        ("POST", "jobs/1/run/"),
        ("POST", "jobs/1/rerun/"),
        ("GET", "jobs/1/artifacts/manifest.json"),
        ("GET", "steps/1/"),
        ("GET", "nothing/here/"),
    ],
)
def test_what_is_missing(
    api: Any, read_sample: Callable[[str], Any], method: str, path: str
) -> None:
    """What does not exist is answered as on dbt Cloud."""
    more = {"json": {"cause": "x"}} if method == "POST" else {}
    assert api.refusal(method, path, **more) == (404, read_sample("error_404.json"))


def test_jobs_are_not_changed(api: Any) -> None:
    """Jobs are described in Python or TOML: an update that changes one is refused by name."""
    job = api.get(f"jobs/{api.job_id}/")
    paused = {**job, "triggers": {**job["triggers"], "schedule": False}, "more": 1}
    assert api.post(f"jobs/{api.job_id}/", paused) == job
    status, body = api.refusal("POST", f"jobs/{api.job_id}/", json={**job, "name": "Other"})
    assert (status, body["status"]["user_message"]) == (
        501,
        "The local dbt Cloud doesn't change jobs: name.",
    )


def test_query_keys_that_are_not_served(api: Any) -> None:
    """Keys that are described but that no client sends are refused by name, not ignored."""
    query = {"has_docs_generated": "true", "dbt_version": "1"}
    status, body = api.refusal("GET", "runs/", params=query)
    assert status == 501
    assert "dbt_version, has_docs_generated" in body["status"]["user_message"]


def test_unknown_query_keys_are_refused(api: Any, read_sample: Callable[[str], Any]) -> None:
    """Query keys that dbt Cloud doesn't know are refused, in these words."""
    query = {"created_at__lte": "x", "created_at__gte": "y"}
    assert api.refusal("GET", "runs/", params=query) == (400, read_sample("error_400.json"))
    status, body = api.refusal("GET", f"runs/{api.trigger()['id']}/", params={"limit": 1})
    assert (status, body["status"]["user_message"]) == (400, INVALID)
    assert body["data"] == "Additional properties are not allowed ('limit' was unexpected)"


@pytest.mark.parametrize(
    "query",
    [
        {"status__in": "1,2,3"},
        {"status__in": '["a"]'},
        {"created_at__range": "2025-01-01,2025-02-01"},
        {"created_at__range": '["2025-01-01"]'},
        {"created_at__range": '["yesterday", "today"]'},
        {"limit": "101"},
        {"limit": "0"},
        {"limit": "many"},
        {"offset": "-1"},
        {"order_by": "cause"},
        {"state": "gone"},
        {"status__in": "[" * 9_000},
        {"id__gt": "9" * 5_000},
        {"pk__in": f"[{'9' * 5_000}]"},
        {"created_at__range": '["NaN", 1e999]'},
    ],
)
def test_wrong_query_values_are_refused(api: Any, query: dict[str, str]) -> None:
    """A value of the wrong type, or beyond its limits, is refused."""
    status, body = api.refusal("GET", "runs/", params=query)
    assert (status, body["status"]["user_message"]) == (400, INVALID)


RELATED = [
    ["trigger", "job"],
    ["trigger,job"],
    "trigger,job",
    '["trigger","job"]',
    "['trigger', 'job']",
    '["trigger","job",,"run_steps", "environment"]',
    "trigger, job",
]


LISTS = ["1,10", "1", "(1,10)", "{1}", "[1,"]


@pytest.mark.parametrize("key", ["status__in", "pk__in", "project_id__in"])
def test_spellings_of_a_list(api: Any, key: str) -> None:
    """A list in a filter is JSON, with or without spaces. Every other spelling is refused."""
    run = api.trigger()
    values = {"status__in": "1,2,3,10", "pk__in": run["id"], "project_id__in": run["project_id"]}
    for spelling in (f"[{values[key]}]", f"[ 5, {values[key]} ]", f"[{values[key]},5]"):
        assert [found["id"] for found in api.get("runs/", **{key: spelling})] == [run["id"]]
    for refused in LISTS:
        assert api.refusal("GET", "runs/", params={key: refused})[0] == 400
    for name in (f"{key}[]", f"{key}[0]", f"{key}__gte"):
        assert api.refusal("GET", "runs/", params={name: values[key]})[0] == 400


def test_spellings_of_a_range(api: Any) -> None:
    """A range of time is a JSON list of two moments. Repeated or with commas it is refused."""
    run = api.trigger()
    moment = run["created_at"]
    for spelling in (moment, moment.replace(" ", "T"), moment.replace("+00:00", "Z")):
        query = f'["{spelling}", "{spelling}"]'
        assert [found["id"] for found in api.get("runs/", created_at__range=query)] == [run["id"]]
    for refused in ([moment, moment], f"{moment},{moment}", f"[{moment},{moment}]"):
        params = {"created_at__range": refused}
        assert api.refusal("GET", "runs/", params=params)[0] == 400


@pytest.mark.parametrize("spelling", RELATED)
def test_related_objects(api: Any, spelling: str | list[str]) -> None:
    """Related objects are null unless asked for, in each spelling that clients use."""
    run_id = api.trigger()["id"]
    bare = api.get(f"runs/{run_id}/")
    assert (bare["trigger"], bare["job"], bare["environment"]) == (None, None, None)
    assert bare["run_steps"] == []
    run = api.get(f"runs/{run_id}/", include_related=spelling)
    assert run["trigger"]["cause"] == "a test"
    assert run["job"]["id"] == api.job_id
    [listed] = api.get("runs/", include_related=spelling)
    assert listed["trigger"]["cause"] == "a test"


def test_related_environment_and_steps(api: Any) -> None:
    """A run can be asked for with its environment and its steps."""
    run_id = api.trigger()["id"]
    api.finished(run_id)
    run = api.run(run_id, "environment", "run_steps")
    assert run["environment"]["id"] == run["environment_id"]
    assert api.run(run_id)["environment"] is None
    job = api.get(f"jobs/{api.job_id}/", include_related="environment")
    assert job["environment"] == run["environment"]
    assert api.get("jobs/", include_related="environment")[0] == job
    assert api.get(f"environments/{job['environment_id']}/") == job["environment"]
    [step] = run["run_steps"]
    assert api.get(f"steps/{step['id']}/") == step


def test_audit_and_retries(api: Any, scripted: LocalDBTCloud) -> None:
    """A run tells who triggered it, who cancelled it, and which runs retried it, if asked."""
    run_id = api.trigger()["id"]
    assert api.run(run_id)["audit"] is None
    assert api.run(run_id, "audit")["audit"]["cancellation"] is None
    api.post(f"runs/{run_id}/cancel/")
    [listed] = api.get("runs/", include_related="audit")
    assert listed["audit"] == dict.fromkeys(listed["audit"], listed["audit"]["trigger"])
    assert set(listed["audit"]["trigger"]["actor"]) == {"id", "type", "name"}
    failed = api.finished(api.trigger(scripted.jobs[1].id)["id"])
    assert "run_retries" not in failed
    retried = api.post(f"runs/{failed['id']}/retry/")
    assert api.run(failed["id"], "run_retries")["run_retries"] == [retried["id"]]


def test_account_and_project(api: Any) -> None:
    """The account and the projects of the jobs can be read, as Dagster does."""
    job = api.get(f"jobs/{api.job_id}/")
    assert api.get("")["id"] == job["account_id"]
    assert api.get(f"projects/{job['project_id']}/")["id"] == job["project_id"]
    for missing in ("projects/1/", "environments/1/"):
        assert api.refusal("GET", missing)[0] == 404


def test_list_of_runs(api: Any, scripted: LocalDBTCloud) -> None:
    """Runs are listed oldest first, filtered, in pages, with what was asked for echoed."""
    good, bad = (job.id for job in scripted.jobs)
    ids = [api.trigger(job_id)["id"] for job_id in (good, bad, good)]
    assert [run["id"] for run in api.get("runs/")] == ids
    assert [run["id"] for run in api.get("runs/", order_by="-id")] == ids[::-1]
    assert [run["id"] for run in api.get("runs/", order_by="-created_at", limit=1)] == ids[2:]
    assert [run["id"] for run in api.get("runs/", offset=1, limit=1)] == ids[1:2]
    assert [run["id"] for run in api.get("runs/", job_definition_id=good)] == [ids[0], ids[2]]
    assert [run["id"] for run in api.get("runs/", id__gt=ids[0])] == ids[1:]
    assert [run["id"] for run in api.get("runs/", pk=ids[1])] == [ids[1]]
    assert [run["id"] for run in api.get("runs/", pk__in=f"[{ids[0]}]")] == ids[:1]
    extra = api.request("GET", "runs/", params={"limit": 2, "job_definition_id": good}).json()
    assert extra["extra"] == {
        "filters": {
            "limit": 2,
            "offset": 0,
            "state": "all",
            "account_id": int(api.settings["account_id"]),
            "job_definition_id": good,
        },
        "order_by": "id",
        "pagination": {"count": 2, "total_count": 2},
    }


def test_filters_by_state_of_runs(api: Any, scripted: LocalDBTCloud) -> None:
    """Runs are found by status, by time and by what they made."""
    good, bad = (api.finished(api.trigger(job.id)["id"]) for job in scripted.jobs)

    def found(**query: Any) -> list[int]:
        return [run["id"] for run in api.get("runs/", **query)]

    assert found(status=10) == found(status__in="[10]") == [good["id"]]
    assert found(status__in="[1, 10, 20]") == [good["id"], bad["id"]]
    assert found(created_at__range=f'["{good["created_at"]}", "{good["created_at"]}"]') == [
        good["id"]
    ]
    assert found(finished_at__range='["2020-01-01", "2020-01-02T00:00:00Z"]') == []
    assert found(project_id=good["project_id"]) == [good["id"], bad["id"]]
    assert found(project_id__in="[1]") == found(environment_id=1) == found(state="deleted") == []
    assert found(order_by="-finished_at") == [bad["id"], good["id"]]


def test_list_of_jobs(api: Any, scripted: LocalDBTCloud) -> None:
    """Jobs are found by name, project and environment."""
    good, bad = api.get("jobs/")
    assert (good["name"], bad["name"]) == ("Good", "Bad")
    assert api.get(f"jobs/{bad['id']}/") == bad
    assert api.get("jobs/", name__icontains="gOO") == [good]
    assert api.get("jobs/", project_id=good["project_id"]) == [good, bad]
    assert api.get("jobs/", environment_id=good["environment_id"], limit=1) == [good]
    assert api.get("jobs/", project_id=1) == api.get("jobs/", state="deleted") == []
    assert api.get("jobs/", order_by="-id") == [bad, good]
    assert api.get("jobs/", pk=bad["id"], account_id=bad["account_id"]) == [bad]
    extra = api.request("GET", "jobs/").json()["extra"]
    assert extra["filters"]["state"] == "active"


def test_runs_of_a_job_wait_for_each_other(api: Any) -> None:
    """Nothing is deduplicated: two triggers are two runs, one after the other."""
    first, second = api.trigger(), api.trigger()
    assert first["id"] != second["id"]
    assert (first["blocked_by"], second["blocked_by"]) == ([], [first["id"]])
    assert api.finished(first["id"])["is_success"]
    assert api.run(second["id"])["blocked_by"] == []
    assert api.finished(second["id"])["is_success"]


def test_cancel(api: Any) -> None:
    """A run that is not over is cancelled, one that is over stays as it was."""
    run_id = api.trigger()["id"]
    cancelled = api.post(f"runs/{run_id}/cancel/")
    assert (cancelled["status"], cancelled["status_message"]) == (30, "Cancelled by user.")
    assert cancelled["retry_not_supported_reason"] == "RETRY_NOT_FAILED_RUN"
    assert api.post(f"runs/{run_id}/cancel/")["updated_at"] == cancelled["updated_at"]


def test_retry(api: Any, scripted: LocalDBTCloud) -> None:
    """A failed run is retried as a new one that names it, while it is the last of its job."""
    bad = scripted.jobs[1].id
    failed = api.finished(api.trigger(bad)["id"])
    assert (failed["can_retry"], failed["retry_not_supported_reason"]) == (True, None)
    assert api.get(f"runs/{failed['id']}/retry/") == {
        "failed_step": "dbt build",
        "skipped_steps": [],
    }
    retried = api.post(f"runs/{failed['id']}/retry/")
    assert (retried["retrying_run_id"], retried["status"]) == (failed["id"], 1)
    assert retried["trigger"]["cause_category"] == "rerun"
    assert api.run(failed["id"])["retry_not_supported_reason"] == "RETRY_NOT_LATEST_RUN"
    for method in ("GET", "POST"):
        assert api.refusal(method, f"runs/{failed['id']}/retry/")[0] == 400


def test_rerun(api: Any, scripted: LocalDBTCloud) -> None:
    """Rerun retries the last run of a job if it failed, else it triggers a new one."""
    good, bad = (job.id for job in scripted.jobs)
    failed = api.finished(api.trigger(bad)["id"])
    assert api.post(f"jobs/{bad}/rerun/")["retrying_run_id"] == failed["id"]
    assert api.post(f"jobs/{good}/rerun/")["retrying_run_id"] is None
    assert api.finished(api.trigger(good)["id"])["is_success"]
    assert api.post(f"jobs/{good}/rerun/")["retrying_run_id"] is None


def test_artifacts_of_a_run_without_any(api: Any, scripted: LocalDBTCloud) -> None:
    """The list of no artifacts is null, while a run goes on and after."""
    good, bad = (api.trigger(job.id)["id"] for job in scripted.jobs)
    assert api.get(f"runs/{good}/artifacts/") is None
    api.finished(good)
    api.finished(bad)
    assert api.get(f"runs/{good}/artifacts/") == ["run_results.json"]
    assert api.artifact(good, "run_results.json") == {"results": []}
    assert api.get(f"runs/{bad}/artifacts/") is None
    assert api.refusal("GET", f"jobs/{scripted.jobs[1].id}/artifacts/manifest.json")[0] == 404
