"""The tables that the dlt source loads: names, keys, columns, and values of the columns' types.

dbt_cloud_runs ─┬─ dbt_cloud_run_loads     the loads that a run was triggered for
                └─ dbt_cloud_run_steps ─── dbt_cloud_node_results
"""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import MAXYEAR, MINYEAR, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.data_types import TDataType
from dlt.common.data_writers import DataWriter
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.json import json
from dlt.common.schema.typing import TColumnSchema
from dlt.common.utils import uniq_id_base64
from dlt.extract import DltResource

from dlt_dbt_cloud._values import int_of, moment, printable

Row = dict[str, Any]


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
            name: None if (value := values.get(name)) is None else COERCIONS[data_type](value)
            for name, (data_type, _) in self.columns.items()
        }

    def resource(
        self, rows: Callable[..., Any], data_from: DltResource | None = None
    ) -> DltResource:
        """Returns a resource that merges rows into the table."""
        hints: dict[str, Any] = {
            "name": self.name,
            "primary_key": self.primary_key,
            "columns": self.hints,
            "write_disposition": "merge",
            "spec": BaseConfiguration,  # the functions have no settings
        }
        if data_from is None:
            return dlt.resource(rows, **hints)
        return dlt.transformer(rows, data_from=data_from, **hints)

    @property
    def hints(self) -> dict[str, TColumnSchema]:
        """What dlt is told about the columns."""
        return {
            name: {
                "name": name,
                "data_type": data_type,
                "description": description,
                "nullable": name not in self.primary_key,
            }
            for name, (data_type, description) in self.columns.items()
        }

    def items(self, rows: list[Row]) -> Iterator[Any]:
        """Yields rows to dlt. DuckDB gets them as a Parquet file, if pyarrow is installed.

        It takes gigabytes to parse so many INSERT statements, and dlt takes longer to normalize
        rows than it took to read them.
        """
        caps = Container()[DestinationCapabilitiesContext]
        formats = {*(caps.supported_loader_file_formats or ())}
        is_duckdb = caps.preferred_loader_file_format == "insert_values" and "jsonl" in formats
        if rows and is_duckdb and find_spec("pyarrow"):
            with TemporaryDirectory() as folder:
                yield self._parquet(Path(folder) / "rows.parquet", rows, caps)
        else:  # without rows the table is created all the same, to be joined
            yield rows or dlt.mark.materialize_table_schema()

    def _parquet(self, path: Path, rows: list[Row], caps: DestinationCapabilitiesContext) -> Any:
        """Returns a file for dlt, with the columns that dlt would add."""
        load_id = dlt.current.load_package_state()["load_id"]
        for row in rows:
            row.update(_dlt_load_id=load_id, _dlt_id=uniq_id_base64(10))
        columns = {**self.hints, **DLT_COLUMNS}
        with path.open("wb") as file:
            writer = DataWriter.from_file_format("parquet", "object", file, caps)
            writer.write_all(columns, rows)
            writer.close()
        hints = dlt.mark.make_hints(columns=columns, file_format="parquet")
        return dlt.mark.with_file_import(str(path), "parquet", len(rows), hints)


DLT_COLUMNS: Final[dict[str, TColumnSchema]] = {
    "_dlt_load_id": {"name": "_dlt_load_id", "data_type": "text", "nullable": False},
    "_dlt_id": {
        "name": "_dlt_id",
        "data_type": "text",
        "nullable": False,
        "unique": True,
        "row_key": True,
    },
}

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
        "load_error": ("text", "What of its steps and nodes could not be loaded, and why."),
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


# A value that is not of the expected type is left out.


def number(value: Any) -> float | None:
    """Returns a finite number, also from digits."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def text(value: Any) -> str:
    """Returns a text that every destination can store."""
    string = value if isinstance(value, str) else str(value)
    return string if string.isprintable() else printable(string)


def stored_json(value: Any) -> Any:
    """Returns an object or a list that dlt can write."""
    try:
        return value if isinstance(value, (dict, list)) and json.dumps(value) else None
    except (TypeError, ValueError, RecursionError):
        return None


def stored_moment(value: Any) -> datetime | None:
    """Returns a point in time that can be converted to any time zone."""
    time = moment(value)
    return time if time and MINYEAR < time.year < MAXYEAR else None


COERCIONS: Final[Mapping[TDataType, Callable[[Any], Any]]] = {
    "bigint": int_of,
    "bool": lambda value: value if isinstance(value, bool) else None,
    "double": number,
    "json": stored_json,
    "text": text,
    "timestamp": stored_moment,
}
