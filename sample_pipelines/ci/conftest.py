"""What the tests share: a local dbt Cloud, and a DuckDB file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlt_dbt_cloud.local import DBTJob

pytest_plugins = ["dlt_dbt_cloud.local.fixtures"]


@pytest.fixture
def local_dbt_cloud_jobs() -> list[DBTJob]:
    """The jobs of the fixture `local_dbt_cloud`: `dbt build` in the project of the pipeline."""
    return [DBTJob(Path(__file__).parent / "orders_dbt")]


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new DuckDB file, the same for dlt and for dbt. dlt's own files go next to it."""
    path = tmp_path / "orders.duckdb"
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(path))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    return path
