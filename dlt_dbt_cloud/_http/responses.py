"""What the API answers, turned into data or an exception: pure functions."""

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.exceptions import HTTPError as Urllib3Error

from dlt_dbt_cloud.exceptions import (
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)

RATE_LIMIT_COOLDOWN: Final = 300.0
"""Seconds for which an account over its rate limit is shut out. No header is promised that would
tell (docs.getdbt.com, API rate limits)."""

HOST_HINT: Final = (
    "Is `base_api_url` the access URL of the account (Account settings, Access URLs)?"
)
HINTS: Final = {
    401: f"Another region's host does not know the token either. {HOST_HINT}",
    403: "Is `account_id` the account of the token, and may the token do this?",
    404: "It does not exist in this account, or the token may not see it.",
}
MAX_DETAIL: Final = 500
"""Characters of an answer that a message shows at most."""


def text_of(response: requests.Response) -> str:
    """Returns the text of an answer. The API's JSON is UTF-8, also where it names no charset."""
    return response.content.decode("utf-8", errors="replace")


def decode_envelope(url: str, text: str, redact: Callable[[str], str] = str) -> dict[str, Any]:
    """Returns the API's envelope.

    Raises:
        DBTCloudResponseException: If the text is something else than the API's JSON.
    """
    try:
        envelope = json.loads(text)
    except ValueError:
        envelope = None
    if isinstance(envelope, dict) and "data" in envelope:
        return envelope
    raise DBTCloudResponseException(
        f"{url} answered, but not with the API's JSON: {shortened(redact(text))!r}. {HOST_HINT}",
        url=url,
    )


def checked_list(url: str, envelope: Mapping[str, Any]) -> list[Any]:
    """Returns the items of a list.

    Raises:
        DBTCloudResponseException: If the envelope holds no list.
    """
    items = envelope["data"]
    if not isinstance(items, list):
        kind = type(items).__name__
        raise DBTCloudResponseException(f"{url} answered without a list: {kind}", url=url)
    return items


def check_page(url: str, envelope: Mapping[str, Any]) -> None:
    """Refuses a page of a list that doesn't say how many items there are in all.

    Raises:
        DBTCloudResponseException: If it doesn't, or is no list.
    """
    checked_list(url, envelope)
    pagination = (envelope.get("extra") or {}).get("pagination") or {}
    if not isinstance(pagination.get("total_count"), int):
        raise DBTCloudResponseException(f"{url} answered without a `total_count`.", url=url)


def http_exception(
    method: str, url: str, status_code: int, headers: Mapping[str, str], text: str
) -> DBTCloudHTTPException:
    """Returns the exception for an answer with an error status, a redirect among them.

    The API puts what it has to say in `status.user_message`, and the detail of a 400 in `data`.
    """
    try:
        envelope = json.loads(text)
        user_message, data = envelope["status"]["user_message"], envelope.get("data")
    except (ValueError, LookupError, TypeError, AttributeError):
        user_message, data = None, None
    said = [user_message or shortened(text), shortened(str(data)) if data else None]
    hint = HINTS.get(status_code, HOST_HINT if status_code < HTTPStatus.BAD_REQUEST else None)
    sentences = " ".join(part for part in [*said, location(headers), hint] if part)
    return DBTCloudHTTPException(
        f"dbt Cloud answered {status_code} {phrase(status_code)} to {method} {url}: {sentences}",
        url=url,
        status_code=status_code,
        user_message=user_message,
        data=data,
        retry_after=retry_after(status_code, headers),
    )


def phrase(status_code: int) -> str:
    """Returns the words for an HTTP status."""
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return "(unknown status)"


def location(headers: Mapping[str, str]) -> str | None:
    """Returns where a redirect leads. It is not followed: the token is for one host alone."""
    target = headers.get("Location")
    return f"It redirects to {urlsplit(target).netloc or target}." if target else None


def retry_after(status_code: int, headers: Mapping[str, str]) -> float | None:
    """Returns the seconds to wait before the next request, where the answer calls for a wait."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked)
    try:
        return (parsedate_to_datetime(asked) - datetime.now(timezone.utc)).total_seconds()
    except (ValueError, TypeError):
        return RATE_LIMIT_COOLDOWN if status_code == HTTPStatus.TOO_MANY_REQUESTS else None


def connection_exception(
    method: str, url: str, error: requests.RequestException
) -> DBTCloudConnectionException:
    """Returns the exception for a request that got no answer.

    Without a connection the API can't have acted. A host name that does not exist and a certificate
    that is not accepted stay so.
    """
    causes = list(_causes(error))
    # Not each `ProxyError`: urllib3 says so too of a tunnel that broke after the request.
    never_sent = isinstance(error, requests.ConnectTimeout | ValueError) or any(
        isinstance(cause, NewConnectionError | ConnectTimeoutError)
        or str(cause).startswith("Tunnel connection failed")
        for cause in causes
    )
    unknown_host = any(
        isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME for cause in causes
    )
    bad_certificate = "CERTIFICATE_VERIFY_FAILED" in str(error)
    is_permanent = unknown_host or bad_certificate or isinstance(error, ValueError)
    hint = f" {HOST_HINT}" if unknown_host else ""
    return DBTCloudConnectionException(
        f"No answer to {method} {url}: {_reason(causes)}.{hint}",
        url=url,
        is_transient=not is_permanent,
        may_have_acted=not (never_sent or bad_certificate),
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        error = getattr(error, "reason", None) or next(iter(inner), error.__cause__)
        error = error if isinstance(error, BaseException) else None


def _reason(causes: list[BaseException]) -> str:
    """Returns what the innermost error of urllib3 says, without the connection that it names."""
    innermost = [cause for cause in causes if isinstance(cause, Urllib3Error)] or causes
    text = str(innermost[-1])
    return shortened(re.sub(r"^.*?(Connection|Pool)\(.*?\): ", "", text)).rstrip(".")


def shortened(text: str) -> str:
    """Returns the beginning of an answer, on one line."""
    line = " ".join(text[: 2 * MAX_DETAIL].split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"
