"""Which sources of a project a table is."""

from typing import Any

import pytest

from dlt_dbt_cloud._start.select_sources import Place, Source, Sources
from dlt_dbt_cloud._start.select_steps import UnsureError


def manifest(*sources: dict[str, Any], adapter: str = "duckdb", **more: Any) -> dict[str, Any]:
    """Returns a manifest with sources."""
    entries = {str(number): source for number, source in enumerate(sources)}
    return {"metadata": {"adapter_type": adapter}, "sources": entries, **more}


def source(
    schema: str = "raw",
    identifier: str = "orders",
    relation_name: str = '"db"."raw"."orders"',
    **changes: Any,
) -> dict[str, Any]:
    """Returns a source as it is in a manifest."""
    names = {"source_name": "shop", "name": "orders", "database": "db"}
    return {
        **names,
        "schema": schema,
        "identifier": identifier,
        "relation_name": relation_name,
        **changes,
    }


@pytest.mark.parametrize(
    ("adapter", "quote", "written", "stored", "is_same"),
    [
        ("duckdb", '"', "Orders", "orders", True),
        ("databricks", "`", "ORDERS", "orders", True),
        ("sqlserver", '"', "Orders", "orders", True),
        ("snowflake", "", "orders", "ORDERS", True),
        ("snowflake", "", "orders", "orders", False),
        ("snowflake", '"', "orders", "orders", True),
        ("snowflake", '"', "orders", "ORDERS", False),
        ("postgres", "", "Orders", "orders", True),
        ("postgres", '"', "Orders", "orders", False),
        ("postgres", '"', "Orders", "Orders", True),
        ("bigquery", "`", "Orders", "orders", False),
        ("bigquery", "`", "orders", "orders", True),
        ("clickhouse", "`", "Orders", "orders", False),
    ],
)
def test_case(adapter: str, quote: str, written: str, stored: str, is_same: bool) -> None:
    """Names are compared as the database does, by its rules for quoted and other names."""
    relation = ".".join(f"{quote}{name}{quote}" for name in ("db", written, written))
    sources = Sources(manifest(source(written, written, relation), adapter=adapter))
    assert bool(sources.at(Place("DB", stored, stored))) == is_same


@pytest.mark.parametrize(
    ("database", "known", "is_same"),
    [
        ("db", "db", True),
        ("DB", "db", True),
        ("db", None, True),
        (None, "db", True),
        ("a", "b", False),
    ],
)
def test_database(database: str | None, known: str | None, is_same: bool) -> None:
    """A table of another database is another table, as far as both databases are known."""
    sources = Sources(manifest(source(database=database)))
    assert bool(sources.at(Place(known, "raw", "orders"))) == is_same


def test_many() -> None:
    """A table is each of the sources that name it, in whatever package and under whatever name."""
    sources = Sources(
        manifest(source(), source(source_name="crm", name="deals"), source(identifier="people"))
    )
    assert sources.at(Place(None, "raw", "orders")) == {
        Source("shop", "orders"),
        Source("crm", "deals"),
    }
    assert sources.at(Place(None, "raw", "other")) == set()
    assert sources.at(Place(None, "other", "orders")) == set()


def test_terms() -> None:
    """A source whose tables have all changed is one term, others are a term for each table."""
    names = ("orders", "items", "people")
    sources = Sources(manifest(*(source(name=name) for name in names), source(source_name="crm")))
    orders, items, people = (Source("shop", name) for name in names)
    crm = Source("crm", "orders")
    assert sources.terms({orders, crm}) == ["source:crm+", "source:shop.orders+"]
    assert sources.terms({orders, items, people}) == ["source:shop+"]
    assert sources.terms({items}, are_grouped=True) == ["source:shop+"]


@pytest.mark.parametrize("name", ["a.b", "a b", "a*", "a,b", "a+", ""])
def test_odd_names(name: str) -> None:
    """A name that a selector would read as something else is refused."""
    with pytest.raises(UnsureError, match="can't select"):
        Sources(manifest()).terms({Source("shop", name)})


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ({"nightly": {"name": "nightly", "default": True}}, True),
        ({"nightly": {"default": "{{ target.name == 'prod' }}"}}, True),
        ({"nightly": {"default": False}, "other": {}}, False),
        ({}, False),
        (None, False),
    ],
)
def test_default_selector(selectors: Any, expected: bool) -> None:
    """It is seen whether the project has a default selector."""
    assert Sources(manifest(selectors=selectors)).has_default == expected


@pytest.mark.parametrize("odd", [None, [], "x", {"sources": []}, {"sources": {"a": None, "b": {}}}])
def test_odd_manifest(odd: Any) -> None:
    """A manifest that is none has no sources."""
    sources = Sources(odd)
    assert sources.at(Place(None, "raw", "orders")) == set()
