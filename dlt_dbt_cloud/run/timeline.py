"""When each thread of dbt worked on which node, as dbt's own timeline shows it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from dlt_dbt_cloud.run.elements import Html, el
from dlt_dbt_cloud.run.node import DBTCloudNode

MAX_THREADS: Final = 64
MAX_MARKS: Final = 5000


class Mark(NamedTuple):
    """A node on the timeline: when it began and ended, in seconds since the first began."""

    node: DBTCloudNode
    start: float
    end: float


def timeline(nodes: Sequence[DBTCloudNode]) -> Iterator[Html]:
    """Yields a row for each thread, nothing if dbt did not say when nodes were worked on."""
    timed = [(node, node.started_at, node.completed_at) for node in nodes]
    known = [(n, start, end) for n, start, end in timed if start and end and start <= end]
    if not known:
        return
    first = min(start for _, start, _ in known)
    threads: defaultdict[str, list[Mark]] = defaultdict(list)
    for node, start, end in known[:MAX_MARKS]:
        threads[node.thread or "?"].append(Mark(node, _since(first, start), _since(first, end)))
    total = max(mark.end for marks in threads.values() for mark in marks) or 1.0
    rows = [_thread(name, marks, total) for name, marks in sorted(threads.items())[:MAX_THREADS]]
    yield el("div", *rows, class_="timeline")
    yield el("p", el("span", "0 s"), el("span", f"{total:.1f} s"), class_="axis note")


def _thread(name: str, marks: Sequence[Mark], total: float) -> Html:
    rects = [_rect(mark, total) for mark in marks]
    label = f"{name}: {len(marks)} nodes"
    box = {"viewBox": "0 0 1000 20", "preserveAspectRatio": "none"}
    drawn = el("svg", *rects, **box, role="img", aria_label=label)
    return el("div", el("span", name.partition(" ")[0], class_="thread"), drawn)


def _rect(mark: Mark, total: float) -> Html:
    width = max(1.0, 1000 * (mark.end - mark.start) / total)
    title = f"{mark.node.name}: {mark.node.status}, {mark.node.execution_time:.2f} s"
    place = {"x": f"{1000 * mark.start / total:.1f}", "width": f"{width:.1f}"}
    return el("g", el("title", title), el("rect", **place, y=1, height=18, class_=mark.node.tone))


def _since(first: datetime, moment: datetime) -> float:
    return (moment - first).total_seconds()
