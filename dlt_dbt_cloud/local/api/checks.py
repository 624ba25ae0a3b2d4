"""The types of values in queries and bodies, refused in the words of Python's jsonschema."""

from __future__ import annotations

from reprlib import repr as brief
from typing import Any, Final

_TYPES: Final = {"array": list, "boolean": bool, "integer": int, "string": str}


def typed(value: Any, name: str) -> Any:
    """Returns a value that is of a type of JSON.

    Raises:
        ValueError: It is of another type.
    """
    is_one = isinstance(value, _TYPES[name])
    if not is_one or (name == "integer" and isinstance(value, bool)):
        raise ValueError(f"{brief(value)} is not of type {name!r}")
    return value
