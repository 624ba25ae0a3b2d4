"""The pages about selecting and results: their queries run, their tables are true."""

from pathlib import Path

import pytest

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from tests.docs.pages import blocks
from tests.results.reference import PATH, reference
from tests.results.shared import ROOT, rows
from tests.select.shop import orders, pipeline_in

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"


def test_sql(dlt_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queries run, and those of loads and models are the files of the samples."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[10])]) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(dlt_world / "shop.duckdb"))
        exec(blocks(DOCS / "results.md", "python")[0], {})  # noqa: S102  # our own page
    pipeline = pipeline_in(dlt_world)
    pipeline.run(orders(1))
    for block in (*blocks(DOCS / "select.md", "sql"), *blocks(DOCS / "results.md", "sql")):
        rows(pipeline, block)
    names = ("loads_to_models", "models_to_loads", "loads_without_run")
    files = [(ROOT / "sample_pipelines" / f"{name}.sql").read_text() for name in names]
    assert all(map(str.endswith, files, blocks(DOCS / "select.md", "sql")))


def test_tables() -> None:
    """The tables on the page are those of the code: `make reference`."""
    assert PATH.read_text() == reference()
