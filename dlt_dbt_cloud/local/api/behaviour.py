"""What the local dbt Cloud does in one case, and how it knows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from dlt_dbt_cloud.local.api.routes import ROUTES


class Basis(str, Enum):
    """What a behaviour rests on, from firm to weak."""

    RECORDED = "recorded"
    """An answer of dbt Cloud that somebody has published."""
    SPEC = "spec"
    """dbt Labs' OpenAPI description or documentation."""
    CLIENT = "client"
    """What clients in production send or rely on."""
    GUESS = "guess"
    """Nothing of the above."""


LOCAL: Final = "only the local dbt Cloud does so"
"""The source of what is no guess of dbt Cloud, though nothing says it."""


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
    def method_and_path(self) -> str:
        """Returns the operation, below `/api/v2/accounts/{account_id}`. Empty for all of them."""
        return ROUTES.get(self.name.partition(".")[0], "")
