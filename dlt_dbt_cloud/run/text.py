"""A run as text: what `print(run)` shows, and the message of its exception."""

from collections.abc import Iterable, Iterator, Sequence

from dlt_dbt_cloud.run import wording
from dlt_dbt_cloud.run.fields import RunFields
from dlt_dbt_cloud.run.log import DBTCloudRunError, shortened
from dlt_dbt_cloud.run.node import DBTCloudNode


def text_of(run: RunFields) -> Iterator[str]:
    """Yields the lines about a run."""
    steps, errors = wording.steps(run), run.errors
    yield wording.headline(run)
    yield from wording.notes(run)
    yield from (f"  {step.name}: {step.status}, {step.duration}" for step in steps)
    if counted := wording.counted(run):
        yield f"Nodes: {counted}"
    for error in errors:
        yield from _error(error)
    yield from _nodes("Failed", run.failed_nodes)
    yield from _nodes("Warned", run.warned_nodes)
    for step in steps:
        if step.log and not errors:
            yield f"End of the log of step {step.name.partition('.')[0]}"
            yield from _indented(step.log)
    if run.url:
        yield f"See {run.url}"


def _error(error: DBTCloudRunError) -> Iterator[str]:
    place = f" in {error.place}" if error.place else ""
    yield f"{error.title}{place}"
    yield from _indented(error.message.splitlines())
    if error.hint:
        yield error.hint


def _nodes(title: str, nodes: Sequence[DBTCloudNode]) -> Iterator[str]:
    if nodes:
        yield f"{title}: {len(nodes)} node(s)"
    for node in nodes[: wording.MAX_NODES]:
        place = f", {node.place}" if node.place else ""
        yield f"  {node.unique_id} ({node.status}{place})"
        yield from _indented(shortened(node.message).splitlines())
        if node.compiled_path:
            yield f"    compiled: {node.compiled_path}"
    if rest := wording.more(nodes):
        yield f"  {rest}"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)
