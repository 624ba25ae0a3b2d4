"""Scenes: situations of dbt Cloud that a test asks for by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from dlt_dbt_cloud.local import LocalDBTCloud, Scene, ScriptedJob


def test_run_slots(api: Any, scripted: LocalDBTCloud) -> None:
    """With one run slot a job waits for another one's run, and then runs."""
    scripted.play("run_slots")
    good, bad = (job.id for job in scripted.jobs)
    first, second = api.trigger(bad)["id"], api.trigger(good)["id"]
    assert api.run(first)["dequeued_at"] is not None
    assert api.run(second)["dequeued_at"] is None
    assert api.finished(second)["is_success"]
    assert api.run(first)["is_error"]


def test_deactivation(api: Any, scripted: LocalDBTCloud) -> None:
    """A job is deactivated by its 100th failure in a row, and then can't be triggered."""
    scripted.play(Scene.DEACTIVATION)
    good, bad = (job.id for job in scripted.jobs)
    assert api.get(f"jobs/{bad}/")["run_failure_count"] == 99
    api.finished(api.trigger(good)["id"])
    api.finished(api.trigger(bad)["id"])
    assert [job["deactivated"] for job in api.get("jobs/")] == [False, True]
    for path in (f"jobs/{bad}/run/",):
        assert api.refusal("POST", path, json={"cause": "x"})[0] == 400
    api.trigger(good)


def test_timed_out(api: Any, scripted: LocalDBTCloud) -> None:
    """The next run is cancelled by the limit of 24 h, those after it are not."""
    scripted.play("timed_out")
    run = api.finished(api.trigger()["id"])
    assert (run["status"], run["status_message"]) == (
        30,
        (
            "This run timed out after running for 1 day, which exceeded the configured timeout of "
            "86400 seconds."
        ),
    )
    assert api.finished(api.trigger()["id"])["is_success"]


def test_capacity(api: Any, scripted: LocalDBTCloud) -> None:
    """The next run is cancelled before any step has begun."""
    scripted.play("capacity")
    run = api.finished(api.trigger()["id"])
    assert (run["status"], run["run_steps"], run["started_at"]) == (30, [], None)
    assert "capacity" in run["status_message"]


def test_stuck_queue(api: Any, scripted: LocalDBTCloud) -> None:
    """A run that never leaves the queue holds up its job, until it is cancelled."""
    scripted.play("stuck_queue")
    stuck, later = api.trigger()["id"], api.trigger()["id"]
    assert [api.run(run_id)["status"] for run_id in (stuck, later) * 5] == [1] * 10
    api.post(f"runs/{stuck}/cancel/")
    assert api.finished(later)["is_success"]


def test_outage(make_api: Callable[..., Any]) -> None:
    """For 38 minutes, or for as long as is said, each request is a 504."""
    now = [0.0]
    with LocalDBTCloud(jobs=[ScriptedJob()], clock=lambda: now[0]) as cloud:
        api = make_api(cloud)
        for length, seconds in ((38 * 60, None), (10, 10)):
            cloud.play("outage", seconds=seconds)
            assert api.request("GET", "runs/").status_code == 504
            now[0] += length - 1
            assert api.request("POST", f"jobs/{api.job_id}/run/").status_code == 504
            now[0] += 1
            assert api.get("runs/") == []


def test_slow_api(api: Any, scripted: LocalDBTCloud) -> None:
    """Each answer takes 5 s."""
    scripted.play("slow_api")
    began = time.monotonic()
    with pytest.raises(Exception, match="timed out"):
        api.session.get(f"{api.account}/runs/", timeout=0.2)
    assert time.monotonic() - began < 5


def test_unknown_scene(scripted: LocalDBTCloud) -> None:
    """A scene that doesn't exist is an error of the test."""
    with pytest.raises(ValueError, match="rain"):
        scripted.play("rain")
