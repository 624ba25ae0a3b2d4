"""Finds what a path names."""

from __future__ import annotations

import importlib
from functools import reduce
from typing import Any


def find(path: str) -> Any:
    """Find what a path names, `module:name.name`."""
    module, _, names = path.partition(":")
    return reduce(getattr, filter(None, names.split(".")), importlib.import_module(module))
