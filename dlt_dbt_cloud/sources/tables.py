"""The tables that the dlt source loads: names, keys, columns, and values of the columns' types.

dbt_cloud_runs ─┬─ dbt_cloud_run_loads     the loads that a run was triggered for
                └─ dbt_cloud_run_steps ─── dbt_cloud_node_results
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

import dlt
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.data_types import TDataType
from dlt.common.schema.typing import TColumnSchema
from dlt.extract import DltResource

Row = dict[str, Any]

MAX_BIGINT: Final = 2**63


class Table(NamedTuple):
    """A table: its primary key, and the type and the meaning of each column."""

    name: str
    primary_key: tuple[str, ...]
    columns: Mapping[str, tuple[TDataType, str]]

    def row(self, values: Mapping[str, Any]) -> Row:
        """Returns the values that have a column, each of the column's type or None.

        dlt would load a value of another type into a new column beside the known one.
        """
        return {
            name: COERCIONS[data_type](values.get(name))
            for name, (data_type, _) in self.columns.items()
        }

    def resource(
        self, rows: Callable[..., Any], data_from: DltResource | None = None
    ) -> DltResource:
        """Returns a resource that merges rows into the table."""
        columns: dict[str, TColumnSchema] = {
            name: {"name": name, "data_type": data_type, "description": description}
            for name, (data_type, description) in self.columns.items()
        }
        hints: dict[str, Any] = {
            "name": self.name,
            "primary_key": self.primary_key,
            "columns": columns,
            "write_disposition": "merge",
            "spec": BaseConfiguration,  # the functions have no settings
        }
        if data_from is None:
            return dlt.resource(rows, **hints)
        return dlt.transformer(rows, data_from=data_from, **hints)


RUNS: Final = Table(
    "dbt_cloud_runs",
    ("run_id",),
    {
        "run_id": ("bigint", "The run."),
        "account_id": ("bigint", "Account of the job."),
        "project_id": ("bigint", "Project of the job."),
        "environment_id": ("bigint", "Environment that the job runs in."),
        "job_id": ("bigint", "The job."),
        "job_name": ("text", "Name of the job when the run was loaded."),
        "status": ("bigint", "10 success, 20 error, 30 cancelled; below 10 it had not ended."),
        "status_name": ("text", "The status in a word."),
        "status_message": ("text", "What dbt Cloud says about the end of the run."),
        "created_at": ("timestamp", "When the run was triggered."),
        "started_at": ("timestamp", "When it began, null if it was cancelled in the queue."),
        "finished_at": ("timestamp", "When it ended."),
        "queued_seconds": ("double", "From the trigger to the start."),
        "run_seconds": ("double", "From the start to the end."),
        "dbt_version": ("text", "Version or release track of dbt."),
        "git_branch": ("text", "Branch that was checked out."),
        "git_sha": ("text", "Commit that was checked out."),
        "cause": ("text", "Why the run was triggered, in the words of who did it."),
        "cause_category": ("text", "The same in dbt Cloud's words, e.g. api, scheduled, ui."),
        "retrying_run_id": ("bigint", "The failed run that this one continues."),
        "pipeline_name": ("text", "The dlt pipeline that the run was triggered for."),
        "dataset_name": ("text", "The dataset that it had loaded."),
        "load_ids": ("json", "Ids of its loads, as in `_dlt_loads`, as far as the cause has them."),
        "are_load_ids_complete": ("bool", "False if the cause was cut within the ids."),
        "url": ("text", "The page of the run in dbt Cloud."),
    },
)
RUN_LOADS: Final = Table(
    "dbt_cloud_run_loads",
    ("run_id", "load_id"),
    {
        "run_id": ("bigint", "The run."),
        "load_id": ("text", "A load that it was triggered for, as in `_dlt_loads`."),
        "pipeline_name": ("text", "The dlt pipeline of the load."),
        "dataset_name": ("text", "The dataset of the load, where its `_dlt_loads` is."),
    },
)
RUN_STEPS: Final = Table(
    "dbt_cloud_run_steps",
    ("run_id", "step_index"),
    {
        "run_id": ("bigint", "The run."),
        "step_index": ("bigint", "Place of the step in the run, from 1."),
        "step_id": ("bigint", "Id of the step in dbt Cloud."),
        "name": ("text", "What the step did, e.g. Invoke dbt with `dbt build`."),
        "status": ("bigint", "10 success, 20 error, 30 cancelled."),
        "status_name": ("text", "The status in a word."),
        "started_at": ("timestamp", "When the step began."),
        "finished_at": ("timestamp", "When it ended."),
        "step_seconds": ("double", "How long it took."),
    },
)
NODE_RESULTS: Final = Table(
    "dbt_cloud_node_results",
    ("run_id", "step_index", "unique_id"),
    {
        "run_id": ("bigint", "The run."),
        "step_index": ("bigint", "The step, as in `dbt_cloud_run_steps`."),
        "unique_id": ("text", "dbt's id of the node, e.g. model.flights.routes."),
        "resource_type": ("text", "model, test, seed, snapshot, operation, ..."),
        "name": ("text", "Name of the node."),
        "status": ("text", "success, error, skipped, pass, fail, warn, ... as dbt has it."),
        "message": ("text", "What the database or dbt says about it."),
        "rows_affected": ("bigint", "Rows that were written, where the dbt adapter tells."),
        "failures": ("bigint", "Rows that fail the test."),
        "execution_time": ("double", "Seconds that dbt spent on the node."),
        "started_at": ("timestamp", "When dbt began with it, null if it was skipped."),
        "finished_at": ("timestamp", "When dbt was done with it."),
        "relation_name": ("text", "The table or view, quoted as in SQL."),
        "adapter_response": ("json", "What else the adapter tells, e.g. bytes_processed."),
        "command": ("text", "dbt command of the step: build, run, test, seed, snapshot, ..."),
        "invocation_id": ("text", "dbt's id of the invocation by the step."),
    },
)


# Values. What is not of the expected type is left out.


def as_dict(value: Any) -> dict[str, Any]:
    """Returns a dict, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """Returns the dicts in a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_integer(value: Any) -> int | None:
    """Returns an integer of at most 64 bits, also from digits."""
    number = value if isinstance(value, int) else as_number(value)
    return None if number is None or abs(number) >= MAX_BIGINT else int(number)


def as_number(value: Any) -> float | None:
    """Returns a finite number, also from digits."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_moment(value: Any) -> datetime | None:
    """Returns a point in time. The API and dbt write them in UTC, with or without saying so."""
    try:
        # Python 3.10 does not read the Z.
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def seconds_between(start: Any, end: Any) -> float | None:
    """Returns the seconds from one point in time to another."""
    began, ended = as_moment(start), as_moment(end)
    return (ended - began).total_seconds() if began and ended else None


COERCIONS: Final[Mapping[TDataType, Callable[[Any], Any]]] = {
    "bigint": as_integer,
    "bool": lambda value: value if isinstance(value, bool) else None,
    "double": as_number,
    "json": lambda value: value if isinstance(value, dict | list) else None,
    "text": lambda value: None if value is None else str(value),
    "timestamp": as_moment,
}
