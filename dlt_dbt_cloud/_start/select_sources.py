"""Finds the sources of a dbt project that are the tables of a dlt dataset."""

import re
from collections.abc import Callable, Collection, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._start.select_steps import UnsureError
from dlt_dbt_cloud._values import dict_of

NAME: Final = re.compile(r"[\w-]+")
"""The names that a selector takes literally."""

FOLDS: Final[Mapping[str, Callable[[str], str]]] = {
    "bigquery": str,
    "clickhouse": str,
    "postgres": str.lower,
    "snowflake": str.upper,
}
"""What a database makes of an unquoted name. All others ignore the case of quoted names too."""


class Place(NamedTuple):
    """Where a table is, as its database has it.

    Attributes:
        database: None if it is not known.
        dataset: dbt's schema.
        table: dbt's identifier.
    """

    database: str | None
    dataset: str
    table: str


class Source(NamedTuple):
    """A table of a source.

    Attributes:
        source_name: The source.
        name: The table in it.
    """

    source_name: str
    name: str


class Sources:
    """The sources of a dbt project.

    Args:
        manifest: The `manifest.json`.
    """

    def __init__(self, manifest: Any) -> None:
        self._adapter = str(dict_of(dict_of(manifest).get("metadata")).get("adapter_type"))
        selectors = dict_of(dict_of(manifest).get("selectors")).values()
        self.has_default = any(dict_of(it).get("default") not in (None, False) for it in selectors)
        self._found: dict[tuple[str, str], list[tuple[str | None, Source]]] = {}
        self._of_source: dict[str, set[Source]] = {}
        for entry in dict_of(dict_of(manifest).get("sources")).values():
            self._add(dict_of(entry))

    def _add(self, entry: Mapping[str, Any]) -> None:
        names = [entry.get(key) for key in ("source_name", "name", "schema", "identifier")]
        if not all(isinstance(name, str) for name in names):
            return
        source_name, name, schema, identifier = map(str, names)
        database = entry.get("database")
        source = Source(source_name, name)
        relation = str(entry.get("relation_name"))
        key = (self._folded(schema, relation), self._folded(identifier, relation))
        known = str(database) if database else None
        self._found.setdefault(key, []).append((known, source))
        self._of_source.setdefault(source_name, set()).add(source)

    def _folded(self, name: str, relation: str | None = None) -> str:
        """Returns a name as the database compares it, without a relation as it stores it."""
        fold = FOLDS.get(self._adapter)
        if fold is None:
            return name.casefold()
        is_quoted = relation is None or re.search(rf'["`\[]{re.escape(name)}["`\]]', relation)
        return name if is_quoted else fold(name)

    def at(self, place: Place) -> set[Source]:
        """Returns the sources that refer to a table."""
        key = (self._folded(place.dataset), self._folded(place.table))
        return {
            source
            for database, source in self._found.get(key, ())
            if not database
            or not place.database
            or database.casefold() == place.database.casefold()
        }

    def terms(self, changed: Collection[Source], *, are_grouped: bool = False) -> list[str]:
        """Returns dbt's selectors of what is downstream of sources.

        Args:
            changed: The sources.
            are_grouped: Whether to take all tables of a source if one has changed.

        Raises:
            UnsureError: A name has characters that mean something in a selector.
        """
        if odd := [name for source in changed for name in source if not NAME.fullmatch(name)]:
            raise UnsureError(f"dbt can't select a source named `{odd[0]}`")
        terms: list[str] = []
        for source_name, found in groupby(sorted(changed), attrgetter("source_name")):
            of_source = [*found]
            if are_grouped or self._of_source.get(source_name) == {*of_source}:
                terms.append(f"source:{source_name}+")
            else:
                terms += (f"source:{source_name}.{source.name}+" for source in of_source)
        return terms
