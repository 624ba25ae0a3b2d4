"""The README is short, and acts on failures as it says. Its other blocks: `tests/docs`."""

import pytest

import dlt_dbt_cloud
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from tests.docs.pages import ROOT, blocks

README = ROOT / "README.md"


def test_length() -> None:
    """A newcomer reads at most 160 lines."""
    assert len(README.read_text().splitlines()) <= 160


def test_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The example that acts on a failure prints the failed nodes."""
    (example,) = [block for block in blocks(README, "python") if "failed_nodes" in block]
    node = {"unique_id": "model.shop.revenue", "status": "error", "message": "no number"}
    job = ScriptedJob(statuses=[20], artifacts={"run_results.json": {"results": [node]}})
    with LocalDBTCloud(job, virtual_time=True) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        run_job = dlt_dbt_cloud.run_dbt_cloud_job
        exec(example, {"run_dbt_cloud_job": run_job, "load_info": None})  # noqa: S102
    assert capsys.readouterr().out == "model.shop.revenue no number\n"
