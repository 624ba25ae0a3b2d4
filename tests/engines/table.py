"""The tables in the docs, one for each engine, between markers."""

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


def table(engine: str, outcomes: Iterable[Any]) -> str:
    """Returns the table of an engine: a row for each scenario, a column for each client."""
    cells = {(it.scenario.name, it.client): str(it) for it in outcomes}
    titles = TITLES[engine]
    rows = [["scenario", *titles.values()], ["---"] * (len(titles) + 1)]
    for scenario in SCENARIOS:
        found = [cells.get((scenario.name, client), "") for client in titles]
        rows += [[scenario.name, *found]] if any(found) else []
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_tables(outcomes: Mapping[str, Iterable[Any]]) -> None:
    """Puts the tables into the page."""
    text = PAGE.read_text()
    for engine, found in outcomes.items():
        begin, end = f"<!-- {engine}: made by `make test-engines` -->", f"<!-- /{engine} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n\n{table(engine, found)}\n\n{end}{after}"
    PAGE.write_text(text)
