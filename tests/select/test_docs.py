"""The pages about selecting and results: their examples run, their tables are true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from tests.results.reference import PATH, reference
from tests.results.shared import ROOT, rows
from tests.select.shop import orders, pipeline_in

DOCS = ROOT / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Returns the examples of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("page", "printed"), [("select.md", "False dbt Cloud"), ("results.md", "")]
)
def test_python(
    page: str, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python examples run."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[10])]) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        for block in blocks(page, "python"):
            exec(block, {})  # noqa: S102  # our own page
    assert printed in capsys.readouterr().out


def test_sql(dlt_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queries run, and those of loads and models are the files of the samples."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[10])]) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(dlt_world / "shop.duckdb"))
        exec(blocks("results.md", "python")[0], {})  # noqa: S102  # our own page
    pipeline = pipeline_in(dlt_world)
    pipeline.run(orders(1))
    for block in (*blocks("select.md", "sql"), *blocks("results.md", "sql")):
        rows(pipeline, block)
    names = ("loads_to_models", "models_to_loads", "loads_without_run")
    files = [(ROOT / "sample_pipelines" / f"{name}.sql").read_text() for name in names]
    assert all(map(str.endswith, files, blocks("select.md", "sql")))


def test_shell(dlt_world: Path) -> None:
    """The commands run, and the file that the first one writes is up to date for the second."""
    pipeline = pipeline_in(dlt_world)
    pipeline.run(orders(1))
    (block,) = blocks("select.md", "sh")
    line = f"{sys.executable} -m dlt_dbt_cloud sources"
    environment = {
        **os.environ,
        "PIPELINES_DIR": str(dlt_world / "pipelines"),
        "DESTINATION__DUCKDB__CREDENTIALS": str(dlt_world / "shop.duckdb"),
    }
    for command in block.replace("dlt dbt-cloud sources", line).splitlines():
        done = subprocess.run(
            command.split(),
            env=environment,
            cwd=dlt_world,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "models/sources.yml is up to date.\n"), done


def test_tables() -> None:
    """The tables on the page are those of the code: `make reference`."""
    assert PATH.read_text() == reference()
