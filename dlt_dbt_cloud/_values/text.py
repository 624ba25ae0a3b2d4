"""What a person reads of steps, nodes and logs. Nothing here raises, whatever the server sent."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from dlt_dbt_cloud._values import printable, str_of

MAX_NODES: Final = 10
MAX_STEPS: Final = 50
MAX_LOG_LINES: Final = 20
MAX_MESSAGE: Final = 400
"""Characters of a node's message, or of a line of a log."""


def step_text(step: dict[str, Any]) -> str:
    """Returns a step, its outcome and its duration."""
    status = str_of(step.get("status_humanized")) or str_of(step.get("status"))
    return f"{step_name(step)}: {status}, {str_of(step.get('duration')) or '?'}"


def step_name(step: Mapping[str, Any]) -> str:
    """Returns the index and the name of a step."""
    return f"{str_of(step.get('index'))}. {str_of(step.get('name'))}"


def nodes_text(nodes: Sequence[Any]) -> Iterator[str]:
    """Yields lines about failed nodes, each a `DBTCloudNode`."""
    yield f"Failed: {len(nodes)} node(s)"
    for node in nodes[:MAX_NODES]:
        yield f"  {str_of(node.unique_id)} ({str_of(node.status)})"
        yield from _indented(_shortened(str_of(node.message)).splitlines())
    if len(nodes) > MAX_NODES:
        yield f"  and {len(nodes) - MAX_NODES} more"


def log_text(step: dict[str, Any]) -> Iterator[str]:
    """Yields lines with the end of a step's log."""
    lines = log_tail(step)
    if lines:
        yield f"End of the log of step {str_of(step.get('index'))}"
        yield from _indented(lines)


def log_tail(step: dict[str, Any]) -> list[str]:
    """Returns the last lines of a step's log that say more than the time, without colours."""
    logs = step.get("logs")
    # Enough characters for the lines that are kept: a log may have many megabytes.
    end = logs[-MAX_LOG_LINES * MAX_MESSAGE :] if isinstance(logs, str) else ""
    lines = printable(end).splitlines()
    telling = [line.rstrip() for line in lines if re.search(r"[^\d\s:.]", line)]
    return [_shortened(line) for line in telling][-MAX_LOG_LINES:]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"
