"""Narrows the steps of a job to what is downstream of some sources."""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Final

NARROWED: Final = frozenset({"build", "run", "snapshot", "test"})
"""The commands that are narrowed."""

KEPT: Final = frozenset(
    {"clean", "compile", "debug", "deps", "docs", "list", "ls", "parse", "run-operation"}
    | {"seed", "show", "source"}
)
"""The commands that build nothing from what a load has changed. They stay as they are."""

WITH_VALUE: Final = frozenset(
    {"--defer-state", "--deprecated-defer", "--deprecated-favor-state", "--deprecated-state"}
    | {"--indirect-selection", "--log-file-max-bytes", "--log-format", "--log-format-file"}
    | {"--log-level", "--log-level-file", "--log-path", "--partial-parse-file-path"}
    | {"--printer-width", "--profile", "--record-timing-info", "--state", "--target"}
    | {"--warn-error-options", "-r", "-t"}
)
"""dbt's options that take a value and may stand before the command."""

SELECT: Final = frozenset({"--select", "-s", "--models", "--model", "-m"})

MAX_LENGTH: Final = 4000
"""Maximum number of characters of all steps. How many the API takes is not documented."""


class UnsureError(Exception):
    """Everything has to be built. The message says why."""


def narrow(steps: Sequence[str], terms: Sequence[str], *, has_default: bool = False) -> list[str]:
    """Returns the steps, each narrowed to what it has in common with the terms.

    Args:
        steps: dbt commands.
        terms: dbt's selectors, e.g. `source:shop.orders+`.
        has_default: Whether the project has a default selector, which `--select` would turn off.

    Raises:
        UnsureError: A step can't be narrowed, or becomes too long.
    """
    narrowed = [_narrowed(step, terms, has_default=has_default) for step in steps]
    length = sum(map(len, narrowed))
    if length > MAX_LENGTH:
        raise UnsureError(f"the narrowed steps would have {length:,} characters")
    return narrowed


def _narrowed(step: str, terms: Sequence[str], *, has_default: bool) -> str:
    try:
        words = shlex.split(step)
    except ValueError:
        raise UnsureError(f"the step `{step}` can't be read") from None
    command = command_of(words)
    if command in KEPT:
        return step
    own, rest = _split(words)
    has_selector = any(word.split("=")[0] == "--selector" for word in rest)
    has_glued = any(re.match(r"-[sm].", word) for word in rest)  # `-sorders`
    selects = bool(own) or any(word.split("=")[0] == "--exclude" for word in rest)
    if command not in NARROWED or has_selector or has_glued or (has_default and not selects):
        raise UnsureError(f"the step `{step}` can't be narrowed")
    both = [f"{mine},{term}" for mine in own for term in terms] or list(terms)
    return f"{shlex.join(rest)} --select {shlex.join(both)}"


def command_of(words: Sequence[str]) -> str | None:
    """Returns the dbt command, after dbt's global options. None if there is none."""
    rest = iter(words[1:] if words[:1] == ["dbt"] else ())
    for word in rest:
        if not word.startswith("-"):
            return word
        if word in WITH_VALUE:
            next(rest, None)
    return None


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns what a command selects, and the rest of it. dbt takes all words up to an option."""
    own: list[str] = []
    rest: list[str] = []
    is_own = False
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            is_own = name in SELECT
            word = value if is_own and equals else word  # noqa: PLW2901
            if is_own and not equals:
                continue
        if is_own:
            own += word.split()
        else:
            rest.append(word)
    return own, rest


def sources_in(steps: Iterable[str]) -> list[str]:
    """Returns the terms to which the steps were narrowed, in their order."""
    found = re.findall(r"\bsource:[\w.-]+\+(?=[\s']|$)", "\n".join(steps))
    return list(dict.fromkeys(found))
