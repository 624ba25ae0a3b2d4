"""Defines a table of the dlt source, and converts values to its columns' types."""

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
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.json import json
from dlt.common.schema.typing import TColumnSchema
from dlt.common.schema.utils import dlt_id_column, dlt_load_id_column
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
        """Returns a row: for each column a value of its type, or None.

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
        """The columns as dlt's hints."""
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
        """Yields rows to dlt. If there are none, the table is still created, for joins.

        DuckDB gets them as a Parquet file, if pyarrow is installed. It would take gigabytes to
        parse so many INSERT statements, and dlt longer to normalize rows than it took to read them.
        An empty file of JSON can't be loaded.
        """
        caps = Container()[DestinationCapabilitiesContext]
        formats = {*(caps.supported_loader_file_formats or ())}
        is_duckdb = caps.preferred_loader_file_format == "insert_values" and "jsonl" in formats
        nothing = dlt.mark.materialize_table_schema()
        if not (is_duckdb and find_spec("pyarrow")):
            yield rows or nothing
            return
        columns = {**self.hints, "_dlt_load_id": dlt_load_id_column(), "_dlt_id": dlt_id_column()}
        known = dlt.current.source_schema().tables.get(self.name, {}).get("columns", {})
        is_new = not columns.keys() <= known.keys()  # dlt works out a table anew for each hint
        hints = dlt.mark.make_hints(columns=columns, file_format="parquet") if is_new else None
        if rows:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "rows.parquet"
                self._write_parquet(path, rows, columns, caps)
                yield dlt.mark.with_file_import(str(path), "parquet", len(rows), hints)
        elif hints:
            yield dlt.mark.with_hints(nothing, hints)

    def _write_parquet(
        self,
        path: Path,
        rows: list[Row],
        columns: dict[str, TColumnSchema],
        caps: DestinationCapabilitiesContext,
    ) -> None:
        """Writes a Parquet file, with the columns that dlt would add.

        dlt's own writer would resolve its settings for each file.
        """
        from dlt.common.libs.pyarrow import columns_to_arrow  # noqa: PLC0415  # optional
        from pyarrow import Table as Arrow  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        load_id = dlt.current.load_package_state()["load_id"]
        for row in rows:
            row.update(_dlt_load_id=load_id, _dlt_id=uniq_id_base64(10))
        for name in (name for name, (kind, _) in self.columns.items() if kind == "json"):
            for row in rows:
                row[name] = None if row[name] is None else json.dumps(row[name])
        schema = columns_to_arrow(columns, caps, "UTC")
        parquet.write_table(Arrow.from_pylist(rows, schema=schema), path)


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
