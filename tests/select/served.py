"""A generated dbt project that serves ten pipelines, of 300 models on any database.

Each pipeline loads five tables into a dataset of its own. Each table leads to a chain of six
models, which remember by which invocation of dbt they were built.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.common.pipeline import LoadInfo

PIPELINES: Final = 10
TABLES: Final = 5
CHAIN: Final = 6
MODELS: Final = PIPELINES * TABLES * CHAIN


def write_project(folder: Path, output: dict[str, Any]) -> None:
    """Writes the project, whose profile has this output."""
    (folder / "models").mkdir(parents=True)
    project = {"name": "served", "profile": "served", "models": {"+materialized": "table"}}
    sources = [
        {"name": f"raw{it}", "tables": [{"name": f"t{table}"} for table in range(TABLES)]}
        for it in range(PIPELINES)
    ]
    profile = {"served": {"target": "dev", "outputs": {"dev": {**output, "threads": 2}}}}
    files = {"dbt_project.yml": project, "profiles.yml": profile}
    for name, content in {**files, "models/sources.yml": {"sources": sources}}.items():
        (folder / name).write_text(json.dumps(content))  # JSON is YAML
    for pipeline in range(PIPELINES):
        for table in range(TABLES):
            of = f"source('raw{pipeline}', 't{table}')"
            for name in chain(pipeline, table):
                sql = f"select id, '{{{{ invocation_id }}}}' as built_by from {{{{ {of} }}}}"
                (folder / "models" / f"{name}.sql").write_text(sql)
                of = f"ref('{name}')"


def chain(pipeline: int, table: int) -> list[str]:
    """Returns the models that a table leads to."""
    return [f"m{pipeline}_{table}_{link}" for link in range(CHAIN)]


def load(folder: Path, destination: Any, pipeline: int, *tables: int) -> LoadInfo:
    """Loads a row into tables of a pipeline, no rows into the first if none is named."""
    loading = dlt.pipeline(
        f"p{pipeline}",
        str(folder / "pipelines"),
        destination=destination,
        dataset_name=f"raw{pipeline}",
    )
    rows = [dlt.resource([{"id": 1}], name=f"t{table}") for table in tables]
    return loading.run(rows or dlt.resource([], name="t0"))


def built(pipeline: Any, schema: str) -> Iterator[tuple[str, str, int]]:
    """Yields each model with the invocation that built it, and its number of rows."""
    names = [
        name for it in range(PIPELINES) for table in range(TABLES) for name in chain(it, table)
    ]
    queries = (f"select '{name}', max(built_by), count(*) from {schema}.{name}" for name in names)
    with pipeline.sql_client() as client:
        yield from (tuple(row) for row in client.execute_sql(" union all ".join(queries)) or ())
