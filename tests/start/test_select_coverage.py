"""Which runs count as having built what."""

from typing import Any

from dlt_dbt_cloud._start.select_coverage import history
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
