"""Writes and updates a `sources.yml` of dbt for what a dlt pipeline has loaded."""

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import dlt
from dlt.common.schema.typing import TColumnSchema, TTableSchema
from dlt.common.schema.utils import is_complete_column
from dlt.destinations.job_client_impl import SqlJobClientBase

from dlt_dbt_cloud.exceptions import DBTCloudException, InvalidCredentialsException

Node = dict[str, Any]


def dbt_sources(pipeline: dlt.Pipeline, *, loaded_at_field: bool = False) -> Node:
    """Returns the tables that a pipeline has loaded as the content of a `sources.yml`.

    `yaml.dump` writes it.

    Each dataset becomes a source, and each table, nested ones too, a table of it. Columns that are
    unique or never null get data tests. The freshness is that of dlt's own table of loads.

    Args:
        pipeline: The pipeline, which has loaded before.
        loaded_at_field: For dbt before 1.10: then only `_dlt_loads` has a freshness.

    Raises:
        InvalidCredentialsException: The pipeline has loaded nothing yet, or into no database.
    """
    sources: dict[str, Node] = {}
    for name in pipeline.schema_names:
        client = pipeline.destination_client(name)
        if not isinstance(client, SqlJobClientBase):
            raise InvalidCredentialsException(
                f"Pipeline `{pipeline.pipeline_name}` doesn't load into a database that dbt can"
                " read."
            )
        loaded = _Loaded(client, is_old=loaded_at_field)
        source = sources.setdefault(loaded.dataset, loaded.source())
        known = {table["name"] for table in source["tables"]}
        source["tables"] += (it for it in loaded.tables() if it["name"] not in known)
    if not sources:
        raise InvalidCredentialsException(
            f"Pipeline `{pipeline.pipeline_name}` has loaded nothing yet."
        )
    return {"sources": list(sources.values())}


class _Loaded:
    """A schema of a pipeline, as dbt finds it in the destination."""

    def __init__(self, client: SqlJobClientBase, *, is_old: bool) -> None:
        self.dataset = client.sql_client.dataset_name
        self._client, self._schema, self._is_old = client, client.schema, is_old

    def source(self) -> Node:
        loads = self._client.sql_client.make_qualified_table_name(self._schema.loads_table_name)
        query = f"select max(inserted_at) from {loads}"  # noqa: S608  # for dbt
        config = {"loaded_at_query": query, "freshness": _freshness()}
        return {
            "name": self.dataset,
            **({} if self._is_old else {"config": config}),
            "tables": [],
        }

    def tables(self) -> Iterator[Node]:
        yield from map(self._table, self._schema.data_tables())
        loads = self._table(self._schema.tables[self._schema.loads_table_name])
        if self._is_old:
            loads["config"] = {"loaded_at_field": "inserted_at", "freshness": _freshness()}
        yield loads

    def _table(self, table: TTableSchema) -> Node:
        columns = [it for it in table["columns"].values() if is_complete_column(it)]
        keys = [str(it["name"]) for it in columns if it.get("primary_key")]
        links = dict(self._links(table))
        prepared = self._client.prepare_load_table(str(table["name"]))
        parent = table.get("parent")
        description = table.get("description") or (f"Nested in `{parent}`." if parent else None)
        return {
            "name": self._stored(str(table["name"])),
            **({"description": description} if description else {}),
            "columns": [self._column(it, keys, links, prepared) for it in columns],
        }

    def _column(self, column: TColumnSchema, keys: list[str], links: Node, prepared: Any) -> Node:
        name = str(column["name"])
        is_unique = bool(column.get("unique")) or keys == [name]
        tests: list[Any] = ["unique"] if is_unique else []
        tests += [] if column.get("nullable", True) else ["not_null"]
        tests += [{"relationships": links[name]}] if name in links else []
        types = self._client.capabilities.get_type_mapper()
        return {
            "name": self._stored(name),
            **({"description": column["description"]} if column.get("description") else {}),
            "data_type": types.to_destination_type(column, prepared),
            **({"data_tests": tests} if tests else {}),
        }

    def _links(self, table: TTableSchema) -> Iterator[tuple[str, Node]]:
        """Yields the references of columns: those that are hinted, and those of nested tables."""
        named = self._schema.naming.normalize_identifier
        found = [(named("_dlt_load_id"), self._schema.loads_table_name, "load_id")]
        found += [
            (columns[0], str(link["referenced_table"]), link["referenced_columns"][0])
            for link in table.get("references") or ()
            if len(columns := [*link["columns"]]) == 1
        ]
        if parent := table.get("parent"):
            found.append((named("_dlt_parent_id"), parent, named("_dlt_id")))
        for column, other, field in found:
            to = f"source('{self.dataset}', '{self._stored(other)}')"
            target: Node = {"to": to, "field": self._stored(field)}
            yield column, target if self._is_old else {"arguments": target}

    def _stored(self, name: str) -> str:
        """Returns a name as the destination has it."""
        return self._client.capabilities.casefold_identifier(name)


def _freshness() -> Node:
    return {"warn_after": {"count": 1, "period": "day"}}


class Updated(NamedTuple):
    """An updated `sources.yml`.

    Attributes:
        text: The file.
        gone: What the file has, but the schema no longer has.
    """

    text: str
    gone: list[str]


def update_sources_yml(text: str, sources: Node) -> Updated:
    """Adds to a `sources.yml` what it lacks, and updates `data_type`. All else stays as it is.

    Args:
        text: The file, empty if there is none.
        sources: What `dbt_sources` returns.

    Raises:
        InvalidCredentialsException: The file is not YAML, or something else than sources.
        DBTCloudException: The package that keeps comments is not installed.
    """
    try:
        from ruamel.yaml import YAML  # noqa: PLC0415  # needs the extra `sources`
        from ruamel.yaml.error import YAMLError  # noqa: PLC0415
    except ImportError:
        raise DBTCloudException(
            'A `sources.yml` needs the extra `sources`. In a clone: pip install ".[sources]"'
        ) from None
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # lines stay as they are
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        document = yaml.load(text) or {}
    except YAMLError as error:
        raise InvalidCredentialsException(f"The file can't be read as YAML: {error}") from None
    if not _is_sources_yml(document):
        raise InvalidCredentialsException("The file is not a `sources.yml` that dbt can read.")
    known, _ = _merged(document, "sources", sources["sources"], ("schema", "name"))
    gone = [f"{new['name']}.{it}" for own, new in known for it in _merge_tables(own, new["tables"])]
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    return Updated(buffer.getvalue(), gone)


def _is_sources_yml(document: Any) -> bool:
    """Returns True if lists and mappings are where they should be."""
    listed = document.get("sources") if isinstance(document, dict) else 0
    for key in ("tables", "columns", None):
        if not isinstance(listed, list | None):
            return False
        if not all(isinstance(it, dict) for it in listed or ()):
            return False
        inner = [it[key] for it in listed or () if it.get(key)] if key else []
        if not all(isinstance(it, list) for it in inner):
            return False
        listed = [entry for it in inner for entry in it]
    return True


def _merge_tables(source: Node, tables: list[Node]) -> Iterator[str]:
    """Adds tables and columns to a source. Yields those that only the source has."""
    known, gone = _merged(source, "tables", tables, ("identifier", "name"))
    for own, new in known:
        yield from (f"{own['name']}.{it}" for it in _merge_columns(own, new["columns"]))
        _fill(own, new, ("description",))
    yield from gone


def _merge_columns(table: Node, columns: list[Node]) -> list[str]:
    known, gone = _merged(table, "columns", columns, ("name",))
    for own, new in known:
        _fill(own, new, ("data_type", "description"))
        own["data_type"] = new["data_type"]
    return gone


def _merged(
    node: Node, key: str, wanted: list[Node], names: Sequence[str]
) -> tuple[list[tuple[Node, Node]], list[str]]:
    """Adds to the list in a mapping the entries that it lacks.

    Args:
        node: The mapping.
        key: Key of the list, a new one if there is none.
        wanted: The entries.
        names: Keys under which an entry may have its name, the first that is set counts.

    Returns:
        The entries that the list had, each with the wanted one, and the names of all others.
    """
    node[key] = node.get(key) or []
    known, others = [], list(node[key])
    for new in wanted:
        own = _own(node[key], new, names)
        if own is None:
            node[key].append(new)
        else:
            others.remove(own)
            known.append((own, new))
    return known, [str(it["name"]) for it in others]


def _fill(known: Any, node: Node, keys: Sequence[str]) -> None:
    """Adds what a mapping lacks, after its name, so blank lines and comments stay at its end."""
    for key in keys:
        if key in node and not known.get(key):
            known.pop(key, None)
            known.insert(1, key, node[key])


def _own(listed: list[Node], node: Node, keys: Sequence[str]) -> Node | None:
    """Returns the entry that has the name of a node, under the first of the keys that is set."""
    names = ((next((it[key] for key in keys if it.get(key)), ""), it) for it in listed)
    wanted = str(node["name"]).casefold()
    return next((it for name, it in names if str(name).casefold() == wanted), None)
