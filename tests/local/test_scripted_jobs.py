"""Jobs without dbt, which go by what a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dlt_dbt_cloud.local import LocalDBTCloud, LocalDBTCloudException, ScriptedJob


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def test_a_status_per_look(make_api: Callable[..., Any]) -> None:
    """Each read of a run, alone or in a list, shows the next status, and the last one stays."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[1, 2, 3, 10])]) as cloud:
        api = make_api(cloud)
        run_id = api.trigger()["id"]
        assert api.run(run_id)["status"] == 1
        assert api.get("runs/")[0]["status"] == 2
        assert [api.run(run_id)["status"] for _ in range(3)] == [3, 10, 10]


def test_statuses_by_seconds(make_api: Callable[..., Any]) -> None:
    """A run may go by seconds since it began, which is when the one ahead has ended."""
    clock = Clock()
    job = ScriptedJob(statuses=[(0, 1), (1.5, 3), (60, 20)], status_message="dbt command failed")
    with LocalDBTCloud(jobs=[job], clock=clock) as cloud:
        api = make_api(cloud)
        first, second = api.trigger()["id"], api.trigger()["id"]
        assert api.run(first)["status"] == 1
        clock.now = 2
        assert api.run(first)["status"] == 3
        clock.now = 61
        assert api.run(second)["status"] == 1
        assert api.run(first)["status_message"] == "dbt command failed"
        clock.now = 63
        assert api.run(second)["status"] == 3


def test_a_look_at_a_waiting_run_moves_the_one_ahead(make_api: Callable[..., Any]) -> None:
    """Who polls a queued run gets there, though nobody polls the run ahead."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[3, 10])]) as cloud:
        api = make_api(cloud)
        _, second = api.trigger(), api.trigger()
        assert api.finished(second["id"])["is_success"]


def test_steps_logs_and_artifacts(make_api: Callable[..., Any]) -> None:
    """A run shows the job's steps once it runs, its logs, and its artifacts when it has ended."""
    job = ScriptedJob(
        steps=("dbt seed", "dbt build"),
        logs="Failure in model a",
        statuses=[1, 3, 20],
        artifacts={"run_results.json": {"results": []}, "run/a.sql": "select 1", "raw": b"\0"},
    )
    with LocalDBTCloud(jobs=[job]) as cloud:
        api = make_api(cloud)
        run_id = api.trigger()["id"]
        assert api.run(run_id, "run_steps")["run_steps"] == []
        assert api.get(f"runs/{run_id}/artifacts/") is None
        api.run(run_id)
        seeded, built = api.run(run_id, "run_steps")["run_steps"]
        assert (seeded["name"], seeded["status"]) == ("Invoke dbt with `dbt seed`", 10)
        assert (built["status"], built["logs"]) == (20, "Failure in model a")
        assert api.get(f"runs/{run_id}/artifacts/") == ["raw", "run/a.sql", "run_results.json"]
        assert api.request("GET", f"runs/{run_id}/artifacts/raw").content == b"\0"


@pytest.mark.parametrize("status", [20, 30])
def test_runs_that_never_start(make_api: Callable[..., Any], status: int) -> None:
    """A run ends without any step where dbt Cloud itself fails."""
    job = ScriptedJob(statuses=[1, status], steps=(), status_message="Internal error")
    with LocalDBTCloud(jobs=[job]) as cloud:
        api = make_api(cloud)
        run = api.finished(api.trigger()["id"])
        assert (run["status"], run["status_message"], run["run_steps"]) == (
            status,
            "Internal error",
            [],
        )


def test_cancel_while_it_runs(make_api: Callable[..., Any]) -> None:
    """A cancelled run ends at once, with its steps."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[3])]) as cloud:
        api = make_api(cloud)
        run_id = api.trigger()["id"]
        assert api.run(run_id)["status"] == 3
        assert api.post(f"runs/{run_id}/cancel/")["status"] == 30
        assert api.run(run_id, "run_steps")["run_steps"][0]["status"] == 30


def test_refusals_to_retry(make_api: Callable[..., Any]) -> None:
    """A failed run may be one that can't be retried."""
    job = ScriptedJob(statuses=[20], retry_not_supported_reason="RETRY_NO_RUN_RESULTS")
    with LocalDBTCloud(jobs=[job]) as cloud:
        api = make_api(cloud)
        run = api.finished(api.trigger()["id"])
        assert (run["can_retry"], run["retry_not_supported_reason"]) == (
            False,
            "RETRY_NO_RUN_RESULTS",
        )


def test_unknown_statuses() -> None:
    """A script with a status that dbt Cloud doesn't have is a mistake of the test."""
    cloud = LocalDBTCloud(jobs=[ScriptedJob(statuses=[1, 4])])
    with pytest.raises(LocalDBTCloudException, match=r"status 4\. There are 1 Queued, 2 Starting"):
        cloud.__enter__()
