"""What the tests of the source share."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dlt
import responses
from responses.matchers import query_param_matcher

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudRun
from dlt_dbt_cloud.local import LocalDBTCloud
from dlt_dbt_cloud.sources import FOREVER
from dlt_dbt_cloud.sources.schema import (
    FRESHNESS,
    NODE_PARENTS,
    NODE_RESULTS,
    NODE_SOURCES,
    NODES,
    RUN_LOADS,
    RUN_STEPS,
    RUNS,
)
from dlt_dbt_cloud.sources.tables import Table
from tests.utils import ACCOUNT, sample

ROOT = Path(__file__).parents[2]
TABLES = (
    *(RUNS, RUN_LOADS, RUN_STEPS, NODE_RESULTS, FRESHNESS, NODES, NODE_PARENTS, NODE_SOURCES),
)
LOAD_ID = "1795458706.2138786"
SINCE = "1970-01-01T00:00:00+00:00"
CAUSE = f"dlt pipeline flights loaded dataset nyc: {LOAD_ID}"
FROM_LOADS_TO_MODELS = """
select
    loads.load_id, run_loads.run_id, nodes.name, nodes.status, nodes.rows_affected,
    nodes.execution_time
from _dlt_loads as loads
join dbt_cloud_run_loads as run_loads using (load_id)
join dbt_cloud_node_results as nodes using (run_id)
where nodes.resource_type = 'model'
order by loads.load_id, run_loads.run_id, nodes.started_at, nodes.name
"""


def recorded_results(**changes: Any) -> dict[str, Any]:
    """A recorded `run_results.json` of a `dbt build`."""
    return {**sample("run_results"), "args": {"which": "build"}, **changes}


class Clock:
    """The seconds by which the scripts of a local dbt Cloud go on."""

    time = 0.0

    def __call__(self) -> float:
        """Returns the seconds."""
        return self.time


def triggered(cloud: LocalDBTCloud, job: int = 0, cause: str = "a test") -> DBTCloudRun:
    """Returns a new run as it is after a first look, with all that the API tells."""
    client = DBTCloudClientV2(credentials=cloud.credentials_for(job))
    run = client.trigger_run(cloud.jobs[job].id, {"cause": cause})
    return client.get_run_status(run.id, include_related=("trigger", "job", "run_steps"))


def rows(pipeline: dlt.Pipeline, sql: str) -> list[tuple[Any, ...]]:
    """Returns what a query finds in the dataset."""
    with pipeline.sql_client() as client:
        return [tuple(row) for row in client.execute_sql(sql) or ()]


def run_ids(pipeline: dlt.Pipeline) -> list[int]:
    """Returns the runs that are loaded."""
    return [row[0] for row in rows(pipeline, "select run_id from dbt_cloud_runs order by run_id")]


def contents(
    pipeline: dlt.Pipeline, tables: Iterable[Table] = TABLES
) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all rows, without the columns that dlt adds."""
    columns = {table.name: ", ".join(table.columns) for table in tables}
    return {
        name: rows(pipeline, f"select {columns[name]} from {name} order by all")  # noqa: S608
        for name in columns
    }


def requested(cloud: LocalDBTCloud, pattern: str) -> list[str]:
    """Returns the paths of the requests so far that match a pattern."""
    return [request.path for request in cloud.requests if re.search(pattern, request.path)]


def step(index: int, name: str = "Invoke dbt with `dbt build`", **changes: Any) -> dict[str, Any]:
    """Returns a step that succeeded long ago."""
    times = {"started_at": "2024-06-05 10:00:05", "finished_at": "2024-06-05 10:01:05+00:00"}
    return {"index": index, "name": name, "status": 10, **times, **changes}


def listed(
    api: responses.RequestsMock, runs: list[dict[str, Any]], total: int = 0, **query: str
) -> None:
    """Lets the API answer a list of runs with this page."""
    related = {"include_related": '["trigger", "job"]'}
    ended = {"order_by": "finished_at", "finished_at__range": f'["{SINCE}", "{FOREVER}"]'}
    params = {"limit": "100", "offset": "0", **ended, **related, **query}
    pagination = {"count": len(runs), "total_count": total or len(runs)}
    body = {"data": runs, "extra": {"pagination": pagination}}
    api.get(f"{ACCOUNT}/runs/", match=[query_param_matcher(params)], json=body)


def without_manifests(api: responses.RequestsMock) -> None:
    """Lets the API have no manifest of any run."""
    api.get(re.compile(f"{ACCOUNT}/runs/[0-9]+/artifacts/manifest.json"), status=404)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__
