"""Checks settings, and brings each to one form.

A check takes the name and the value of a setting. It returns the value in the form that everything
else relies on, or raises an `InvalidCredentialsException` with a message that shows no token.
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from dlt_dbt_cloud._settings.messages import malformed, missing
from dlt_dbt_cloud._settings.places import active_pipeline_name, places
from dlt_dbt_cloud.exceptions import InvalidCredentialsException


def token(name: str, value: Any) -> str:
    """Returns a token without surrounding white space, as files and shells tend to add it."""
    text = str(value or "").strip()
    if not re.fullmatch(r"[!-~]*", text):
        # The message does not show the token.
        raise InvalidCredentialsException(
            f"Invalid `{name}`: it has characters that no token has, maybe a space or a line"
            " break. Copy the token alone, without `Token ` or `Bearer ` before it."
        )
    return text


def checked_id(name: str, value: Any) -> int:
    """Returns an id as an int. Newer accounts have ids of 14 digits.

    Raises:
        InvalidCredentialsException: If it is neither an `int` nor a `str` of digits.
    """
    text = "" if isinstance(value, bool) else str(value).strip()
    if not re.fullmatch(r"[0-9]{1,18}", text) or not int(text):
        raise malformed(name, "a number as in dbt Cloud's address bar, an int or digits", value)
    return int(text)


def required_id(name: str, value: Any) -> int:
    """Returns an id as an int.

    Raises:
        InvalidCredentialsException: If it is missing or malformed.
    """
    if value in (None, ""):
        raise missing([name], places(active_pipeline_name()))
    return checked_id(name, value)


def digits(name: str, value: Any) -> str | None:
    """Returns an id as digits, None if there is none. A run or a job stands for its id."""
    value = value.get("id") if isinstance(value, Mapping) else value
    return None if value in (None, "") else str(checked_id(name, value))


def not_negative(name: str, value: Any) -> Any:
    """Returns a number of seconds or times."""
    if not _is_number(value):
        raise malformed(name, "a number >= 0", value)
    return value


def positive(name: str, value: Any) -> Any:
    """Returns a number of seconds or bytes."""
    if not _is_number(value) or not value:
        raise malformed(name, "a number > 0", value)
    return value


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf


def whole(name: str, value: Any) -> int | None:
    """Returns a whole number, None if there is none."""
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,18}", str(value).strip()):
        raise malformed(name, "a whole number", value)
    return int(value)


def text(name: str, value: Any) -> str | None:
    """Returns a text without surrounding white space, None if there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise malformed(name, "a text", value)
    return None if value is None else str(value).strip() or None


def flag(name: str, value: Any) -> Any:
    """Returns a boolean. A text is none: `"false"` would be true."""
    if value not in (None, True, False):
        raise malformed(name, "true or false", value)
    return value


def steps(name: str, value: Any) -> Any:
    """Returns a list of steps. Of one string the letters would become the steps."""
    is_list = isinstance(value, list | tuple) and all(isinstance(step, str) for step in value)
    if value is not None and not is_list:
        raise malformed(name, 'a list of dbt commands, e.g. ["dbt build"]', value)
    return value


def api_v2_url(base_api_url: str) -> str:
    """Returns the base of all requests, `https://HOST/api/v2`.

    Args:
        base_api_url: What people have at hand: `ab123.us1.dbt.com`, `https://ab123.us1.dbt.com`,
            with or without `/api`, `/api/v2` and a trailing slash.

    Raises:
        InvalidCredentialsException: If it is no URL of a host, or not https and not loopback.
    """
    return url("base_api_url", base_api_url)


def url(name: str, value: Any) -> str:
    """Returns the base of all requests."""
    text = str(value).strip()
    parts = _split(name, text if "://" in text else f"https://{text}")
    api = parts.path.rstrip("/").removesuffix("/v2")
    prefix = api.removesuffix("/api")
    is_page = bool(prefix) and prefix == api  # of dbt Cloud's user interface, say
    has_more = is_page or "@" in parts.netloc or parts.query or parts.fragment
    host = parts.hostname or ""
    if has_more or not re.fullmatch(r"[\w:][\w.:-]*", host):
        raise _no_url(name, text)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise InvalidCredentialsException(
            f"Invalid `{name}`: it must use https, because plain {parts.scheme} would expose the"
            f" token on the way to {host}. Only a server on this machine may use http."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{prefix}/api/v2"


def _split(name: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # raises if it is no number
    except ValueError:
        raise _no_url(name, text) from None
    return parts


def _no_url(name: str, text: str) -> InvalidCredentialsException:
    expected = (
        "the access URL of the account (Account settings, Access URLs), e.g."
        " https://ab123.us1.dbt.com"
    )
    return malformed(name, expected, text.rpartition("@")[2])


def is_loopback(host: str) -> bool:
    """Returns True if requests to the host stay on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
