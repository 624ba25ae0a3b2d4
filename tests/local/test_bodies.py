"""The shapes of the answers, against recorded ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dlt_dbt_cloud.local import LocalDBTCloud
from dlt_dbt_cloud.local.api import bodies
from dlt_dbt_cloud.local.api.envelopes import success

NEWER = {
    "audit",
    "can_retry",
    "deprecation",
    "retry_not_supported_reason",
    "retrying_run_id",
    "used_repo_cache",
}
"""Fields of a run that came after the recording, by the OpenAPI description."""
OLDER = {"scribe_enabled"}
"""Fields that are gone since."""


def nulls(body: dict[str, Any]) -> set[str]:
    """The fields that are null."""
    return {key for key, value in body.items() if value is None}


def test_answer_to_a_trigger(api: Any, read_sample: Callable[[str], Any]) -> None:
    """A triggered run has the fields, types and nulls of a recorded one."""
    recorded = read_sample("trigger.json")["data"]
    run = api.trigger(steps_override=["dbt run"])
    assert set(run) - NEWER == set(recorded) - OLDER
    assert nulls(run) - NEWER == nulls(recorded)
    for key in set(recorded) - OLDER - {"trigger", "job"}:
        assert type(run[key]) is type(recorded[key]), key
    trigger = run["trigger"]
    assert set(trigger) - {"cause_category", "non_native_pull_request_id"} == set(
        recorded["trigger"]
    )
    assert nulls(trigger) - {"non_native_pull_request_id"} == nulls(recorded["trigger"])
    assert set(run["job"]) >= set(recorded["job"])
    assert nulls(recorded["job"]) <= nulls(run["job"])


def test_timestamps(api: Any, read_sample: Callable[[str], Any]) -> None:
    """Runs write a moment with a space and an offset, jobs with a T."""
    run = api.trigger()
    shape = "%Y-%m-%d %H:%M:%S.%f+00:00"
    for key in ("created_at", "updated_at"):
        datetime.strptime(read_sample("trigger.json")["data"][key], shape)  # noqa: DTZ007
        datetime.strptime(run[key], shape)  # noqa: DTZ007
    assert run["job"]["created_at"].endswith("Z")
    assert api.get(f"jobs/{api.job_id}/")["created_at"].endswith("+00:00")


def test_answer_with_a_step(api: Any, read_sample: Callable[[str], Any]) -> None:
    """A step has the fields of a recorded one."""
    [step] = api.finished(api.trigger()["id"])["run_steps"]
    recorded = read_sample("run_step.json")
    assert set(step) == set(recorded)
    assert nulls(step) - {"truncated_debug_logs"} == nulls(recorded)


def test_answer_with_a_list(api: Any, read_sample: Callable[[str], Any]) -> None:
    """A list says what it was filtered by, and how many there are."""
    recorded = read_sample("list_runs.json")
    listed = api.request("GET", "runs/", params={"job_definition_id": api.job_id}).json()
    assert list(listed) == list(recorded)
    assert list(listed["extra"]["filters"]) == list(recorded["extra"]["filters"])
    assert set(listed["extra"]) == set(recorded["extra"])


def test_states_of_a_run(api: Any, scripted: LocalDBTCloud) -> None:
    """Flags, times and the nulls among them go with the status."""
    good, bad = (api.trigger(job.id) for job in scripted.jobs)
    assert (good["in_progress"], good["is_complete"], good["is_running"]) == (True, False, None)
    assert good["can_retry"] is False
    success, error = api.finished(good["id"]), api.finished(bad["id"])
    assert (success["is_success"], success["in_progress"], success["is_complete"]) == (
        True,
        False,
        True,
    )
    assert (error["is_error"], error["status_message"]) == (True, "dbt command failed")
    assert success["executed_by_thread_id"] == f"dbt-run-{success['id']}"
    assert all(success[key] for key in ("dequeued_at", "started_at", "finished_at"))
    assert success["href"] == (
        f"{scripted.url}/deploy/{success['account_id']}/projects/{success['project_id']}"
        f"/runs/{success['id']}/"
    )
    assert success["finished_at_humanized"].endswith(" ago")
    assert good["finished_at_humanized"] == "0 minutes from now"


@pytest.mark.parametrize(
    ("seconds", "clock", "humanized"),
    [
        (0, "00:00:00", "0 minutes"),
        (1.9, "00:00:01", "1 second"),
        (51, "00:00:51", "51 seconds"),
        (110, "00:01:50", "1 minute, 50 seconds"),
        (3600, "01:00:00", "1 hour"),
        (3601, "01:00:01", "1 hour"),
        (86400 + 36, "24:00:36", "1 day"),
        (17 * 86400, "408:00:00", "2 weeks, 3 days"),
    ],
)
def test_durations(seconds: float, clock: str, humanized: str) -> None:
    """Durations are floored, hours may exceed 23, people read two adjacent units."""
    duration = timedelta(seconds=seconds)
    assert (bodies.clock(duration), bodies.humanized(duration)) == (clock, humanized)


def test_moments_on_the_second() -> None:
    """The fraction of a second is left out where it is 0."""
    moment = datetime(2022, 5, 5, 6, 51, 10, tzinfo=timezone.utc)
    assert '"created_at": "2022-05-05 06:51:10+00:00"' in success({"created_at": moment}).get_data(
        as_text=True
    )


def test_long_debug_logs_are_truncated() -> None:
    """The last 1,000 lines of a debug log are shown, after a notice."""
    log = "".join(f"line {number}\n" for number in range(1500))
    shown = bodies.truncated(log)
    assert shown is not None
    assert shown.startswith("This log output is truncated.")
    assert shown.endswith("\n\n" + "".join(f"line {number}\n" for number in range(500, 1500)))
    assert bodies.truncated("short\n") == "short\n"
