"""Reads values of a server, whatever their types are. Nothing here raises."""

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

MAX_INT: Final = 10**18
"""Numbers of the API are smaller: its longest ids have 14 digits."""
MAX_TEXT: Final = 2000
"""Maximum number of characters of a text that a person gets to see."""

DROPPED: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\r")
"""Colours and the like of a terminal, and the first half of Windows' line ends."""
UNPRINTABLE: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and line feed, what turns the direction of text, lone surrogates."""


def printable(text: str) -> str:
    """Returns a text of a server without anything that steers a terminal or can't be encoded."""
    return UNPRINTABLE.sub("\ufffd", DROPPED.sub("", text))


def int_of(value: Any) -> int | None:
    """Returns a number of the API, which may come as a string. None if it is no such number."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    is_int = type(value) is int  # not a bool
    return value if is_int and -MAX_INT < value < MAX_INT else None


def str_of(value: Any) -> str:
    """Returns a text or number of the API for a person to read, "" if it is neither."""
    if isinstance(value, str):
        text = printable(value[:MAX_TEXT])
        return text if len(value) <= MAX_TEXT else f"{text}…"
    return "" if int_of(value) is None else str(value)


def list_of(value: Any) -> list[Any]:
    """Returns a list of the API, an empty one if it is none."""
    return value if isinstance(value, list) else []


def dict_of(value: Any) -> Mapping[str, Any]:
    """Returns an object of the API, an empty one if it is none."""
    return value if isinstance(value, dict) else {}


def seconds(duration: Any) -> float:
    """Returns the seconds in a duration of the API: `HH:MM:SS`, also with more than 23 hours."""
    text = duration if isinstance(duration, str) else ""
    parts = re.fullmatch(r"([0-9]{1,9}):([0-9]{2}):([0-9]{2})", text)
    return 3600.0 * int(parts[1]) + 60 * int(parts[2]) + int(parts[3]) if parts else 0.0


def clock(duration: float) -> str:
    """Returns seconds as the API writes durations."""
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


def moment(value: Any) -> datetime | None:
    """Returns a point in time. The API and dbt write them in UTC, with or without saying so."""
    text = value if isinstance(value, str) else ""
    try:
        # Python 3.10 does not read the Z.
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
