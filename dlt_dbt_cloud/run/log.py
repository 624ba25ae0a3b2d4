"""Reads the log of a step: its end, the failure before the first node, the places of nodes."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._values import printable, str_of
from dlt_dbt_cloud.run.node import FILE, JINJA_LINE, place_of

MAX_LOG_LINES: Final = 20
MAX_MESSAGE: Final = 400
"""Characters of a node's message, or of a line of a log."""
MAX_ERROR_LINES: Final = 12
MAX_READ: Final = 2**20
"""Characters at the end of a log that are read: a log may have many megabytes."""

TIME: Final = re.compile(r"^\d\d:\d\d:\d\d(?:\.\d+)? ? ?", re.MULTILINE)
BEGINS: Final = re.compile(
    r"^(?:\d\d:\d\d:\d\d +)?(?:Encountered an error:?|Error: |error: |fatal: |ERROR: )",
    re.MULTILINE,
)
"""How the errors of dbt, its command line, dbt Fusion and git begin."""
DONE: Final = re.compile(r"Done\. ((?:[A-Z-]+=\d{1,9} ?)+)")
TOLD: Final = re.compile(
    r"^[\d:]+ +Completed with .*?(?=^[\d:]+ +Done\. )", re.MULTILINE | re.DOTALL
)
"""What dbt says of each failed node at the end of its log."""
NODE: Final = re.compile(r"(?:Failure|Warning|Error) in \w+ (\S+) \((\S+)\)")
COMPILED: Final = re.compile(r"compiled code at (?:\S*?/(?=target/))?(\S+)")
FUSION_PLACE: Final = re.compile(r"--> (\S+?):(\d{1,9})(?::\d{1,9})?\s*$", re.MULTILINE)
YAML_FILE: Final = re.compile(r"Error reading \S+: (\S+\.ya?ml)")
YAML_LINE: Final = re.compile(r"near line (\d{1,9})")
ADAPTER: Final = re.compile(r"Could not find adapter type (\w+)")

LOGGED: Final = re.compile(
    r"(\d{1,7}) of (\d{1,7}) (START|OK|ERROR|FAIL|PASS|WARN|SKIP)\b(.*?) \.{2,} *\[(.*?)\]"
)
"""The line that dbt logs when it starts or finishes a node."""

KINDS: Final = (
    ("clone", re.compile(r"^Clone ")),
    ("profile", re.compile(r"^Create profile ")),
    ("deps", re.compile(r"`dbt deps\b")),
)
"""The kind of a failure, by the name of a step that can fail in one way only."""

MESSAGE_KINDS: Final = (
    (
        "profile",
        re.compile(r"[Cc]ould not find (profile|adapter)|Credentials in profile|profiles\."),
    ),
    ("usage", re.compile(r"No such (command|option)|^Usage:|Invalid value for|Got unexpected")),
    ("parse", re.compile(r"^(Parsing|Compilation) Error|dbt found two|^dbt0[12]\d\d:")),
    (
        "connection",
        re.compile(r"^(Database|IO|Operational) ?Error|connect|authenticat|[Tt]imed out"),
    ),
)
"""The kind of any other failure, by dbt's message."""


class DBTCloudRunError(NamedTuple):
    """Why a run failed before its first node.

    Attributes:
        kind: `clone`, `profile`, `deps`, `parse`, `connection`, `usage`, `platform` (dbt Cloud
            itself), or `other`.
        message: What dbt says.
        file: The file that it is about, if dbt names one.
        line: The line in it, if dbt names one.
        hint: What to do, if that is known.
    """

    kind: str
    message: str
    file: str = ""
    line: int | None = None
    hint: str = ""

    @property
    def title(self) -> str:
        """What failed, as a heading."""
        kind = "" if self.kind == "other" else f": {self.kind}"
        return f"Failed before the first node{kind}"

    @property
    def place(self) -> str:
        """File and line, as far as they are known."""
        return place_of(self.file, self.line)


class LoggedNode(NamedTuple):
    """A node of a run in progress, as the log shows it.

    Attributes:
        name: Its name, maybe with its schema.
        status: `running`, or dbt's word for how it ended.
        note: What else dbt says when it is done, e.g. how long it took.
    """

    name: str
    status: str
    note: str


def logged_nodes(step: Mapping[str, Any]) -> tuple[list[LoggedNode], int]:
    """Returns the nodes that the log of a step names so far, and the total."""
    nodes: dict[str, LoggedNode] = {}
    total = 0
    for number, of, status, text, note in LOGGED.findall(text_of_log(step)):
        name = (text.split() or ["?"])[-1]
        word = "running" if status == "START" else status.lower()
        nodes[number] = LoggedNode(name, word, "" if status == "START" else note)
        total = int(of)
    return list(nodes.values()), total


def text_of_log(step: Mapping[str, Any], characters: int = MAX_READ) -> str:
    """Returns the end of a step's log, without the control characters of a terminal."""
    logs = step.get("logs")
    return printable(logs[-characters:]) if isinstance(logs, str) else ""


def log_tail(step: Mapping[str, Any], *, has_failures: bool = True) -> list[str]:
    """Returns the last lines of a step's log that say more than the time, without colours.

    Args:
        step: The step.
        has_failures: Whether to keep what dbt says at the end about each failed node.
    """
    text = text_of_log(step, MAX_LOG_LINES * MAX_MESSAGE)
    lines = (text if has_failures else TOLD.sub("", text)).splitlines()
    telling = [line.rstrip() for line in lines if re.search(r"[^\d\s:.]", line)]
    return [shortened(line) for line in telling][-MAX_LOG_LINES:]


def shortened(text: str, characters: int = MAX_MESSAGE) -> str:
    """Returns the beginning of a text."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def logged_counts(step: Mapping[str, Any]) -> dict[str, int]:
    """Returns the counts in the last line of dbt's log, nothing if dbt did not get that far."""
    done = DONE.findall(text_of_log(step, 2000))
    pairs = (pair.split("=") for pair in done[-1].split()) if done else ()
    return {
        name: int(number) for name, number in pairs if name in {"PASS", "WARN", "ERROR", "SKIP"}
    }


def places_in(step: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Returns file and compiled path of the nodes that the log reports, by their names."""
    places: dict[str, tuple[str, str]] = {}
    name = ""
    for line in text_of_log(step).splitlines():
        if node := NODE.search(line):
            name = node[1]
            places.setdefault(name, (str_of(node[2]), ""))
        elif name and (compiled := COMPILED.search(line)):
            places[name] = (places[name][0], str_of(compiled[1]))
    return places


def error_in(step: Mapping[str, Any]) -> DBTCloudRunError | None:
    """Returns why a step failed before its first node, None if it got further."""
    text = text_of_log(step)
    begins = [found.start() for found in BEGINS.finditer(text)]
    if begins:
        lines = list(_block(text[begins[-1] :]))
    else:
        lines = [] if DONE.search(text) else log_tail(step)[-1:]
    message = shortened("\n".join(lines[:MAX_ERROR_LINES]), 1000).strip()
    return _error(str_of(step.get("name")), message) if message else None


def _block(text: str) -> Iterator[str]:
    """Yields the lines of an error: up to the next line with a time, or a traceback."""
    first, *rest = text.splitlines()
    if not re.search(r"Encountered an error:?$", first):
        yield re.sub(r"^(?:Error|error|ERROR): ", "", TIME.sub("", first))
    for line in rest:
        if TIME.match(line) or line.startswith("Traceback"):
            return
        yield line.rstrip()


def _error(step_name: str, message: str) -> DBTCloudRunError:
    by_step = (kind for kind, names in KINDS if names.search(step_name))
    by_message = (kind for kind, texts in MESSAGE_KINDS if texts.search(message))
    fusion = FUSION_PLACE.search(message)
    file = FILE.search(message) or YAML_FILE.search(message)
    line = JINJA_LINE.search(message) or YAML_LINE.search(message)
    adapter = ADAPTER.search(message)
    return DBTCloudRunError(
        kind=next(by_step, None) or next(by_message, "other"),
        message=message,
        file=fusion[1] if fusion else (file[1] if file else ""),
        line=int(fusion[2]) if fusion else (int(line[1]) if line else None),
        hint=f"Install the adapter where dbt runs: pip install dbt-{adapter[1]}" if adapter else "",
    )
