"""A run as HTML: the table in a notebook, and a page of its own. No script, no outside request."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from dlt_dbt_cloud._values import clock, seconds, str_of
from dlt_dbt_cloud.run.elements import Html, bar, el, join, link, pill, table
from dlt_dbt_cloud.run.fields import LoadedTables, RunFields, step_name
from dlt_dbt_cloud.run.log import DBTCloudRunError, logged_nodes, shortened, text_of_log
from dlt_dbt_cloud.run.node import DBTCloudNode
from dlt_dbt_cloud.run.reading import MAX_NODES, Reading, StepLine, details, more
from dlt_dbt_cloud.run.timeline import timeline

MAX_LOG: Final = 200_000
"""Characters of a step's log on a page."""
MAX_ROWS: Final = 5000
"""Nodes on a page."""
LOGGED_TONES: Final = {
    **dict.fromkeys(("error", "fail"), "bad"),
    "running": "open",
    "warn": "warn",
    "skip": "idle",
}
TONE_ORDER: Final = ("bad", "warn", "open", "idle", "good")
"""What a person wants to see first."""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

STYLE_SHEET: Final = Path(__file__).with_name("page.css")
MAX_RUNS: Final = 100
"""Runs in the table of a notebook."""


def fragment(reading: Reading) -> Html:
    """Returns the table for a notebook: bounded, whatever the run."""
    parts = [
        _style(),
        el("p", el("strong", reading.title), " ", *_outcome(reading)),
        *_notes(reading),
        *_causes(reading, MAX_NODES),
        _steps(reading.steps),
        *_slowest(reading.slowest),
        *([el("p", link("Open in dbt Cloud", reading.url))] if reading.url else ()),
    ]
    return el("div", *parts, class_="dbt-run")


def fragment_of_many(readings: Sequence[Reading]) -> Html:
    """Returns the table of runs for a notebook: those in trouble or in progress first."""
    first = sorted(readings, key=lambda reading: TONE_ORDER.index(reading.tone))
    rows = [
        (link(it.title, it.url), pill(it.outcome, it.tone), it.times, it.reason)
        for it in first[:MAX_RUNS]
    ]
    runs = table("Runs", ("Run", "Status", "Time", ""), rows)
    return el("div", _style(), runs, el("p", more(readings, MAX_RUNS)), class_="dbt-run")


def _style() -> Html:
    return el("style", Html(STYLE_SHEET.read_text(encoding="utf-8")))


def page(reading: Reading, run: RunFields) -> str:
    """Returns a page that needs no other file."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{reading.outcome}: {reading.title}"),
        _style(),
    )
    main = el("main", *body(reading, run), class_="dbt-run")
    return f"<!DOCTYPE html>\n{el('html', head, el('body', main), lang='en')}\n"


def body(reading: Reading, run: RunFields, *, has_link: bool = True) -> Iterator[Html]:
    """Yields the sections of a page: what happened first, then why, then all else.

    Args:
        reading: What is told.
        run: The run, for what only a page tells.
        has_link: Whether the page links to the one of dbt Cloud.
    """
    yield el("h1", reading.title)
    yield el("p", *_outcome(reading), class_="outcome", role="status", id="outcome")
    yield from _notes(reading)
    if reading.url and has_link:
        yield el("p", link("Open in dbt Cloud", reading.url))
    yield from _causes(reading, MAX_ROWS)
    yield from _section("Steps", [_steps(reading.steps)] if reading.steps else [])
    yield from _logged(run)
    yield from _section("Timeline by thread", timeline(run.nodes))
    yield from _slowest(reading.slowest)
    yield from _nodes("Tests", [node for node in run.nodes if node.resource_type == "test"])
    yield from _nodes(
        "Models, seeds, snapshots", [n for n in run.nodes if n.resource_type != "test"]
    )
    yield from _section("Load", _load(run.load) if run.load else [])
    yield from _section("Logs", _logs(run))


def _section(title: str, parts: Iterable[Html], id_: str = "") -> Iterator[Html]:
    inner = list(parts)
    if inner:
        yield el("section", el("h2", title), *inner, id=id_ or _id_of(title))


def _id_of(title: str) -> str:
    return "-".join(title.lower().replace(",", "").split())


def _outcome(reading: Reading) -> Iterator[Html]:
    yield pill(reading.outcome, reading.tone)
    yield join([f" {reading.times}"] if reading.times else [])
    if reading.counts:
        yield el("span", f" {reading.counted}", class_="counts")


def _notes(reading: Reading) -> Iterator[Html]:
    return (el("p", note, class_="note") for note in reading.notes)


def _causes(reading: Reading, shown: int) -> Iterator[Html]:
    """Yields what failed and why, the first ones opened, and what dbt warned of."""
    parts = [_error(error) for error in reading.errors]
    parts += [
        _failure(node, "bad", is_open=place < MAX_NODES)
        for place, node in enumerate(reading.failed[:shown])
    ]
    parts += _rest(reading.failed, shown)
    yield from _section("What failed", parts)
    warned = [_failure(node, "warn") for node in reading.warned[:shown]]
    yield from _section("Warnings", warned + _rest(reading.warned, shown))


def _rest(nodes: Sequence[DBTCloudNode], shown: int) -> list[Html]:
    rest = more(nodes, shown)
    return [el("p", rest)] if rest else []


def _error(error: DBTCloudRunError) -> Html:
    title = [pill("error", "bad"), " ", el("strong", error.title), " ", error.place]
    hint = [el("p", error.hint)] if error.hint else []
    return el("details", el("summary", *title), _pre(error.message), *hint, open=True)


def _failure(node: DBTCloudNode, tone: str, *, is_open: bool = False) -> Html:
    title = [pill(str_of(node.status), tone), " ", el("strong", node.name), " ", node.place]
    message = "\n".join(details(shortened(str_of(node.message), 2000))) or "No message."
    compiled = f"Compiled code: {node.compiled_path}"
    more_ = [el("p", compiled, class_="note")] if node.compiled_path else []
    return el("details", el("summary", *title), _pre(message), *more_, open=is_open)


def _pre(text: str) -> Html:
    return el("pre", text, tabindex=0)


def _steps(steps: Sequence[StepLine]) -> Html:
    longest = max((seconds(step.duration) for step in steps), default=0.0) or 1.0
    rows = (
        (
            _coded(step.name),
            pill(step.status, step.tone),
            step.duration,
            bar(seconds(step.duration) / longest, step.tone),
        )
        for step in steps
    )
    return table("Steps", ("Step", "Status", "Time", ""), rows)


def _logged(run: RunFields) -> Iterator[Html]:
    """Yields the nodes of the running step as far as its log tells them, the newest first."""
    nodes, total = logged_nodes(run.steps[-1]) if run.in_progress and run.steps else ([], 0)
    done = sum(node.status != "running" for node in nodes)
    rows = [
        (node.name, pill(node.status, LOGGED_TONES.get(node.status, "good")), node.note)
        for node in reversed(nodes[-MAX_ROWS:])
    ]
    inner = [table("Nodes so far", ("Node", "Status", ""), rows)] if rows else []
    yield from _section(f"Nodes so far: {done:,} of {total:,}", inner, "nodes")


def _slowest(nodes: Sequence[DBTCloudNode]) -> Iterator[Html]:
    longest = nodes[0].execution_time if nodes else 1.0
    rows = [
        (
            node.name,
            node.resource_type,
            _seconds(node),
            bar(node.execution_time / longest, node.tone),
        )
        for node in nodes
    ]
    yield from _section(
        "Slowest nodes",
        [table("Slowest nodes", ("Node", "Kind", "Time", ""), rows)] if rows else [],
    )


def _nodes(title: str, nodes: Sequence[DBTCloudNode]) -> Iterator[Html]:
    """Yields all nodes, folded: what failed stands first."""
    shown = sorted(nodes, key=lambda node: TONE_ORDER.index(node.tone))[:MAX_ROWS]
    rows = (
        (
            node.name,
            pill(str_of(node.status), node.tone),
            node.file,
            "" if node.rows_affected is None else f"{node.rows_affected:,} rows",
            "" if not node.failures else f"{node.failures:,} rows found",
            _seconds(node),
        )
        for node in shown
    )
    heads = ("Name", "Status", "File", "Affected", "Failures", "Time")
    if nodes:
        inner = table(title, heads, rows)
        head = el("summary", el("h2", f"{title} ({len(nodes):,})"))
        yield el("details", head, inner, id=_id_of(title))


def _load(load: LoadedTables) -> Iterator[Html]:
    where = f" into dataset {load.dataset_name}" if load.dataset_name else ""
    yield el("p", f"Pipeline {load.pipeline_name}{where}: {', '.join(load.load_ids)}")
    if load.rows:
        rows = ((name, f"{number:,}") for name, number in load.rows.items())
        yield table("Loaded tables", ("Table", "Rows"), rows)


def _logs(run: RunFields) -> Iterator[Html]:
    for step in run.steps:
        log = text_of_log(step, MAX_LOG)
        if log.strip():
            title = f"{step_name(step)}, {clock(seconds(step.get('duration')))}"
            is_open = run.in_progress and step is run.steps[-1]
            yield el("details", el("summary", _coded(title)), _pre(log), open=is_open)


def _seconds(node: DBTCloudNode) -> str:
    return f"{node.execution_time:.{1 if node.execution_time >= 10 else 2}f} s"  # noqa: PLR2004


def _coded(text: str) -> Html:
    """Returns a text, with what stands between backticks as code."""
    parts = text.split("`")
    return join(el("code", part) if place % 2 else part for place, part in enumerate(parts))
