"""The pages about reports and the command line: their examples run, their reference is true."""

import re
from pathlib import Path

import pytest

from dlt_dbt_cloud import DBTCloudRun
from dlt_dbt_cloud._follow.lines import beginning
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from tests.cli.reference import PATH, commands, reference
from tests.utils import sample

REPORTS = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()


def blocks(language: str) -> list[str]:
    """Returns the examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", REPORTS, re.DOTALL)


def test_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], dlt_world: Path
) -> None:
    """The Python examples run, one after the other, against a job that fails."""
    results = sample("run_results")
    job = ScriptedJob("Nightly", statuses=[20], artifacts={"run_results.json": results})
    with LocalDBTCloud(jobs=[job]) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        namespace: dict[str, object] = {}
        for block in blocks("python"):
            exec(block, namespace)  # noqa: S102  # our own page
    told = capsys.readouterr()
    assert "ok   job      Nightly" in told.out
    assert "punctuality models/marts/punctuality.sql Runtime Error" in told.out
    assert "This run follows a script." in told.err
    assert (dlt_world / "run.html").exists()
    assert (dlt_world / "run.md").exists()


def test_attributes() -> None:
    """Each attribute in the table exists, and has a docstring of its own or one at the class."""
    table = REPORTS[REPORTS.index("| attribute") : REPORTS.index("The line of a failed")]
    for row in table.splitlines()[2:]:
        for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else ""):
            found = getattr(DBTCloudRun, name)
            own = found.__doc__ if isinstance(found, property) else None
            assert own or f"    {name}: " in str(DBTCloudRun.__doc__)


def test_text() -> None:
    """The lines that are shown are made as they are shown."""
    shown = blocks("text")[1].splitlines()
    run = DBTCloudRun(sample("run_success_related")["data"])
    assert shown[0].partition(", usually")[0] == beginning(run, None).partition(": ")[0]


def test_reference() -> None:
    """The reference of the command line is what the parser says: `make reference`."""
    assert PATH.read_text() == reference()
    for name in commands():
        assert f"## dlt dbt-cloud {name}" in PATH.read_text()
