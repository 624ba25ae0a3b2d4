"""Writes the page about the tables of results, from their definitions: `make reference`."""

from collections.abc import Iterator
from pathlib import Path

from dlt_dbt_cloud.sources import schema
from dlt_dbt_cloud.sources.tables import Table

PATH = Path(__file__).parents[2] / "docs" / "results.md"
BEGIN = "<!-- made by `make reference` -->\n"


def reference() -> str:
    """Returns the page: what people wrote, then the tables."""
    return PATH.read_text(encoding="utf-8").partition(BEGIN)[0] + BEGIN + "\n".join(_lines())


def _lines() -> Iterator[str]:
    for table in vars(schema).values():
        if isinstance(table, Table):
            yield f"\n## {table.name}\n\n| column | type | |\n|---|---|---|"
            for name, (data_type, doc) in table.columns.items():
                key = "**" if name in table.primary_key else ""
                yield f"| {key}`{name}`{key} | {data_type} | {doc} |"
    yield ""


if __name__ == "__main__":
    PATH.write_text(reference(), encoding="utf-8")
