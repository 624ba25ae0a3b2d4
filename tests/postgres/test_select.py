"""What `select_loaded` builds of a project with 300 models, on PostgreSQL and on DuckDB."""

from pathlib import Path
from typing import Any

import dlt

from dlt_dbt_cloud import run_dbt_cloud_job
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud
from dlt_dbt_cloud.sources import dbt_cloud_source
from tests.results.shared import ROOT
from tests.select.served import MODELS, PIPELINES, TABLES, built, chain, load, write_project


def sql(name: str) -> str:
    """Returns a query of the samples."""
    return (ROOT / "sample_pipelines" / f"{name}.sql").read_text()


def test_only_downstream(database: tuple[Any, dict[str, Any]], tmp_path: Path) -> None:
    """Only what is downstream of a load is built, an empty load builds nothing, and SQL tells."""
    destination, output = database
    write_project(tmp_path / "dbt", {**output, "schema": "marts"})
    loads = [load(tmp_path, destination, it, *range(TABLES)) for it in range(PIPELINES)]
    with LocalDBTCloud(DBTJob(tmp_path / "dbt")) as cloud:
        settings: dict[str, Any] = {"raise_on_failure": True, "skip_unchanged": True}

        def call(load_info: Any) -> Any:
            return run_dbt_cloud_job(
                cloud.credentials, load_info=load_info, select_loaded=True, **settings
            )

        full = call(loads[3])
        pipeline = loads[3].pipeline
        before = {name: rest for name, *rest in built(pipeline, "marts")}
        assert len(before) == MODELS
        partial = load(tmp_path, destination, 3, 1, 4)
        narrow = call(partial)
        after = {name: rest for name, *rest in built(pipeline, "marts")}
        downstream = {*chain(3, 1), *chain(3, 4)}
        assert {name for name in after if after[name] != before[name]} == downstream
        assert {after[name][1] for name in downstream} == {2}  # rows
        assert call(load(tmp_path, destination, 3)).is_skipped
        assert {name: rest for name, *rest in built(pipeline, "marts")} == after
        assert len(cloud._world.runs) == 2
        results = dlt.pipeline(
            "results", str(tmp_path / "results"), destination=destination, dataset_name="raw3"
        )
        for run in (full, narrow):
            results.run(dbt_cloud_source(run=run, credentials=cloud.credentials))
    with results.sql_client() as client:
        found = client.execute_sql(sql("loads_to_models")) or ()
        back = client.execute_sql(sql("models_to_loads")) or ()
    of_narrow = {(row[1], row[3], row[4]) for row in found if row[2] == narrow.id}
    assert of_narrow == {(f"t{it}", name, "success") for it in (1, 4) for name in chain(3, it)}
    loaded = [loads[3].loads_ids[0], partial.loads_ids[0]]
    assert [row[1] for row in back if row[0] == chain(3, 1)[-1]] == loaded
    assert [row[1] for row in back if row[0] == chain(3, 2)[-1]] == loaded[:1]
