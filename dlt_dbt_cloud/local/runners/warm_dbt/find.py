"""Finds what a path names."""

from __future__ import annotations

import importlib
import sys
from functools import reduce
from typing import Any


def find(path: str) -> Any:
    """Find what a path names, `module:name.name`."""
    name, _, names = path.partition(":")
    module = sys.modules.get(name) or importlib.import_module(name)
    return reduce(getattr, filter(None, names.split(".")), module)
