"""Checks settings, and brings each to one form. No message shows a token."""

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from typing import Any, Final, get_origin

from dlt.common.configuration.specs.base_configuration import extract_inner_hint
from dlt.common.typing import is_optional_type

from dlt_dbt_cloud._settings.lookup import active_pipeline_name, places
from dlt_dbt_cloud._settings.messages import malformed, missing
from dlt_dbt_cloud.exceptions import InvalidCredentialsException

PLAIN_HTTP_HOST: Final = "DBT_CLOUD_PLAIN_HTTP_HOST"
POSITIVE: Final = ("request_timeout", "max_artifact_bytes", "run_key_window")
"""Settings that must not be 0: nothing would be in time, or small enough."""

CHOICES: Final = {"progress": ("auto", "off")}
"""Settings that are one of a few words."""

MAX_PORT: Final = 2**16 - 1
URL: Final = re.compile(
    r"(?:(?P<scheme>\w+)://)?(?P<netloc>(?P<host>\[[\da-fA-F:.]+\]|\w[\w.-]*)(?::(?P<port>[0-9]{1,5}))?)"
    r"(?:(?P<prefix>(?:/[^\s/?#]+)*?)/api(?:/v2)?)?/*"
)


def checked(name: str, hint: Any, value: Any) -> Any:
    """Returns a setting in the form that everything else relies on, by its name and its type."""
    inner = extract_inner_hint(hint)
    kind = get_origin(inner) or inner
    if name == "api_token":
        return _token(name, str(value or "").strip())
    if name == "base_api_url":
        return api_v2_url(value)
    if is_optional_type(hint) and value in (None, ""):
        return None
    if kind is str and name.endswith("_id"):  # a run or a job stands for its id
        return str(checked_id(name, value.get("id") if isinstance(value, Mapping) else value))
    if kind in (int, float):
        return _number(name, kind, value, is_sent=is_optional_type(hint))
    if name in CHOICES:
        expected, is_right = " or ".join(f"`{it}`" for it in CHOICES[name]), value in CHOICES[name]
    elif kind is bool:
        expected, is_right = "true or false", value in (True, False)
    elif kind is list:  # else the letters of one string would become the steps
        is_right = isinstance(value, list | tuple) and all(isinstance(step, str) for step in value)
        expected = 'a list of dbt commands, e.g. ["dbt build"]'
    else:
        expected, is_right = "a string", isinstance(value, str | int | float)
        value = str(value)
    if not is_right:
        raise malformed(name, expected, value)
    return value


def _number(name: str, kind: type, value: Any, *, is_sent: bool) -> Any:
    """Returns a number: any whole one for the API, else seconds, counts or bytes."""
    text = "" if isinstance(value, bool) else str(value).strip()
    if is_sent and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_right = is_number and 0 <= value < math.inf and (value or name not in POSITIVE)
    if is_sent or not is_right or value != kind(value):
        limit = "" if is_sent else " > 0" if name in POSITIVE else " >= 0"
        raise malformed(name, f"a {'whole ' if kind is int else ''}number{limit}", value)
    return int(value) if kind is int else value


def _token(name: str, text: str) -> str:
    if not re.fullmatch(r"[!-~]*", text):
        raise InvalidCredentialsException(
            f"Invalid `{name}`: it has characters that no token has, maybe a space or a line"
            " break. Copy the token alone, without `Token ` or `Bearer ` before it."
        )
    return text


def checked_id(name: str, value: Any) -> int:
    """Returns an id, given as an `int` or digits. Newer accounts have ids of 14 digits."""
    text = "" if isinstance(value, bool) else str(value).strip()
    if not re.fullmatch(r"[0-9]{1,18}", text) or not int(text):
        raise malformed(name, "the numeric id from the URL in dbt Cloud", value)
    return int(text)


def required_id(name: str, value: Any) -> int:
    """Returns an id that must be there, or raises an `InvalidCredentialsException`."""
    if value in (None, ""):
        raise missing([name], places(active_pipeline_name()))
    return checked_id(name, value)


def api_v2_url(base_api_url: str) -> str:
    """Returns the base URL of all requests, `https://HOST/api/v2`, from what the user has.

    That is a host or a URL, with or without `/api`, `/api/v2` and a trailing slash.
    """
    text = str(base_api_url).strip()
    url = URL.fullmatch(text)
    if not url or int(url["port"] or 0) > MAX_PORT:
        raise malformed(
            "base_api_url",
            "the access URL of the account (Account settings, Access URLs), e.g."
            " https://ab123.us1.dbt.com",
            text.rpartition("@")[2],
        )
    scheme, host = (url["scheme"] or "https").lower(), url["host"]
    if scheme != "https" and not (scheme == "http" and may_use_http(host.strip("[]"))):
        raise InvalidCredentialsException(
            f"Invalid `base_api_url`: it must use https, because plain {scheme} would expose the"
            f" token on the way to {host}. Only a server on this machine may use http."
        )
    return f"{scheme}://{url['netloc'].lower()}{url['prefix'] or ''}/api/v2"


def may_use_http(host: str) -> bool:
    """Returns True if the token may go to the host over plain HTTP.

    That is a host on this machine, or the one that `DBT_CLOUD_PLAIN_HTTP_HOST` names: a local dbt
    Cloud in another container, which was started with the same name.
    """
    return is_loopback(host) or host == os.environ.get(PLAIN_HTTP_HOST)


def is_loopback(host: str) -> bool:
    """Returns True if requests to the host stay on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
