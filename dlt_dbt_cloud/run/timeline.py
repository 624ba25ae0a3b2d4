"""When each thread of dbt worked on which node, as dbt's own timeline shows it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from dlt_dbt_cloud.run.elements import Html, el
from dlt_dbt_cloud.run.node import DBTCloudNode

MAX_THREADS: Final = 64
MAX_MARKS: Final = 5000


def timeline(nodes: Sequence[DBTCloudNode]) -> Iterator[Html]:
    """Yields a row for each thread, nothing if dbt did not say when nodes were worked on."""
    timed = [(node, node.started_at, node.completed_at) for node in nodes]
    known = [(n, start, end) for n, start, end in timed if start and end and start <= end]
    if not known:
        return
    first = min(start for _, start, _ in known)
    # The first and the last second of each node, since the first one began.
    marks = [
        (node, (start - first).total_seconds(), (end - first).total_seconds())
        for node, start, end in known[:MAX_MARKS]
    ]
    total = max(end for *_, end in marks) or 1.0
    threads: defaultdict[str, list[Html]] = defaultdict(list)
    for node, start, end in marks:
        threads[node.thread or "?"].append(_rect(node, start / total, end / total))
    rows = [_thread(name, rects) for name, rects in sorted(threads.items())[:MAX_THREADS]]
    yield el("div", *rows, class_="timeline")
    yield el("p", el("span", "0 s"), el("span", f"{total:.1f} s"), class_="axis note")


def _thread(name: str, rects: Sequence[Html]) -> Html:
    label = f"{name}: {len(rects)} nodes"
    box = {"viewBox": "0 0 1000 20", "preserveAspectRatio": "none"}
    drawn = el("svg", *rects, **box, role="img", aria_label=label)
    return el("div", el("span", name.partition(" ")[0], class_="thread"), drawn)


def _rect(node: DBTCloudNode, start: float, end: float) -> Html:
    """Returns the mark of a node, from one share of the whole time to another."""
    title = f"{node.name}: {node.status}, {node.execution_time:.2f} s"
    place = {"x": f"{1000 * start:.1f}", "width": f"{max(1.0, 1000 * (end - start)):.1f}"}
    return el("g", el("title", title), el("rect", **place, y=1, height=18, class_=node.tone))
