"""Reads from the packages of a load which tables it has changed."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dlt.common.pipeline import LoadInfo
from dlt.common.schema import Schema
from dlt.common.schema.utils import (
    get_merge_strategy,
    get_nested_tables,
    get_root_table,
    get_write_disposition,
)
from dlt.common.storages.load_package import LoadPackageInfo

from dlt_dbt_cloud._start.select_steps import UnsureError


class Family(NamedTuple):
    """A table and those nested in it, which dlt changes together.

    Attributes:
        schema_name: The dlt schema.
        tables: Their names in the schema, that of the root table first.
    """

    schema_name: str
    tables: tuple[str, ...]


def changed_families(load_info: LoadInfo) -> dict[str, set[Family]]:
    """Returns the tables that loads have changed, by the ids of the loads.

    Raises:
        UnsureError: This version of dlt does not tell all.
    """
    if not all(hasattr(package, "dropped_tables") for package in load_info.load_packages):
        raise UnsureError("this version of dlt does not tell what a refresh has dropped")
    return {
        package.load_id: families(package.schema, _changed(package, load_info))
        for package in load_info.load_packages
    }


def _changed(package: LoadPackageInfo, load_info: LoadInfo) -> set[str]:
    """Returns the tables that a package has files for, has altered, dropped or emptied."""
    jobs = (job for in_state in package.jobs.values() for job in in_state)
    counts = _row_counts(load_info, package.load_id)
    loaded = {job.job_file_info.table_name for job in jobs}
    names = {name for name in loaded if not _is_nothing(package.schema, name, counts)}
    dropped, emptied = package.dropped_tables or (), package.truncated_tables or ()
    return names.union(package.schema_update, dropped, emptied)


def families(schema: Schema, names: Iterable[str]) -> set[Family]:
    """Returns the families of tables. dlt's own tables have none."""
    return {
        family_of(schema, name)
        for name in names
        if not name.startswith(schema._dlt_tables_prefix)  # noqa: SLF001  # dlt has no other way
    }


def family_of(schema: Schema, name: str) -> Family:
    """Returns the family of a table, which may be gone from the schema."""
    if name not in schema.tables:
        return Family(schema.name, (name,))
    root = get_root_table(schema.tables, name)["name"]
    nested = get_nested_tables(schema.tables, str(root))
    return Family(schema.name, tuple(str(table["name"]) for table in nested))


def leaves_trace(schema: Schema, root: str) -> bool:
    """Returns True if each change of a table leaves a row with the load's id, or no rows at all.

    Deleted rows leave no such row, nor do those that SCD2 retires.
    """
    tables = schema.tables
    columns = tables[root]["columns"]
    is_deleted_from = any(column.get("hard_delete") for column in columns.values())
    is_scd2 = get_merge_strategy(tables, root) == "scd2"
    load_id = schema.naming.normalize_identifier("_dlt_load_id")
    return load_id in columns and not is_deleted_from and not is_scd2


def _is_nothing(schema: Schema, name: str, counts: Mapping[str, int]) -> bool:
    """Returns True if a file for a table has no rows, and does nothing without them."""
    is_empty = counts.get(name) == 0 and name in schema.tables
    return is_empty and get_write_disposition(schema.tables, name) == "append"


def _row_counts(load_info: LoadInfo, load_id: str) -> dict[str, int]:
    """Returns the rows that dlt has normalized for a package, as far as its trace has them."""
    trace = getattr(load_info.pipeline, "last_trace", None)
    info = trace.last_normalize_info if trace else None
    metrics = info.metrics.get(load_id, []) if info else []
    return {
        table: counted.items_count
        for of_step in metrics
        for table, counted in of_step["table_metrics"].items()
    }
