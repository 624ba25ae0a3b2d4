"""What the local dbt Cloud does, and how it knows: `behaviours.txt`, one line per behaviour.

It makes the header `X-Local-DBT-Cloud-Basis` of each answer, the log line at the first use of a
guess, the refusals of `strict=True`, and the table of `docs/local.md`. A line has a name, the
basis, what the local dbt Cloud does, and the source if there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.api.behaviour import Basis, Behaviour


def _read() -> Iterator[Behaviour]:
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        name, basis, what, *where = line.split(" | ")
        yield Behaviour(name, what, Basis(basis), "".join(where))


BEHAVIOURS: Final = tuple(_read())

BY_NAME: Final = {row.name: row for row in BEHAVIOURS}


def weakest(names: list[str]) -> Behaviour:
    """Returns the weakest of the behaviours that an answer rests on, the last one of them."""
    order = list(Basis)
    return max((BY_NAME[name] for name in reversed(names)), key=lambda row: order.index(row.basis))


def table() -> str:
    """Returns the fidelity table of the docs, in Markdown."""
    lines = ["| behaviour | operation | what it does | basis | source |", "|---|---|---|---|---|"]
    for row in BEHAVIOURS:
        operation = f"`{row.method_and_path}`" if row.method_and_path else ""
        lines.append(
            f"| `{row.name}` | {operation} | {row.what} | {row.basis.value} | {row.where} |"
        )
    return "\n".join(lines)
