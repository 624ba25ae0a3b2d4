"""Asks the destination which loads there were, and what they have changed."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final, NamedTuple

from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination.exceptions import DestinationException
from dlt.common.exceptions import MissingDependencyException
from dlt.common.schema import Schema
from dlt.common.time import ensure_pendulum_datetime
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.job_client_impl import SqlJobClientBase

from dlt_dbt_cloud._start.select_sources import Place
from dlt_dbt_cloud._start.select_steps import UnsureError
from dlt_dbt_cloud._start.select_tables import Family, families, leaves_trace


class Loaded(NamedTuple):
    """A load that is complete: a row of `_dlt_loads`."""

    load_id: str
    schema_name: str
    inserted_at: datetime
    schema_hash: str


WHEN: Final = attrgetter("inserted_at")
"""Sorts loads by their time."""


class Dataset:
    """A dataset of a pipeline.

    Args:
        client: dlt's client of the dataset. It connects when it is asked, in any thread.

    Attributes:
        name: The qualified name.
    """

    def __init__(self, client: SqlJobClientBase) -> None:
        self._client = client
        self._sql = client.sql_client
        self.name = self._sql.fully_qualified_dataset_name()

    def place(self, table: str) -> Place:
        """Returns where a table is."""
        *database, dataset, name = self._sql.make_qualified_table_name_path(table, quote=False)
        return Place(next(iter(database), None), dataset, name)

    def loads(self, since: datetime) -> list[Loaded]:
        """Returns the loads since a point in time."""
        query = f"select {self._load_columns} from {self._loads} where {self._at} > %s"  # noqa: S608
        with self._sql:
            return [self._load(row) for row in self._sql.execute_sql(query, since) or ()]

    def changed_by(self, loads: Collection[Loaded]) -> set[Family]:
        """Returns the tables that some loads may have changed."""
        changed: set[Family] = set()
        with self._sql:
            for schema_name in {load.schema_name for load in loads}:
                own = [load for load in loads if load.schema_name == schema_name]
                before = self._hash_before(min(load.inserted_at for load in own), schema_name)
                hashes = [before, *(load.schema_hash for load in sorted(own, key=WHEN))]
                changed |= self._changed_in(hashes, [load.load_id for load in own])
        return changed

    def _changed_in(self, hashes: Iterable[str | None], load_ids: list[str]) -> set[Family]:
        """Returns the tables of a schema that have changed, by its versions and its rows."""
        versions = [self._schema(version) for version in dict.fromkeys(hashes)]
        schema = versions[-1]
        assert schema is not None  # noqa: S101  # only the first may be missing
        all_families = families(schema, schema.data_table_names())
        roots = (family.tables[0] for family in all_families)
        names = {root for root in roots if self._has_changed(schema, root, load_ids)}
        for earlier, later in pairwise(versions):
            names.update(_altered(earlier, later))
        return families(schema, names)

    def _has_changed(self, schema: Schema, root: str, load_ids: list[str]) -> bool:
        """Returns False if certainly none of the loads has changed a table."""
        if not leaves_trace(schema, root):
            return True
        table = self._sql.make_qualified_table_name(root)
        marks = ", ".join(["%s"] * len(load_ids))
        is_new = f"max(case when {self._column('_dlt_load_id')} in ({marks}) then 1 else 0 end)"
        try:
            rows = self._sql.execute_sql(f"select {is_new} from {table}", *load_ids)  # noqa: S608
        except DatabaseUndefinedRelation:
            return True  # it was dropped
        return not rows or rows[0][0] != 0  # an empty table may have been replaced

    def _hash_before(self, moment: datetime, schema_name: str) -> str | None:
        """Returns the version of a schema after the last load before a point in time."""
        of_schema = f"{self._column('schema_name')} = %s and {self._at}"
        last = f"select max({self._at}) from {self._loads} where {of_schema} < %s"  # noqa: S608
        query = f"select {self._load_columns} from {self._loads} where {of_schema} = ({last})"  # noqa: S608
        rows = self._sql.execute_sql(query, schema_name, schema_name, moment)
        return self._load(rows[0]).schema_hash if rows else None

    def _schema(self, version: str | None) -> Schema | None:
        if version is None:
            return None
        info = self._client.get_stored_schema_by_hash(version)
        if info is None:
            raise UnsureError(f"the destination doesn't have the version {version} of a dlt schema")
        return Schema.from_stored_schema(json.loads(info.schema))

    def _load(self, row: Iterable[Any]) -> Loaded:
        load_id, schema_name, inserted_at, schema_hash = row
        moment = datetime.fromisoformat(ensure_pendulum_datetime(inserted_at).isoformat())
        return Loaded(load_id, schema_name, moment.astimezone(timezone.utc), schema_hash)

    @property
    def _loads(self) -> str:
        return self._sql.make_qualified_table_name(self._client.schema.loads_table_name)

    @property
    def _load_columns(self) -> str:
        names = ("load_id", "schema_name", "inserted_at", "schema_version_hash")
        return ", ".join(map(self._column, names))

    @property
    def _at(self) -> str:
        return self._column("inserted_at")

    def _column(self, name: str) -> str:
        naming = self._client.schema.naming
        return self._sql.escape_column_name(naming.normalize_identifier(name))


def datasets_of(pipeline: Any) -> dict[str, Dataset]:
    """Returns the datasets of a pipeline, by the names of its schemas.

    dlt looks up the credentials here: it must be called in the caller's thread.

    Raises:
        UnsureError: The destination is no database, or its credentials are not known.
    """
    with asking(ConfigurationException, DestinationException, MissingDependencyException):
        clients = {name: pipeline.destination_client(name) for name in pipeline.schema_names}
    if not all(isinstance(client, SqlJobClientBase) for client in clients.values()):
        raise UnsureError("the destination can't be queried for earlier loads")
    return {name: Dataset(client) for name, client in clients.items()}


@contextmanager
def asking(*errors: type[Exception]) -> Iterator[None]:
    """Makes errors of dlt or a database a reason to build everything.

    Raises:
        UnsureError: Instead of such an error, whose message may tell secrets.
    """
    try:
        yield
    except UnsureError:
        raise
    except errors as error:
        kind = type(error).__name__
        raise UnsureError(f"the destination can't be queried for earlier loads: {kind}") from None


def _altered(earlier: Schema | None, later: Schema | None) -> Iterator[str]:
    """Yields the tables whose columns are not the same in two versions of a schema."""
    before, after = _columns(earlier), _columns(later)
    return (name for name in {*before, *after} if before.get(name) != after.get(name))


def _columns(schema: Schema | None) -> Mapping[str, Any]:
    return {name: table["columns"] for name, table in schema.tables.items()} if schema else {}
