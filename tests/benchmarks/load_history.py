"""Loads a history of runs, and prints what each step of the pipeline took, as JSON.

`python -m tests.benchmarks.load_history FROM FOLDER FORMAT`: FROM is the URL of an API. If it is a
number of runs, dlt alone loads the results of their nodes, as rows that are there already. FORMAT
is that of the files that DuckDB loads: `parquet`, `jsonl` or `insert_values`. DuckDB takes what
memory it may, so it is limited.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import dlt
from dlt.common.destination import TLoaderFileFormat
from dlt.destinations import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.sql_client import SqlClientBase
from dlt.extract import DltResource, DltSource

from dlt_dbt_cloud import DBTCloudConfiguration
from dlt_dbt_cloud.sources import PART, dbt_cloud_source
from dlt_dbt_cloud.sources.rows import nodes_in
from dlt_dbt_cloud.sources.schema import NODE_RESULTS

from .processes import peak
from .stub_history import results_body

DUCKDB_MEMORY: Final = "200MB"


def measured(step: Callable[[], object]) -> list[float]:
    """Does a step. Returns its seconds and the most memory that the process had until its end."""
    started = time.perf_counter()
    step()
    return [time.perf_counter() - started, peak()]


def count(client: SqlClientBase[Any], table: str) -> int:
    """Returns how many rows a table has."""
    rows = client.execute_sql(f"select count(*) from {client.make_qualified_table_name(table)}")  # noqa: S608
    assert rows is not None
    return int(rows[0][0])


def history(url: str) -> DltSource:
    """Returns the source of what the API has."""
    config = DBTCloudConfiguration(api_token="benchmark", account_id="1", base_api_url=url)
    return dbt_cloud_source(credentials=config, all_jobs=True)


def ready(runs: int) -> DltResource:
    """Returns a resource of the same results of nodes that only have to be copied."""
    rows = nodes_in(json.loads(results_body()), {"run_id": 0, "step_index": 4})

    def parts() -> Iterator[list[dict[str, Any]]]:
        for first in range(0, runs, PART):
            ids = range(first, min(first + PART, runs))
            yield [{**row, "run_id": run_id} for run_id in ids for row in rows]

    return NODE_RESULTS.resource(parts)


def main(origin: str, folder: str, file_format: TLoaderFileFormat) -> None:
    """Loads the history into a DuckDB in the folder."""
    limit = {"memory_limit": DUCKDB_MEMORY}
    credentials = DuckDbCredentials(f"{folder}/history.duckdb", global_config=limit)
    destination = duckdb(credentials)
    pipeline = dlt.pipeline("history", folder, destination=destination, dataset_name="dbt")
    source = ready(int(origin)) if origin.isdigit() else history(origin)
    before = peak()
    steps = {
        "extract": measured(lambda: pipeline.extract(source, loader_file_format=file_format)),
        "normalize": measured(pipeline.normalize),
        "load": measured(pipeline.load),
    }
    with pipeline.sql_client() as client:
        rows = {name: count(client, name) for name in pipeline.default_schema.data_table_names()}
    sys.stdout.write(f"{json.dumps({'before': before, 'rows': rows, 'steps': steps})}\n")


if __name__ == "__main__":
    logging.disable()
    main(sys.argv[1], sys.argv[2], cast(TLoaderFileFormat, sys.argv[3]))
