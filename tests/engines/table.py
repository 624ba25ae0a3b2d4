"""The tables in the docs, one for each engine, between markers."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.engines.scenarios import SCENARIOS

PAGE: Final = Path(__file__).parents[2] / "docs" / "orchestrators.md"
TITLES: Final = {
    "airflow": {
        "ours": "our operator",
        "ours_deferrable": "our operator, deferrable",
        "official": "official operator",
        "official_deferrable": "official operator, deferrable",
    },
    "dagster": {"ours": '`run_key="auto"`', "official": "dagster-dbt"},
    "prefect": {"ours": '`run_key="auto"`', "official": "prefect-dbt"},
}


Cells = dict[tuple[str, str], str]
"""What came of a scenario, by its name and the title of the client."""


def read(table: str) -> Cells:
    """Returns the cells of a table."""
    rows = [re.split(r" *\| *", row.strip("| ")) for row in table.strip().splitlines()]
    return {
        (row[0], title): it for row in rows[2:] for title, it in zip(rows[0], row, strict=False)
    }


def written(cells: Cells, titles: Iterable[str]) -> str:
    """Returns a table: a row for each scenario, a column for each client."""
    rows = [["scenario", *titles], ["---"] * (len([*titles]) + 1)]
    for scenario in SCENARIOS:
        found = [cells.get((scenario.name, title), "") for title in titles]
        rows += [[scenario.name, *found]] if any(found) else []
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_tables(outcomes: Mapping[str, Iterable[Any]]) -> None:
    """Puts what came of scenarios into the page, beside what earlier commands have put there."""
    text = PAGE.read_text()
    for engine, found in outcomes.items():
        begin, end = f"<!-- {engine}: made by `make test-engines` -->", f"<!-- /{engine} -->"
        before, _, rest = text.partition(begin)
        table, _, after = rest.partition(end)
        titles = TITLES[engine]
        cells = read(table) | {(it.scenario.name, titles[it.client]): str(it) for it in found}
        text = f"{before}{begin}\n\n{written(cells, titles.values())}\n\n{end}{after}"
    PAGE.write_text(text)
