"""Explains what is wrong with settings, without showing a token."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from dlt_dbt_cloud._settings.lookup import SECTION, Place
from dlt_dbt_cloud.exceptions import InvalidCredentialsException

MIN_SECRET: Final = 8
"""Minimum length of a secret. Tokens have 40 and more, and `t` is part of many words."""

DBT_TOKEN: Final = re.compile(r"\bdbt[a-z]_[\w+/=-]{8,}")
"""A token of dbt Cloud, by its prefix."""


def malformed(name: str, expected: str, value: Any) -> InvalidCredentialsException:
    """Returns the exception for an invalid setting."""
    shown = redacted(repr(value), ())
    return InvalidCredentialsException(f"Invalid `{name}`: {shown}. Expected {expected}.")


def missing(names: Sequence[str], places: Sequence[Place]) -> InvalidCredentialsException:
    """Returns the exception for settings that nothing provides, with the TOML to write."""
    shown = [f"`{name}`" for name in names]
    listed = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    keys = "".join(
        f"  {place.key(name)} ({place.provider.name})\n"
        for name in names
        for place in places
        if place.may_hold(name)
    )
    notes = {"job_id": "  # or job_name"}
    toml = "".join(f'{name} = "..."{notes.get(name, "")}\n' for name in names)
    return InvalidCredentialsException(
        f"{listed} {'is' if len(names) == 1 else 'are'} missing."
        f"{' Looked in:' if keys else ''}\n{keys}"
        f"Pass as arguments, or add to .dlt/secrets.toml:\n\n[{SECTION}]\n{toml}"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns "Did you mean ...?" with the most similar known name, or an empty text."""
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Returns a text without tokens: those given, and those that look like one."""
    words = {word for secret in secrets for word in (secret.strip(), *secret.split())}
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= MIN_SECRET:
            shown = f"{re.escape(word)}|{re.escape(repr(word)[1:-1])}"
            text = re.sub(shown, "***", text, flags=re.IGNORECASE)  # hosts are in lower case
    return DBT_TOKEN.sub("***", text)
