"""A run as Markdown, for GitHub's step summary, a pull request, Slack and the like."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from dlt_dbt_cloud._values import str_of
from dlt_dbt_cloud.run import wording
from dlt_dbt_cloud.run.fields import RunFields
from dlt_dbt_cloud.run.log import DBTCloudRunError, shortened
from dlt_dbt_cloud.run.node import DBTCloudNode

MARKS: Final = {"good": "✅", "bad": "❌", "warn": "⚠️", "open": "⏳"}
SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~-])")


def markdown_of(run: RunFields) -> str:
    """Returns a run as Markdown."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: RunFields) -> Iterator[str]:
    title = _link(wording.title(run), run.url)
    yield f"### {MARKS[wording.tone(run)]} {title}: {escaped(wording.outcome(run))}"
    told = [wording.times(run), wording.counted(run), *wording.notes(run)]
    yield from (line for text in told if text for line in ("", escaped(text)))
    for error in run.errors:
        yield from _error(error)
    yield from _nodes("❌", run.failed_nodes)
    yield from _nodes("⚠️", run.warned_nodes)
    steps = wording.steps(run)
    if steps:
        yield from ("", "| Step | Status | Time |", "| --- | --- | --- |")
    for step in steps:
        yield f"| {escaped(step.name)} | {escaped(step.status)} | {escaped(step.duration)} |"
    if run.load:
        rows = ", ".join(f"{name} {number:,}" for name, number in run.load.rows.items())
        yield from ("", escaped(f"Load of pipeline {run.load.pipeline_name}: {rows}"))


def _error(error: DBTCloudRunError) -> Iterator[str]:
    place = f" in `{_code(error.place)}`" if error.place else ""
    yield from ("", f"❌ {escaped(error.title)}{place}")
    yield from ("", *_block(error.message))
    if error.hint:
        yield from ("", escaped(error.hint))


def _nodes(mark: str, nodes: Sequence[DBTCloudNode]) -> Iterator[str]:
    for node in nodes[: wording.MAX_NODES]:
        place = f" `{_code(node.place)}`" if node.place else ""
        yield from ("", f"{mark} **{escaped(node.name)}** ({escaped(node.status)}){place}")
        if message := shortened(node.message):
            yield from ("", *_block(message))
    if rest := wording.more(nodes):
        yield from ("", rest)


def _block(text: str) -> Iterator[str]:
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall(r"`+", text)), 3)
    yield from (f"{fence}text", *wording.details(text), fence)


def escaped(text: str) -> str:
    """Returns a text on one line, with Markdown's special characters escaped."""
    return SPECIAL.sub(r"\\\1", " ".join(str_of(text).split()))


def _code(text: str) -> str:
    return text.replace("`", "'")


def _link(text: str, url: str) -> str:
    target = url.replace("<", "%3C").replace(">", "%3E")
    is_page = url.startswith(("https://", "http://"))
    return f"[{escaped(text)}](<{target}>)" if is_page else escaped(text)
