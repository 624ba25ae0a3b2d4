"""What a broken or hostile server may write into any field of a body."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

Path = tuple[str | int, ...]

DEEP: Final = 100_000
VALUES: Final = {
    "null": "null",
    "true": "true",
    "negative": "-1",
    "NaN": "NaN",
    "overflow": "1e999",
    "huge": "1" + 30 * "0",
    "no text": '""',
    "digits": '"' + 5000 * "9" + '"',
    "long text": '"' + 1000 * "%s {0} " + '"',
    "lone surrogate": r'"\ud800 \udfff"',
    "controls": r'"\u0000\u001b[31m\u0007\u202e\r\n\u2028"',
    "a time out of range": '"9999-12-31T23:59:59.999999-23:59"',
    "list": '[[{"": [null, {"id": [], "index": {}}]}]]',
    "object": '{"id": null, "cause": null, "name": [], "status": {}}',
}
"""Written instead of a field's value."""

UNREADABLE: Final = {
    "5,000 digits": 5000 * "9",
    "100,000 levels of lists": DEEP * "[" + DEEP * "]",
    "100,000 levels of objects": DEEP * '{"a":' + "1" + DEEP * "}",
    "101 levels": 101 * "[" + 101 * "]",
    "no JSON": "}",
}
"""Values that make the whole body unreadable, in whichever field."""

MARK: Final = "@mutated@"


def fields(body: Any, path: Path = ()) -> Iterator[Path]:
    """Yields the place of each field, of lists only of their last item."""
    if path:
        yield path
    if isinstance(body, dict):
        for name, value in body.items():
            yield from fields(value, (*path, name))
    elif isinstance(body, list) and body:
        yield from fields(body[-1], (*path, len(body) - 1))


def mutated(body: Any, path: Path, value: str | None = f'"{MARK}"') -> str:
    """Returns a body as JSON with another value, itself JSON, in a field. None leaves it out."""
    copy = json.loads(json.dumps(body))
    parent = copy
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = MARK
    if value is None:
        del parent[path[-1]]
    return json.dumps(copy).replace(f'"{MARK}"', value or "")


def mutations(body: Any, values: dict[str, str] = VALUES) -> Iterator[tuple[str, str]]:
    """Yields each mutation of a body: its name, and the body as JSON."""
    for path in fields(body):
        marked = mutated(body, path)
        for name, value in values.items():
            yield f"{path} is {name}", marked.replace(f'"{MARK}"', value)
        yield f"{path} is missing", mutated(body, path, None)


def changes(body: Any) -> Iterator[tuple[str, Callable[[Any], str]]]:
    """Yields each mutation of a field, for whichever body has the field."""
    for path in fields(body):
        for name, value in {**VALUES, "missing": None}.items():
            yield f"{path} is {name}", partial(changed, path=path, value=value)


def changed(body: Any, path: Path, value: str | None) -> str:
    """Returns a body as JSON, mutated if it has the field."""
    try:
        return mutated(body, path, value)
    except (LookupError, TypeError):
        return json.dumps(body)
