"""From loads to the models that were built from them, and back, on real dbt."""

from pathlib import Path
from typing import Any

import pytest

from dlt_dbt_cloud import DBTCloudRun, run_dbt_cloud_job
from dlt_dbt_cloud.local import LocalDBTCloud
from dlt_dbt_cloud.sources import dbt_cloud_source
from dlt_dbt_cloud.sources.manifests import Manifest
from tests.docs.pages import blocks
from tests.results.shared import ROOT, rows
from tests.select.shop import MODELS, SOURCES, customers, orders, pipeline_in, write_project

pytestmark = pytest.mark.slow

FRESH = """
    config:
      loaded_at_query: select max(inserted_at) from raw._dlt_loads
      freshness: {warn_after: {count: 1, period: day}}
"""


def sql(name: str) -> str:
    """Returns a query of the samples."""
    return (ROOT / "sample_pipelines" / f"{name}.sql").read_text()


def load_results(folder: Path, cloud: LocalDBTCloud, run: DBTCloudRun) -> None:
    """Loads the results of a run beside the data, by a pipeline of their own."""
    source = dbt_cloud_source(run=run, credentials=cloud.credentials)
    pipeline_in(folder, "results").run(source)


def test_lineage(dlt_world: Path) -> None:
    """One query goes from a load and its table to the models with their outcome, one goes back."""
    job = write_project(dlt_world / "shop")
    pipeline = pipeline_in(dlt_world / "shop")
    with LocalDBTCloud(jobs=[job]) as cloud:
        loads = [pipeline.run([orders(1), customers(1)]), pipeline.run(customers(2))]
        first = run_dbt_cloud_job(cloud.credentials, load_info=loads[0])
        second = run_dbt_cloud_job(cloud.credentials, load_info=loads[1], select_loaded=True)
        lost = pipeline.run(orders(2)).loads_ids
        for run in (first, second):
            load_results(dlt_world / "shop", cloud, run)
    assert first["git_sha"] == second["git_sha"] is not None
    whole, narrow = (load.loads_ids[0] for load in loads)
    found = [row[:5] for row in rows(pipeline, sql("loads_to_models"))]
    assert {row[2:] for row in found if row[0] == narrow} == {
        (second.id, "customers", "success"),
        (second.id, "revenue", "success"),
    }
    tables = {(row[1], row[3]) for row in found if row[0] == whole}
    assert tables == {
        *(("customers", model) for model in ("customers", "revenue")),
        *(("orders", model) for model in ("stg_orders", "revenue")),
        ("orders__items", "items"),
    }
    back = [row[:2] for row in rows(pipeline, sql("models_to_loads"))]
    assert [load_id for model, load_id in back if model == "items"] == [whole]
    assert [load_id for model, load_id in back if model == "revenue"] == [whole, narrow]
    assert [row[0] for row in rows(pipeline, sql("loads_without_run"))] == lost
    nodes = "select count(distinct manifest_id), count(*) from dbt_cloud_nodes"
    assert rows(pipeline, nodes) == [(1, len(MODELS) + 4)]  # three sources, one test


def test_details(dlt_world: Path) -> None:
    """Tests name their node, nodes their file, and sources their freshness."""
    sources = SOURCES.replace("    schema: raw\n", f"    schema: raw{FRESH}")
    steps = ["dbt source freshness", "dbt build"]
    job = write_project(dlt_world / "shop", sources=sources, steps=steps)
    pipeline = pipeline_in(dlt_world / "shop")
    load = pipeline.run([orders(1), customers(1)])
    with LocalDBTCloud(jobs=[job]) as cloud:
        run = run_dbt_cloud_job(cloud.credentials, load_info=load)
        load_results(dlt_world / "shop", cloud, run)
    timed = """
    select count(*), bool_and(abs(epoch(finished_at - started_at) - execution_time) < 1)
    from dbt_cloud_node_results
    """
    assert rows(pipeline, timed) == [(len(MODELS) + 1, True)]
    columns = "attached_node, path, severity, compile_finished_at <= execute_started_at"
    of_test = f"select {columns} from dbt_cloud_node_results where resource_type = 'test'"  # noqa: S608
    assert rows(pipeline, of_test) == [(None, "models/sources.yml", "ERROR", True)]
    of_model = "select path, materialization, tags from dbt_cloud_node_results where name = 'items'"
    assert rows(pipeline, of_model) == [("models/items.sql", "table", "[]")]
    of_load = f"select inserted_at from _dlt_loads where load_id = '{load.loads_ids[0]}'"  # noqa: S608
    loaded_at = rows(pipeline, of_load)
    fresh = "select status, max_loaded_at, age_seconds < 600 from dbt_cloud_source_freshness"
    assert rows(pipeline, fresh) == [("pass", loaded_at[0][0], True)] * 3
    names = "select project_name, environment_name, error from dbt_cloud_runs"
    assert rows(pipeline, names) == [("shop", "Local", None)]
    commands = (
        "select command from dbt_cloud_run_steps where command is not null order by step_index"
    )
    assert [row[0] for row in rows(pipeline, commands)][-2:] == steps
    (shown,) = blocks(ROOT / "docs" / "results.md", "sql")
    assert {row[:2] for row in rows(pipeline, shown)} >= {("items", "table")}


def test_failed_early(dlt_world: Path) -> None:
    """A run that fails before any node has its error in its row, and the step has its own."""
    job = write_project(dlt_world / "shop", {"broken": "select * from {{ ref('nowhere') }}"})
    pipeline = pipeline_in(dlt_world / "shop")
    pipeline.run(orders(1))
    with LocalDBTCloud(jobs=[job]) as cloud:
        load_results(dlt_world / "shop", cloud, run_dbt_cloud_job(cloud.credentials))
    for table in ("dbt_cloud_runs", "dbt_cloud_run_steps"):
        errors = f"select error from {table} where error is not null"  # noqa: S608
        [(error,)] = rows(pipeline, errors)
        assert "depends on a node named 'nowhere'" in error


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"nodes": None, "sources": 7},
        {"nodes": {"model.a": None}, "parent_map": {"model.a": ["model.a"]}},
        {"nodes": {"model.a": {"config": [], "tags": "x", "depends_on": {"nodes": [1, None]}}}},
        {
            "nodes": {"model.a": {}, "model.b": {}},
            "parent_map": {"model.a": 7, "model.b": ["model.c"]},
        },
    ],
)
def test_odd_manifests(odd: dict[str, Any]) -> None:
    """Nonsense in a manifest is left out."""
    manifest = Manifest(odd)
    for table in ("dbt_cloud_nodes", "dbt_cloud_node_parents", "dbt_cloud_node_sources"):
        assert all(row["manifest_id"] == manifest.id for row in manifest.table_rows(table))


def test_deep_lineage() -> None:
    """A chain of 5,000 models is followed to its source."""
    chain = {f"model.m{n}": [f"model.m{n - 1}"] for n in range(1, 5000)}
    nodes = {name: {"resource_type": "model"} for name in ("model.m0", *chain)}
    manifest = {
        "nodes": nodes,
        "sources": {"source.s": {"source_name": "s", "name": "t"}},
        "parent_map": {**chain, "model.m0": ["source.s"]},
    }
    found = list(Manifest(manifest).table_rows("dbt_cloud_node_sources"))
    assert len(found) == 5000
    assert found[-1]["source_id"] == "source.s"
