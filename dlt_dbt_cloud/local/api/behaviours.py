"""What the local dbt Cloud does, and how it knows: `behaviours.txt`, one line per behaviour.

It decides the header `X-Local-DBT-Cloud-Basis` of each answer, the log line at the first use of a
guess, the refusals of `strict=True`, and the table of `docs/local.md`. A line has a name, the
basis, what the local dbt Cloud does, and the source if there is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from flask import g

from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud.local.api.envelopes import RefusedError
from dlt_dbt_cloud.local.api.routes import OPERATIONS

HEADER: Final = "X-Local-DBT-Cloud-Basis"
LOCAL: Final = "only the local dbt Cloud does so"
"""The source of what only the local dbt Cloud does: that is no guess about dbt Cloud."""


class Basis(str, Enum):
    """What a behaviour is based on, from certain to uncertain."""

    RECORDED = "recorded"
    """An answer of dbt Cloud that somebody has published."""
    SPEC = "spec"
    """dbt Labs' OpenAPI description or documentation."""
    CLIENT = "client"
    """What clients in production send or rely on."""
    GUESS = "guess"
    """Nothing of the above."""


@dataclass(frozen=True)
class Behaviour:
    """A row of the table.

    Attributes:
        name: The route and, after a dot, the case. `any` is every route, `scene` and `fault` are
            what a test asks for.
        what: What the local dbt Cloud does.
        basis: What that rests on.
        where: The source.
    """

    name: str
    what: str
    basis: Basis
    where: str

    @property
    def is_guess(self) -> bool:
        """Whether dbt Cloud may do otherwise, as far as is known."""
        return self.basis is Basis.GUESS and self.where != LOCAL

    @property
    def header(self) -> tuple[str, str]:
        """The header of an answer that rests on it."""
        return HEADER, f"{self.basis.value}; {self.name}"

    def __str__(self) -> str:
        return f"{self.what} ({self.name})"


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


@dataclass
class BasisLog:
    """What the answers of one server rest on. A strict one refuses what rests on a guess."""

    strict: bool
    _guessed: set[str] = field(default_factory=set)

    def rests_on(self, name: str) -> None:
        """Note that the request being served shows a behaviour.

        Raises:
            RefusedError: It is a guess, and guesses are refused.
        """
        behaviour = BY_NAME[name]
        g.behaviours.append(name)
        if not behaviour.is_guess:
            return
        if self.strict:
            raise RefusedError(501, f"strict=True refuses what is a guess: {behaviour}", name)
        if name not in self._guessed:
            self._guessed.add(name)
            logger.warning("The local dbt Cloud guesses: %s", behaviour)


def table() -> str:
    """Returns the fidelity table of the docs, in Markdown."""
    routes = {it.name: f"`{it.below_account}`" for it in OPERATIONS}
    lines = ["| behaviour | operation | what it does | basis | source |", "|---|---|---|---|---|"]
    for row in BEHAVIOURS:
        route = routes.get(row.name.partition(".")[0], "")
        lines.append(f"| `{row.name}` | {route} | {row.what} | {row.basis.value} | {row.where} |")
    return "\n".join(lines)
