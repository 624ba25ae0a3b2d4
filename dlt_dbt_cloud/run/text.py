"""A run as text: what `print(run)` shows, and the message of its exception."""

from collections.abc import Iterable, Iterator, Sequence

from dlt_dbt_cloud._values import str_of
from dlt_dbt_cloud.run.log import DBTCloudRunError, shortened
from dlt_dbt_cloud.run.node import DBTCloudNode
from dlt_dbt_cloud.run.reading import MAX_NODES, Reading, StepLine, more


def text_of(reading: Reading) -> Iterator[str]:
    """Yields the lines about a run."""
    yield reading.headline
    yield from reading.notes
    yield from (f"  {step.name}: {step.status}, {step.duration}" for step in reading.steps)
    if reading.counts:
        yield f"Nodes: {reading.counted}"
    for error in reading.errors:
        yield from _error(error)
    yield from _nodes(f"Failed: {len(reading.failed)} node(s)", reading.failed)
    yield from _nodes(f"Warned: {len(reading.warned)} node(s)", reading.warned)
    for step in reading.steps if not reading.errors else ():
        yield from _log(step)
    if reading.url:
        yield f"See {reading.url}"


def _error(error: DBTCloudRunError) -> Iterator[str]:
    place = f" in {error.place}" if error.place else ""
    yield f"{error.title}{place}"
    yield from _indented(error.message.splitlines())
    if error.hint:
        yield error.hint


def _nodes(title: str, nodes: Sequence[DBTCloudNode]) -> Iterator[str]:
    if nodes:
        yield title
    for node in nodes[:MAX_NODES]:
        place = f", {node.place}" if node.place else ""
        yield f"  {str_of(node.unique_id)} ({str_of(node.status)}{place})"
        yield from _indented(shortened(str_of(node.message)).splitlines())
        if node.compiled_path:
            yield f"    compiled: {node.compiled_path}"
    if rest := more(nodes):
        yield f"  {rest}"


def _log(step: StepLine) -> Iterator[str]:
    if step.log:
        yield f"End of the log of step {step.name.partition('.')[0]}"
        yield from _indented(step.log)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)
