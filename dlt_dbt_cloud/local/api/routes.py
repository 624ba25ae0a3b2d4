"""The operations of API v2: `routes.txt`, one line per operation.

A line has the method, the path below the version of the API, and a name: that of the method of
`Endpoints` that serves it, or else the one that dbt Labs' description gives it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from werkzeug.exceptions import MethodNotAllowed, NotFound

_ACCOUNT: Final = "/accounts/{id}"


@dataclass(frozen=True)
class Operation:
    """An operation of the API, and the pattern that a path must match."""

    method: str
    path: str
    name: str
    pattern: re.Pattern[str]

    @classmethod
    def read(cls, line: str) -> "Operation":
        """Read a line of the table."""
        method, path, name = line.split(" ", 2)
        # A path is served with and without its last slash, and an id is a number of 64 bits.
        text = path.replace("{id}", "([0-9]{1,19})").replace("{path}", "(?P<rest>.+)")
        text = f"{text}?" if text.endswith("/") else text
        return cls(method, path, name, re.compile(text, re.DOTALL))

    @property
    def is_served(self) -> bool:
        """Whether `Endpoints` has a method of its name."""
        return self.name.isidentifier()

    @property
    def is_of_account(self) -> bool:
        """Whether the first id of its path is that of the account."""
        return self.path.startswith(_ACCOUNT)

    @property
    def below_account(self) -> str:
        """Its method and its path below the account, as the docs show it."""
        return f"{self.method} {self.path.removeprefix(_ACCOUNT)}"


_LINES: Final = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
OPERATIONS: Final = tuple(map(Operation.read, _LINES))


def find(method: str, path: str) -> tuple[Operation, list[Any]]:
    """Find an operation, and what its path says: ids, and the rest of it.

    Raises:
        NotFound: No operation has such a path.
        MethodNotAllowed: Operations have such a path, but none has this method.
    """
    found = [(it, match) for it in OPERATIONS if (match := it.pattern.fullmatch(path))]
    for operation, match in found:
        if operation.method == method:
            rest = match.groupdict().values()
            ids = match.groups()[: match.re.groups - len(rest)]
            return operation, [*map(int, ids), *rest]
    raise MethodNotAllowed if found else NotFound
