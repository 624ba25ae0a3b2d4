"""Every example of the README runs, and every setting that it names exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit

import dlt_dbt_cloud
from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudConfiguration
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
    assert "70403103940001 Nightly flights" in printed
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


def test_pytest_example(tmp_path: Path) -> None:
    """The example for a user's own tests is a test suite that passes."""
    for block in blocks("python"):
        if name := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / name[1]).write_text(block)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("block", blocks("toml"))
def test_toml(block: str) -> None:
    """The settings in the TOML examples exist."""
    sections = tomlkit.parse(block).unwrap()
    own = [sections["dbt_cloud"], *(s["dbt_cloud"] for s in sections.values() if "dbt_cloud" in s)]
    assert {name for section in own for name in section} <= SETTINGS


def test_settings_table() -> None:
    """The table has every setting, and its defaults are the real ones."""
    table = README[README.index("| setting | default") : README.index("## Act on")]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    named = set(re.findall(r"`(\w+)`", "".join(rows)))
    assert named == SETTINGS - {"run_id"}
    for name, default in re.findall(r"\| `(\w+)` \| `(\w+)` \|", table):
        assert str(getattr(DBTCloudConfiguration, name)).lower() == default, name


def test_client_methods() -> None:
    """The methods of the client that are named exist."""
    section = README[README.index("## The client") : README.index("## The local")]
    for name in re.findall(r"`(\w+)`", section):
        assert callable(getattr(DBTCloudClientV2, name)), name


def test_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples for the shell run, as they stand."""
    (examples,) = [block for block in blocks("sh") if block.startswith("dlt ")]
    job = ScriptedJob(name="Nightly flights", statuses=[10])
    with LocalDBTCloud(job, virtual_time=True) as cloud:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, **cloud.environment, "PATH": path}
        command = f"set -e\n{examples}"
        done = subprocess.run(
            ["bash", "-c", command],  # noqa: S607  # of whatever machine
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "ok   job      Nightly flights" in done.stdout
    assert "of job Nightly flights: Success" in done.stdout


@pytest.mark.parametrize("block", [b for b in blocks("sh") if not b.startswith("dlt ")])
def test_commands(block: str) -> None:
    """Each other command is one that the CI script, or a test of the samples, runs."""
    run = (ROOT / ".ci" / "run").read_text() + (ROOT / "sample_pipelines" / "README.md").read_text()
    for command in block.strip().splitlines():
        assert command.removeprefix("pip install ") in run, command


def test_sql() -> None:
    """The join is the one that `make demo` prints."""
    (join,) = blocks("sql")
    assert (ROOT / "sample_pipelines" / "loads_to_models.sql").read_text().endswith(join)


def test_links() -> None:
    """Links to files and headings lead somewhere."""
    headings = [
        re.sub(r"[^\w -]", "", h).lower() for h in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    ]
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:].replace("-", " ") in headings, target
        elif not target.startswith("https://"):
            assert (ROOT / target).exists(), target
