"""Which runs count as having built what."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dlt_dbt_cloud._start.select_coverage import history, uncovered
from dlt_dbt_cloud._start.select_destination import Loaded
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.run import DBTCloudRun


def listed(run_id: int, status: int, **more: Any) -> DBTCloudRun:
    """Returns a run with a trigger that changes nothing."""
    return DBTCloudRun({"id": run_id, "status": status, "trigger": {"cause": "x"}, **more})


def test_retry_of_a_narrowed_run() -> None:
    """A retry has the steps of the run that it continues: it is no full run by itself."""
    narrowed = {"cause": "x", "steps_override": ["dbt build --select source:shop+"]}
    runs = [listed(3, 10, retrying_run_id=2), listed(2, 20, trigger=narrowed), listed(1, 10)]
    past = history(runs, {})
    assert past
    assert (past.full.id, past.finished) == (1, {1, 2, 3})
    assert [run.id for run in past.later] == [2]


def test_retry_of_a_full_run() -> None:
    """A full run that a retry has completed has built everything."""
    past = history([listed(3, 10, retrying_run_id=2), listed(2, 20), listed(1, 10)], {})
    assert past
    assert past.full.id == 2


@pytest.mark.parametrize(
    ("step", "is_covered"),
    [("dbt build --select source:shop+", True), ("dbt build --select orders", False)],
)
def test_run_of_other_steps(step: str, is_covered: bool) -> None:
    """A run with steps that are not the job's, narrowed to sources, covers no load."""
    at = datetime(2026, 1, 2, tzinfo=timezone.utc)
    cause = Load("shop", "raw", ["1767312000.5"]).cause()
    trigger = {"cause": cause, "steps_override": [step]}
    run = listed(2, 10, trigger=trigger, created_at=str(at + timedelta(minutes=1)))
    full = listed(1, 10, created_at="2026-01-01 00:00:00")
    load = Loaded("1767312000.5", "shop", at, "")
    past = history([run, full], {})
    assert past
    assert uncovered([load], past, ["dbt build"]) == ([] if is_covered else [load])


@pytest.mark.parametrize(("hours", "is_covered"), [(1, False), (3, True)])
def test_clocks_of_two_pipelines_differ(hours: int, is_covered: bool) -> None:
    """A load of another pipeline is covered if it came before the named one on any clock."""
    at = datetime(2026, 1, 2, tzinfo=timezone.utc)
    cause = Load("shop", "raw", ["1767312000.5"]).cause()
    trigger = {"cause": cause, "steps_override": ["dbt build --select source:shop+"]}
    run = listed(2, 10, trigger=trigger, created_at=str(at + timedelta(minutes=1)))
    past = history([run, listed(1, 10, created_at="2026-01-01 00:00:00")], {})
    assert past
    named = Loaded("1767312000.5", "shop", at, "")
    other = Loaded("1767300000.5", "weather", at - timedelta(hours=hours), "")
    left = uncovered([named, other], past, ["dbt build"])
    assert left == ([] if is_covered else [other])
