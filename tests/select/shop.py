"""A small dbt project over what a dlt pipeline loads into DuckDB."""

from pathlib import Path
from typing import Any, Final

import dlt

from dlt_dbt_cloud.local import DBTJob

MODELS: Final = {
    "stg_orders": "select * from {{ source('shop', 'orders') }}",
    "items": "select count(*) as n from {{ source('shop', 'order_items') }}",
    "customers": "select * from {{ source('shop', 'people') }}",
    "revenue": "select count(*) as n from {{ ref('stg_orders') }}, {{ ref('customers') }}",
    "constant": "select 1 as one",
}
SOURCES: Final = """
sources:
  - name: shop
    schema: raw
    tables:
      - name: orders
        columns: [{name: id, data_tests: [not_null]}]
      - {name: order_items, identifier: orders__items}
      - {name: people, identifier: customers}
"""


def write_project(
    folder: Path, models: dict[str, str] = MODELS, sources: str = SOURCES, **job: Any
) -> DBTJob:
    """Writes the project, and returns a job that builds it in `folder/shop.duckdb`."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    project = "{name: shop, version: '1.0.0', profile: shop, models: {+materialized: table}}"
    (folder / "dbt_project.yml").write_text(project)
    output = f"{{type: duckdb, path: '{folder}/shop.duckdb', schema: marts, threads: 2}}"
    (folder / "profiles.yml").write_text(f"shop: {{target: dev, outputs: {{dev: {output}}}}}")
    (folder / "models" / "sources.yml").write_text(sources)
    for name, sql in models.items():
        (folder / "models" / f"{name}.sql").write_text(sql)
    return DBTJob(folder, **job)


def pipeline_in(folder: Path, name: str = "shop", dataset_name: str = "raw") -> dlt.Pipeline:
    """Returns a pipeline into the project's database."""
    destination = dlt.destinations.duckdb(str(folder / "shop.duckdb"))
    return dlt.pipeline(
        name, str(folder / "pipelines"), destination=destination, dataset_name=dataset_name
    )


def orders(*ids: int) -> Any:
    """Returns a resource that appends orders, each with an item."""
    rows = [{"id": order_id, "items": [{"sku": order_id}]} for order_id in ids]
    return dlt.resource(rows, name="orders")


def customers(*ids: int) -> Any:
    """Returns a resource that replaces the customers."""
    rows = [{"id": customer_id} for customer_id in ids]
    return dlt.resource(rows, name="customers", write_disposition="replace")


def source_of(resource: Any, name: str) -> Any:
    """Returns a dlt source, whose schema has its name."""

    @dlt.source(name=name)
    def source() -> Any:
        return resource

    found: Any = source()
    return found


def built(artifact: Any) -> set[str]:
    """Returns the models and tests that a run has carried out."""
    return {entry["unique_id"].split(".")[2] for entry in artifact["results"]}
