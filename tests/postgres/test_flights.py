"""The flights sample with `select_loaded`, on PostgreSQL and on DuckDB."""

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import dlt
import pytest

from dlt_dbt_cloud import DBTCloudRun, run_dbt_cloud_job
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud
from dlt_dbt_cloud.sources import dbt_cloud_source
from tests.results.shared import ROOT

SAMPLES = ROOT / "sample_pipelines"
nycflights13 = runpy.run_path(str(SAMPLES / "flights_pipeline.py"))["nycflights13"]
OF_AIRLINES = {"stg_airlines", "carrier_punctuality", "carrier_fleets"}


def models_of(run: DBTCloudRun) -> set[str]:
    """Returns the names of the models that a run has built."""
    return {node.name for node in run.nodes if node.resource_type == "model"}


def test_flights(
    database: tuple[Any, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New airlines build what reads airlines, no new rows nothing, and SQL tells which load."""
    destination, output = database
    monkeypatch.setenv("NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID", "true")
    project = shutil.copytree(SAMPLES / "flights_dbt", tmp_path / "flights_dbt")
    output = {**output, "schema": "analytics", "threads": 2}
    profile = {"flights": {"target": "dev", "outputs": {"dev": output}}}
    (project / "profiles.yml").write_text(json.dumps(profile))  # JSON is YAML
    pipeline = dlt.pipeline(
        "flights", str(tmp_path), destination=destination, dataset_name="nycflights13"
    )
    with LocalDBTCloud(DBTJob(project)) as cloud:

        def load_and_run(*tables: str) -> DBTCloudRun:
            return run_dbt_cloud_job(
                cloud.credentials,
                load_info=pipeline.run(nycflights13().with_resources(*tables)),
                select_loaded=True,
                skip_unchanged=True,
                raise_on_failure=True,
            )

        full = load_and_run("flights", "weather", "planes", "airports", "airlines")
        narrow = load_and_run("airlines")
        assert models_of(narrow) == OF_AIRLINES < models_of(full)
        assert run_dbt_cloud_job(
            cloud.credentials,
            load_info=pipeline.run([], table_name="flights"),
            select_loaded=True,
            skip_unchanged=True,
        ).is_skipped
        pipeline.run(dbt_cloud_source(run=narrow, credentials=cloud.credentials))
    with pipeline.sql_client() as client:
        query = (SAMPLES / "loads_to_models.sql").read_text()
        found = client.execute_sql(query) or ()
        rows = client.execute_sql("select sum(flights) from analytics.weather_delays") or ()
    assert {row[3] for row in found} == OF_AIRLINES
    assert rows[0][0] == 336776
