"""Faults on the wire, each as a client meets it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from dlt_dbt_cloud.local import Fault, LocalDBTCloud, ScriptedJob

TRIGGER, RUNS, RUN = "/run/$", "/runs/$", "/runs/[0-9]+/$"


def test_commit_then_drop(api: Any, scripted: LocalDBTCloud) -> None:
    """The run is created, and the client sees nothing but a broken connection."""
    scripted.fail_next(Fault.commit_then_drop(), TRIGGER)
    with pytest.raises(requests.ConnectionError):
        api.trigger()
    assert len(api.get("runs/")) == 1
    assert api.trigger()["status"] == 1
    assert [request.status for request in scripted.requests] == [None, 200, 200]


def test_drop(api: Any, scripted: LocalDBTCloud) -> None:
    """The connection breaks and no run is created."""
    scripted.fail_next(Fault.drop(), TRIGGER)
    with pytest.raises(requests.ConnectionError):
        api.trigger()
    assert api.get("runs/") == []


@pytest.mark.parametrize("status", [200, 502, 504])
@pytest.mark.parametrize("html", [True, False])
def test_commit_then_answer(api: Any, scripted: LocalDBTCloud, status: int, html: bool) -> None:
    """The run is created, and a gateway says otherwise."""
    scripted.fail_next(Fault.commit_then_answer(status, html=html), TRIGGER)
    answer = api.request("POST", f"jobs/{api.job_id}/run/", json={"cause": "x"})
    assert answer.status_code == status
    assert answer.text.startswith("<html>" if html else '{"status"')
    assert len(api.get("runs/")) == 1


def test_error_before_commit(api: Any, scripted: LocalDBTCloud) -> None:
    """A server error, and no run is created."""
    scripted.fail_next(Fault.answer(), TRIGGER, times=2)
    for _ in range(2):
        status, body = api.refusal("POST", f"jobs/{api.job_id}/run/", json={"cause": "x"})
        assert (status, body["status"]["is_success"]) == (500, False)
    assert api.get("runs/") == []


@pytest.mark.parametrize("retry_after", [None, 300])
def test_too_many_requests(api: Any, scripted: LocalDBTCloud, retry_after: int | None) -> None:
    """The rate limit, with and without a hint when to come back."""
    scripted.fail_next(Fault.too_many_requests(retry_after))
    answer = api.request("GET", "runs/")
    assert answer.status_code == 429
    assert answer.headers.get("Retry-After") == (str(retry_after) if retry_after else None)


def test_run_that_is_not_there_yet(api: Any, scripted: LocalDBTCloud) -> None:
    """The first reads of a new run are 404."""
    scripted.fail_next(Fault.not_found(), RUN, method="GET", times=2)
    run_id = api.trigger()["id"]
    answers = [api.request("GET", f"runs/{run_id}/").status_code for _ in range(3)]
    assert answers == [404, 404, 200]


def test_lagging_list(api: Any, scripted: LocalDBTCloud) -> None:
    """A list doesn't show new runs for a while, but the old ones."""
    old = api.trigger()["id"]
    scripted.fail_next(Fault.lagging_list(), RUNS, times=2)
    new = api.trigger()["id"]
    assert [[run["id"] for run in api.get("runs/")] for _ in range(3)] == [
        [old],
        [old],
        [old, new],
    ]


def test_faults_for_some_time(make_api: Any) -> None:
    """A fault may last some seconds instead of some requests."""
    now = [0.0]
    with LocalDBTCloud(jobs=[ScriptedJob()], clock=lambda: now[0]) as cloud:
        api = make_api(cloud)
        cloud.fail_next(Fault.answer(503, html=True), seconds=10)
        assert [api.request("GET", "runs/").status_code for _ in range(2)] == [503, 503]
        now[0] = 10
        assert api.get("runs/") == []


def test_late_artifacts(api: Any, scripted: LocalDBTCloud) -> None:
    """Artifacts come some time after the end of the run."""
    run_id = api.finished(api.trigger()["id"])["id"]
    scripted.fail_next(Fault.late_artifacts(), "/artifacts/", times=2)
    assert api.get(f"runs/{run_id}/artifacts/") is None
    assert api.request("GET", f"runs/{run_id}/artifacts/run_results.json").status_code == 404
    assert api.get(f"runs/{run_id}/artifacts/") == ["run_results.json"]


def test_slow_answer(api: Any, scripted: LocalDBTCloud) -> None:
    """The run is created, the answer takes longer than the client waits."""
    scripted.fail_next(Fault.slow(60), TRIGGER)
    with pytest.raises(requests.ReadTimeout):
        api.session.post(f"{api.account}/jobs/{api.job_id}/run/", json={"cause": "x"}, timeout=0.2)
    assert len(api.get("runs/")) == 1


def test_slow_answer_does_not_keep_the_server(make_api: Any) -> None:
    """The server ends at once, though an answer is due in a minute."""
    began = time.monotonic()
    with LocalDBTCloud(jobs=[ScriptedJob()]) as cloud:
        cloud.fail_next(Fault.slow(60))
        with pytest.raises(requests.ReadTimeout):
            requests.get(cloud.url, timeout=0.2)
    assert time.monotonic() - began < 30


def test_other_requests_are_served(api: Any, scripted: LocalDBTCloud) -> None:
    """A fault is for the paths and methods that it is set for."""
    scripted.fail_next(Fault.answer(500), TRIGGER, method="POST")
    assert api.get("runs/") == []
    assert api.get("jobs/") != []
    assert api.refusal("POST", f"jobs/{api.job_id}/run/", json={"cause": "x"})[0] == 500
