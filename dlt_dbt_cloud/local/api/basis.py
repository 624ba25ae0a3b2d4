"""Which behaviours a request rests on, and what is said of guesses."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import g

from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud.local.api.behaviours import BY_NAME


class NotServedError(Exception):
    """The request rests on a guess, and only what is known is to be served."""


@dataclass
class BasisLog:
    """What the answers of one server rest on.

    Attributes:
        strict: Whether to refuse what rests on a guess.
    """

    strict: bool
    _guessed: set[str] = field(default_factory=set)

    def rests_on(self, name: str) -> None:
        """Note that the request being served shows a behaviour.

        Raises:
            NotServedError: It is a guess, and guesses are refused.
        """
        behaviour = BY_NAME[name]
        g.behaviours.append(name)
        if not behaviour.is_guess:
            return
        if self.strict:
            raise NotServedError(f"strict=True refuses what is a guess: {behaviour}")
        if name not in self._guessed:
            self._guessed.add(name)
            logger.warning("The local dbt Cloud guesses: %s", behaviour)
