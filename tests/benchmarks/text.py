"""The plain text of the report."""

from collections.abc import Iterable, Iterator, Sequence


def title(text: str) -> Iterator[str]:
    """Yields a title, underlined."""
    yield text
    yield "-" * len(text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table: the first column to the left, numbers to the right."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for first, *rest in lines:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def reach(what: str, *, holds: bool) -> str:
    """Returns a line that says whether an aim was reached."""
    return f"{'reached' if holds else 'MISSED '}  {what}"
