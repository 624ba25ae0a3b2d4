"""Which tables a load has changed, of real loads into DuckDB."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common.pipeline import LoadInfo
from dlt.common.schema.typing import TWriteDispositionConfig

from dlt_dbt_cloud._start.select_tables import changed_families, leaves_trace
from tests.dlt_world import kept_open
from tests.select.shop import DATABASE, Loaded, customers, pipeline_in, source_of

Load = Callable[..., LoadInfo]


def resource(rows: list[Any], disposition: TWriteDispositionConfig, **hints: Any) -> Any:
    """Returns a resource with a nested table."""
    return dlt.resource(
        rows, name="orders", primary_key="id", write_disposition=disposition, **hints
    )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A load of two orders with an item each, and a customer."""
    rows = [{"id": order_id, "items": [{"sku": 1}]} for order_id in (1, 2)]
    return Loaded.into(tmp_path_factory.mktemp("loaded"), resource(rows, "append"), customers(1))


@pytest.fixture
def pipeline(dlt_world: Path, loaded: Loaded) -> Iterator[dlt.Pipeline]:
    """The pipeline after this load."""
    pipeline = loaded.copied_to(dlt_world)
    with kept_open(dlt_world / DATABASE):
        yield pipeline


BOTH = ["orders", "orders__items"]


def changed_tables(load_info: LoadInfo) -> list[str]:
    """Returns the tables of the families that a load has changed."""
    found = changed_families(load_info).values()
    return sorted({table for of_load in found for family in of_load for table in family.tables})


@pytest.mark.parametrize(
    ("rows", "disposition", "expected"),
    [
        ([{"id": 3}], "append", BOTH),
        ([], "append", []),
        ([], "merge", []),
        ([], "replace", BOTH),
        ([{"id": 3}], "replace", BOTH),
        ([{"id": 1, "items": []}], "merge", BOTH),
        ([{"id": 1}], {"disposition": "merge", "strategy": "scd2"}, BOTH),
        ([{"id": 3, "new": "column"}], "append", BOTH),
    ],
)
def test_rows(
    pipeline: dlt.Pipeline,
    rows: list[dict[str, Any]],
    disposition: TWriteDispositionConfig,
    expected: list[str],
) -> None:
    """A table changes with its rows, and also if it is replaced by none. Nested tables go along."""
    assert changed_tables(pipeline.run(resource(rows, disposition))) == expected


def test_first_load(dlt_world: Path) -> None:
    """All tables of a first load have changed, dlt's own ones apart."""
    load_info = pipeline_in(dlt_world).run([{"id": 1}], table_name="Orders")
    assert changed_tables(load_info) == ["orders"]


def test_hard_delete(pipeline: dlt.Pipeline) -> None:
    """A row that says that another was deleted changes the table."""
    columns: Any = {"gone": {"hard_delete": True, "data_type": "bool"}}
    deleted = resource([{"id": 1, "gone": True}], "merge", columns=columns)
    load_info = pipeline.run(deleted)
    assert changed_tables(load_info) == BOTH
    schema = load_info.load_packages[0].schema
    assert not leaves_trace(schema, "orders")
    assert leaves_trace(schema, "customers")


def test_columns_alone(pipeline: dlt.Pipeline) -> None:
    """A column that comes without rows changes the table, and an empty file does not."""
    nothing = dlt.mark.materialize_table_schema()
    columns: Any = {"size": {"data_type": "text"}}
    assert changed_tables(pipeline.run(resource([nothing], "append", columns=columns))) == BOTH
    assert changed_tables(pipeline.run(resource([nothing], "append", columns=columns))) == []


@pytest.mark.parametrize("refresh", ["drop_resources", "drop_sources", "drop_data"])
def test_refresh(pipeline: dlt.Pipeline, refresh: Any) -> None:
    """Tables that are dropped or emptied have changed, also if nothing is loaded after."""
    source = source_of(resource([], "append"), str(pipeline.default_schema_name))
    load_info = pipeline.run(source, refresh=refresh)
    dropped = ["customers"] if refresh == "drop_sources" else []
    assert changed_tables(load_info) == sorted([*dropped, *BOTH])


def test_empty_table_without_a_trace(pipeline: dlt.Pipeline) -> None:
    """A file whose rows nobody has counted counts."""
    load_info = pipeline.run(resource([dlt.mark.materialize_table_schema()], "append"))
    assert changed_tables(load_info) == []
    pipeline.run([{"id": 2}], table_name="customers")  # the trace is now of another load
    assert changed_tables(load_info) == BOTH
