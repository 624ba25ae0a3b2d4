"""A node of a run: an entry of `run_results.json`, and what the log adds to it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._values import MAX_INT, dict_of, int_of, list_of, moment, str_of

COUNTED: Final = {
    "PASS": frozenset({"success", "pass"}),
    "WARN": frozenset({"warn"}),
    "ERROR": frozenset({"error", "fail", "runtime error", "partial success"}),
    "SKIP": frozenset({"skipped"}),
}
"""The statuses that dbt counts together at the end of its log."""

FILE: Final = re.compile(r"\(([^()\s]+\.(?:sql|py|csv|ya?ml|md))\)")
DATABASE_LINE: Final = re.compile(r"^ *LINE \d+: *(\S.*?) *$", re.MULTILINE)
"""The line that a database quotes. Its number counts from the start of the statement."""
JINJA_LINE: Final = re.compile(r"^ *line (\d{1,9})$", re.MULTILINE)


def float_of(value: Any) -> float:
    """Returns a number, 0 if it is none or too large to be a time."""
    is_time = isinstance(value, int | float) and abs(value) < MAX_INT
    return float(value) if is_time else 0.0


READ: Final[Mapping[Any, Any]] = {
    str: str_of,
    float: float_of,
    int | None: int_of,
    datetime | None: moment,
}
"""How a field is read, by its type."""


class DBTCloudNode(NamedTuple):
    """The result of a model, test, seed or snapshot in a run."""

    unique_id: str
    status: str
    """An open set: success, error, skipped, pass, fail, warn, reused, …"""
    message: str
    execution_time: float
    file: str = ""
    """Its file in the project, for a failed or warned node, if dbt names it."""
    line: int | None = None
    """The line of `file` that failed, as far as it can be known."""
    compiled_path: str = ""
    """Its compiled code, for a failed or warned node, if dbt names it."""
    failures: int | None = None
    """Rows that failed the test."""
    rows_affected: int | None = None
    thread: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @classmethod
    def from_results(
        cls, entry: Mapping[str, Any], places: Mapping[str, tuple[str, str]] | None = None
    ) -> "DBTCloudNode":
        """Returns the node of an entry of `run_results.json`.

        Args:
            entry: The entry.
            places: File and path of the compiled code by the name of a node, from the log.
        """
        timing = [dict_of(phase) for phase in list_of(entry.get("timing"))] or [{}]
        message = str_of(entry.get("message"))
        file, compiled_path = (places or {}).get(name_of(str_of(entry.get("unique_id"))), ("", ""))
        told = FILE.search(message)
        values = {
            "file": file or (told[1] if told else ""),
            "line": line_in(message, entry.get("compiled_code")),
            "compiled_path": compiled_path,
            "rows_affected": dict_of(entry.get("adapter_response")).get("rows_affected"),
            "thread": entry.get("thread_id"),
            "started_at": timing[0].get("started_at"),
            "completed_at": timing[-1].get("completed_at"),
        }
        return cls.from_dict({**entry, **values})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DBTCloudNode":
        """Returns the node that `to_dict` turned into a dict, without values of a wrong type."""
        fields = cls.__annotations__.items()
        return cls(**{name: READ[kind](data.get(name)) for name, kind in fields})

    def to_dict(self) -> dict[str, Any]:
        """Returns what `json.dumps` takes."""
        times = {"started_at": self.started_at, "completed_at": self.completed_at}
        written = {name: time and time.isoformat() for name, time in times.items()}
        return {**self._asdict(), **written}

    @property
    def name(self) -> str:
        """The name without project and hash."""
        return name_of(self.unique_id)

    @property
    def resource_type(self) -> str:
        """The kind of node: `model`, `test`, `seed`, `snapshot` and others."""
        return self.unique_id.partition(".")[0]

    @property
    def is_failed(self) -> bool:
        """Whether the node makes its run fail."""
        return self.status in COUNTED["ERROR"]

    @property
    def is_warned(self) -> bool:
        """Whether dbt warned of the node."""
        return self.status in COUNTED["WARN"]

    @property
    def place(self) -> str:
        """File and line, as far as they are known."""
        return place_of(self.file, self.line)

    @property
    def tone(self) -> str:
        """How its outcome is shown: `bad`, `warn`, `idle` or `good`."""
        if self.is_failed or self.is_warned:
            return "bad" if self.is_failed else "warn"
        return "idle" if self.status in {"skipped", "no-op"} else "good"


def place_of(file: str, line: int | None) -> str:
    """Returns a file and the line in it, as far as they are known."""
    return f"{file}:{line}" if file and line else file


def name_of(unique_id: str) -> str:
    """Returns the name in the id of a node: of a test it is followed by a hash."""
    kind, *rest = unique_id.split(".", maxsplit=2)
    name = rest[-1] if rest else ""
    return name.partition(".")[0] if kind == "test" else name


def line_in(message: str, compiled_code: Any) -> int | None:
    """Returns the line of a node's file that failed, None if that can't be known.

    dbt names the line of an error in Jinja. A database counts the lines of its own statement, so
    the line that it quotes is looked up in the compiled code, which has the lines of the file.
    """
    if told := JINJA_LINE.search(message):
        return int(told[1])
    quoted = DATABASE_LINE.search(message)
    if not quoted or not isinstance(compiled_code, str):
        return None
    lines = [line.strip() for line in compiled_code.splitlines()]
    return lines.index(quoted[1]) + 1 if lines.count(quoted[1]) == 1 else None


def counts_of(nodes: Iterable[DBTCloudNode]) -> dict[str, int]:
    """Returns how many nodes passed, warned, failed and were skipped, nothing for no nodes."""
    statuses = Counter(node.status for node in nodes)
    counts = {name: sum(statuses[status] for status in of) for name, of in COUNTED.items()}
    return counts if statuses else {}
