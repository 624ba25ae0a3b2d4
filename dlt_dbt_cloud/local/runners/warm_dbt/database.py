"""Faster versions of what asks an adapter, a database and its cache."""

from __future__ import annotations

import inspect
from typing import Any

from .find import find

_RELATION = "dbt.adapters.base.relation:BaseRelation"


def default_source(flag: Any) -> str:
    """Find the module that makes a flag, without reading the source of all that calls it."""
    flags, frame = inspect.getmodule(type(flag)), inspect.currentframe()
    while frame := frame and frame.f_back:
        module = inspect.getmodule(frame)
        if module and module is not flags:
            return module.__name__
    return "Unknown"


def empty_table() -> Any:
    """Return an empty table, without preparing to find out the types of its columns."""
    return find("agate:Table")(rows=[], column_types=[])


def make_match(
    self: Any, relations_list: list[Any], database: str, schema: str, identifier: str
) -> list[Any]:
    """Find the relations of a name. Others are ruled out without comparing all their parts."""
    search = self._make_match_kwargs(database, schema, identifier)
    name, own = search.get("identifier"), find(f"{_RELATION}.matches")
    return [
        relation
        for relation in relations_list
        if (name is None or type(relation).matches is not own or _is_called(relation, name))
        and relation.matches(**search)
    ]


def _is_called(relation: Any, name: str) -> bool:
    quote = relation.quote_character
    return bool(str(relation.identifier).lower().strip(quote) == name.lower().strip(quote))


def get_relations(self: Any, database: str | None, schema: str | None) -> list[Any]:
    """Find the relations of a schema. The keys of the cache are in lower case already."""
    lowercase = find("dbt.adapters.cache:lowercase")
    wanted = (lowercase(database), lowercase(schema))
    with self.lock:
        found = [it.inner for key, it in self.relations.items() if key[:2] == wanted]
    if None in found:
        raise find("dbt.adapters.cache:NoneRelationFoundError")
    return found
