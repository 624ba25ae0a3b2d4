"""Generated dbt projects, and what may happen to them: for the law that nothing is missed."""

from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

TABLES: Final = ("a", "b", "c")
"""The tables of the dataset. `a` is appended, `b` replaced, rows of `c` are merged and deleted."""

NESTED: Final = "a__items"

PACKAGE: Final = "lib"
"""The name of the second dbt package."""


@dataclass(frozen=True)
class Model:
    """A model: the number of rows of what it reads, and their sum.

    Attributes:
        name: Its name.
        reads: Tables and models.
        kind: `table`, `view`, `ephemeral`, `incremental`, or `disabled`.
        is_tested: Whether it has a test.
    """

    name: str
    reads: tuple[str, ...]
    kind: str
    is_tested: bool

    @property
    def sql(self) -> str:
        """Its file."""
        enabled = "false" if self.kind == "disabled" else "true"
        kind = "table" if self.kind == "disabled" else self.kind
        config = f"{{{{ config(materialized='{kind}', enabled={enabled}) }}}}\n"
        if self.kind == "incremental":  # reads one table that only grows
            new = "{% if is_incremental() %} where v > (select max(v) from {{ this }}) {% endif %}"
            return f"{config}select v, 1 as n from {{{{ source('raw', 'a') }}}}{new}"
        parts = [
            f"select coalesce(sum(v), 0)::int as v, count(*)::int as n from {it}"
            for it in self._relations
        ]
        return (
            f"{config}select sum(v)::int as v, sum(n)::int as n from ({' union all '.join(parts)})"
        )

    @property
    def _relations(self) -> list[str]:
        tables = (*TABLES, NESTED)
        return [
            f"{{{{ source('raw', '{it}') }}}}" if it in tables else f"{{{{ ref('{it}') }}}}"
            for it in self.reads
        ]


@st.composite
def projects(draw: st.DrawFn) -> list[Model]:
    """Draws models, each of which reads tables and earlier models that are enabled."""
    models: list[Model] = []
    for number in range(draw(st.integers(3, 7))):
        kind = draw(st.sampled_from(["table", "view", "ephemeral", "incremental", "disabled"]))
        enabled = [model.name for model in models if model.kind != "disabled"]
        readable = st.sampled_from([*TABLES, NESTED, *enabled])
        reads = draw(st.lists(readable, min_size=1, max_size=3, unique=True))
        reads = ["a"] if kind == "incremental" else reads
        models.append(Model(f"m{number}", tuple(reads), kind, draw(st.booleans())))
    return models


EVENTS: Final = ("success", "success", "failed", "cancelled", "killed", "other")
"""How a load ends: its run, or its script before the run, or it is another pipeline's."""


@dataclass(frozen=True)
class Event:
    """A load, and what became of it.

    Attributes:
        tables: What it loads.
        is_empty: Whether it brings no rows.
        end: One of `EVENTS`.
    """

    tables: tuple[str, ...]
    is_empty: bool
    end: str


events = st.builds(
    Event,
    st.lists(st.sampled_from(TABLES), min_size=1, max_size=2, unique=True).map(tuple),
    st.sampled_from([False, False, True]),
    st.sampled_from(EVENTS),
)
