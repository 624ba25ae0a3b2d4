"""Every example of the README runs, and every setting that it names exists."""

import re
from pathlib import Path

import pytest
import tomlkit

import dlt_dbt_cloud
from dlt_dbt_cloud import DBTCloudConfiguration
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SETTINGS = set(DBTCloudConfiguration.get_resolvable_fields())


def blocks(language: str) -> list[str]:
    """Returns the examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python examples, one after the other as one reads them, against a local dbt Cloud."""
    namespace: dict[str, object] = {}
    job = ScriptedJob(name="Nightly flights", statuses=[3, 10])
    with LocalDBTCloud(job, virtual_time=True) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        for block in blocks("python"):
            if not block.startswith("# "):
                exec(block, namespace)  # noqa: S102  # our own README
    printed = capsys.readouterr().out
    assert "of job Nightly flights: Success" in printed
    assert [run.is_success for run in namespace["runs"]] == [True, True]  # type: ignore[attr-defined]


def test_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The example that acts on a failure prints the failed nodes."""
    (example,) = [block for block in blocks("python") if "failed_nodes" in block]
    node = {"unique_id": "model.shop.revenue", "status": "error", "message": "no number"}
    job = ScriptedJob(statuses=[20], artifacts={"run_results.json": {"results": [node]}})
    with LocalDBTCloud(job, virtual_time=True) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        run_job = dlt_dbt_cloud.run_dbt_cloud_job
        exec(example, {"run_dbt_cloud_job": run_job, "load_info": None})  # noqa: S102
    assert capsys.readouterr().out == "model.shop.revenue no number\n"


@pytest.mark.parametrize("block", blocks("toml"))
def test_toml(block: str) -> None:
    """The settings in the TOML examples exist."""
    sections = tomlkit.parse(block).unwrap()
    own = [sections["dbt_cloud"], *(s["dbt_cloud"] for s in sections.values() if "dbt_cloud" in s)]
    assert {name for section in own for name in section} <= SETTINGS


@pytest.mark.parametrize("block", [b for b in blocks("sh") if not b.startswith("dlt ")])
def test_commands(block: str) -> None:
    """Each other command is one that the CI script, or a test of the samples, runs."""
    run = (ROOT / ".ci" / "run").read_text() + (ROOT / "sample_pipelines" / "README.md").read_text()
    for command in block.strip().splitlines():
        assert command.removeprefix("pip install ") in run, command
