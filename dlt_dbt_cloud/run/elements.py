"""Builds HTML in which every text is escaped."""

from collections.abc import Iterable
from html import escape
from typing import Final

from dlt_dbt_cloud._values import printable

VOID: Final = frozenset({"meta", "link", "rect", "input"})


class Html(str):
    """A text that is HTML."""

    __slots__ = ()


def join(parts: Iterable[str], separator: str = "") -> Html:
    """Returns the joined parts. Those that are no `Html` are escaped."""
    return Html(
        separator.join(it if isinstance(it, Html) else escape(printable(it)) for it in parts)
    )


def el(tag: str, *children: str, **attributes: object) -> Html:
    """Returns an element. Children that are no `Html` are text.

    Args:
        tag: Its name.
        children: What is in it.
        attributes: True is an attribute without value, None and False omit it. An underscore at
            the end of a name is dropped, others become hyphens.
    """
    pairs = (
        (name.rstrip("_").replace("_", "-"), value)
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    written = "".join(
        f" {name}" if value is True else f' {name}="{escape(printable(str(value)))}"'
        for name, value in pairs
    )
    return Html(f"<{tag}{written}>" + ("" if tag in VOID else f"{join(children)}</{tag}>"))


def link(text: str, url: str, **attributes: object) -> Html:
    """Returns a link, or only the text if the URL is not one of the web."""
    is_page = url.startswith(("https://", "http://"))
    return el("a", text, href=url, rel="noreferrer", **attributes) if is_page else join([text])


def pill(text: str, tone: str) -> Html:
    """Returns a status in the colour of its tone."""
    return el("span", text, class_=f"pill {tone}")


def table(
    title: str, heads: Iterable[str], rows: Iterable[Iterable[str]], **attributes: object
) -> Html:
    """Returns a table that can be scrolled on a narrow screen. The first column names the row."""
    head = el("tr", *(el("th", text, scope="col") if text else el("td") for text in heads))
    body = (
        el("tr", el("th", first, scope="row"), *(el("td", cell) for cell in cells))
        for first, *cells in rows
    )
    inner = el("table", el("thead", head), el("tbody", *body), **attributes)
    return el("div", inner, class_="scroll", tabindex=0, role="region", aria_label=title)


def bar(share: float, tone: str) -> Html:
    """Returns a bar that takes a share of the width: decoration, the number stands beside it."""
    width = max(0.4, round(100 * min(max(share, 0.0), 1.0), 2))
    shape = el("rect", x=0, y=0, width=width, height=10, class_=tone)
    box = {"viewBox": "0 0 100 10", "preserveAspectRatio": "none"}
    return el("svg", shape, class_="bar", **box, aria_hidden="true")
