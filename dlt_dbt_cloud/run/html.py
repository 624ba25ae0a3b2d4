"""A run as HTML: the table in a notebook, and a page of its own. No script, no outside request."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from dlt_dbt_cloud._values import clock, seconds
from dlt_dbt_cloud.run import wording
from dlt_dbt_cloud.run.elements import Html, bar, el, join, link, pill, table
from dlt_dbt_cloud.run.fields import LoadedTables, RunFields, step_name
from dlt_dbt_cloud.run.log import DBTCloudRunError, logged_nodes, shortened, text_of_log
from dlt_dbt_cloud.run.node import DBTCloudNode
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
"""The order in which people want to see them."""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

STYLE_SHEET: Final = Path(__file__).with_name("page.css")
MAX_RUNS: Final = 100
"""Runs in the table of a notebook."""


def fragment(run: RunFields) -> Html:
    """Returns the table for a notebook: bounded, whatever the run."""
    parts = [
        _style(),
        el("p", el("strong", wording.title(run)), " ", *_outcome(run)),
        *_notes(run),
        *_causes(run, wording.MAX_NODES),
        _steps(run),
        *_slowest(run),
        *_link(run),
    ]
    return el("div", *parts, class_="dbt-run")


def fragment_of_many(runs: Sequence[RunFields]) -> Html:
    """Returns the table of runs for a notebook: those in trouble or in progress first."""
    first = sorted(runs, key=lambda run: TONE_ORDER.index(wording.tone(run)))
    rows = (
        (link(wording.title(it), it.url), _status(it), wording.times(it), wording.reason(it))
        for it in first[:MAX_RUNS]
    )
    shown = table("Runs", ("Run", "Status", "Time", ""), rows)
    return el("div", _style(), shown, el("p", wording.more(runs, MAX_RUNS)), class_="dbt-run")


def page(run: RunFields) -> str:
    """Returns a page that needs no other file."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{wording.outcome(run)}: {wording.title(run)}"),
        _style(),
    )
    main = el("main", *body(run), class_="dbt-run")
    return f"<!DOCTYPE html>\n{el('html', head, el('body', main), lang='en')}\n"


def body(run: RunFields, *, has_link: bool = True) -> Iterator[Html]:
    """Yields the sections of a page: what happened first, then why, then all else.

    Args:
        run: The run.
        has_link: Whether the page links to the one of dbt Cloud.
    """
    tests = [node for node in run.nodes if node.resource_type == "test"]
    others = [node for node in run.nodes if node.resource_type != "test"]
    yield el("h1", wording.title(run))
    yield el("p", *_outcome(run), class_="outcome", role="status", id="outcome")
    yield from _notes(run)
    yield from _link(run) if has_link else ()
    yield from _causes(run, MAX_ROWS)
    yield from _section("Steps", [_steps(run)] if run.steps else [])
    yield from _logged(run)
    yield from _section("Timeline by thread", timeline(run.nodes))
    yield from _slowest(run)
    yield from _nodes("Tests", tests)
    yield from _nodes("Models, seeds, snapshots", others)
    yield from _section("Load", _load(run.load) if run.load else [])
    yield from _section("Logs", _logs(run))


def _style() -> Html:
    return el("style", Html(STYLE_SHEET.read_text(encoding="utf-8")))


def _section(title: str, parts: Iterable[Html], id_: str = "") -> Iterator[Html]:
    if inner := list(parts):
        yield el("section", el("h2", title), *inner, id=id_ or _id_of(title))


def _id_of(title: str) -> str:
    return "-".join(title.lower().replace(",", "").split())


def _status(run: RunFields) -> Html:
    return pill(wording.outcome(run), wording.tone(run))


def _outcome(run: RunFields) -> Iterator[Html]:
    yield _status(run)
    if times := wording.times(run):
        yield join([f" {times}"])
    if counted := wording.counted(run):
        yield el("span", f" {counted}", class_="counts")


def _notes(run: RunFields) -> Iterator[Html]:
    return (el("p", note, class_="note") for note in wording.notes(run))


def _link(run: RunFields) -> Iterator[Html]:
    if run.url:
        yield el("p", link("Open in dbt Cloud", run.url))


def _causes(run: RunFields, shown: int) -> Iterator[Html]:
    """Yields what failed and why, the first ones opened, and what dbt warned of."""
    failed = [*map(_error, run.errors), *_details(run.failed_nodes, "bad", shown)]
    yield from _section("What failed", failed)
    yield from _section("Warnings", _details(run.warned_nodes, "warn", shown))


def _error(error: DBTCloudRunError) -> Html:
    title = [pill("error", "bad"), " ", el("strong", error.title), " ", error.place]
    hint = [el("p", error.hint)] if error.hint else []
    return el("details", el("summary", *title), _pre(error.message), *hint, open=True)


def _details(nodes: Sequence[DBTCloudNode], tone: str, shown: int) -> Iterator[Html]:
    for place, node in enumerate(nodes[:shown]):
        title = [pill(node.status, tone), " ", el("strong", node.name), " ", node.place]
        lines = wording.details(shortened(node.message, 2000))
        message = _pre("\n".join(lines) or "No message.")
        compiled = f"Compiled code: {node.compiled_path}"
        note = [el("p", compiled, class_="note")] if node.compiled_path else []
        is_open = tone == "bad" and place < wording.MAX_NODES
        yield el("details", el("summary", *title), message, *note, open=is_open)
    if rest := wording.more(nodes, shown):
        yield el("p", rest)


def _pre(text: str) -> Html:
    return el("pre", text, tabindex=0)


def _steps(run: RunFields) -> Html:
    steps = wording.steps(run)
    times = [seconds(step.duration) for step in steps]
    longest = max(times, default=0.0) or 1.0
    rows = (
        (_coded(it.name), pill(it.status, it.tone), it.duration, bar(time / longest, it.tone))
        for it, time in zip(steps, times, strict=True)
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
    return _section(f"Nodes so far: {done:,} of {total:,}", inner, "nodes")


def _slowest(run: RunFields) -> Iterator[Html]:
    title, nodes = "Slowest nodes", run.slowest_nodes
    longest = nodes[0].execution_time if nodes else 1.0
    rows = [
        (it.name, it.resource_type, _time(it), bar(it.execution_time / longest, it.tone))
        for it in nodes
    ]
    return _section(title, [table(title, ("Node", "Kind", "Time", ""), rows)] if rows else [])


def _nodes(title: str, nodes: Sequence[DBTCloudNode]) -> Iterator[Html]:
    """Yields all nodes, folded: what failed stands first."""
    rows = (
        (
            node.name,
            pill(node.status, node.tone),
            node.file,
            "" if node.rows_affected is None else f"{node.rows_affected:,} rows",
            f"{node.failures:,} rows found" if node.failures else "",
            _time(node),
        )
        for node in sorted(nodes, key=lambda node: TONE_ORDER.index(node.tone))[:MAX_ROWS]
    )
    heads = ("Name", "Status", "File", "Affected", "Failures", "Time")
    if nodes:
        head = el("summary", el("h2", f"{title} ({len(nodes):,})"))
        yield el("details", head, table(title, heads, rows), id=_id_of(title))


def _load(load: LoadedTables) -> Iterator[Html]:
    where = f" into dataset {load.dataset_name}" if load.dataset_name else ""
    yield el("p", f"Pipeline {load.pipeline_name}{where}: {', '.join(load.load_ids)}")
    if load.rows:
        rows = ((name, f"{number:,}") for name, number in load.rows.items())
        yield table("Loaded tables", ("Table", "Rows"), rows)


def _logs(run: RunFields) -> Iterator[Html]:
    for step in run.steps:
        if (log := text_of_log(step, MAX_LOG)).strip():
            title = f"{step_name(step)}, {clock(seconds(step.get('duration')))}"
            is_open = run.in_progress and step is run.steps[-1]
            yield el("details", el("summary", _coded(title)), _pre(log), open=is_open)


def _time(node: DBTCloudNode) -> str:
    return f"{node.execution_time:.{1 if node.execution_time >= 10 else 2}f} s"  # noqa: PLR2004


def _coded(text: str) -> Html:
    """Returns a text, with what stands between backticks as code."""
    parts = text.split("`")
    return join(el("code", part) if place % 2 else part for place, part in enumerate(parts))
