"""A small dbt project over what a dlt pipeline loads into DuckDB."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.common.pipeline import LoadInfo
from typing_extensions import Self

from dlt_dbt_cloud.local import DBTJob
from tests.dlt_world import dlt_in, kept_open

DATABASE: Final = "shop.duckdb"
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
    """Writes the project, and returns a job that builds it in the database."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    project = "{name: shop, version: '1.0.0', profile: shop, models: {+materialized: table}}"
    (folder / "dbt_project.yml").write_text(project)
    output = f"{{type: duckdb, path: '{folder}/{DATABASE}', schema: marts, threads: 2}}"
    (folder / "profiles.yml").write_text(f"shop: {{target: dev, outputs: {{dev: {output}}}}}")
    (folder / "models" / "sources.yml").write_text(sources)
    for name, sql in models.items():
        (folder / "models" / f"{name}.sql").write_text(sql)
    return DBTJob(folder, **job)


def pipeline_in(folder: Path, name: str = "shop", dataset_name: str = "raw") -> dlt.Pipeline:
    """Returns a pipeline into the project's database."""
    destination = dlt.destinations.duckdb(str(folder / DATABASE))
    return dlt.pipeline(
        name, str(folder / "pipelines"), destination=destination, dataset_name=dataset_name
    )


@dataclass(frozen=True)
class Loaded:
    """A first load that tests go on from: each copies the files, which dlt would write slowly.

    Attributes:
        folder: Where the pipeline and the database are.
        load_info: The load.
    """

    folder: Path
    load_info: LoadInfo

    @classmethod
    def into(cls, folder: Path, *resources: Any) -> Self:
        """Loads resources into an empty folder."""
        with dlt_in(folder), kept_open(folder / DATABASE):
            return cls(folder, pipeline_in(folder).run([*resources]))

    def copied_to(self, folder: Path) -> dlt.Pipeline:
        """Returns the pipeline in another folder, as it is after the load."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return pipeline_in(folder)


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
