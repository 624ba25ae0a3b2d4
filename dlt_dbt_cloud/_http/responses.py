"""Turns an answer of the API into data or an exception: pure functions."""

import http.client
import io
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import requests
from dlt.common.json import json as fast_json
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.exceptions import HTTPError as Urllib3Error

from dlt_dbt_cloud._values import dict_of, printable
from dlt_dbt_cloud.exceptions import (
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)

T = TypeVar("T")

RATE_LIMIT_COOLDOWN: Final = 300.0
"""Seconds for which an account over its rate limit gets no answer (docs.getdbt.com)."""
MAX_RETRY_AFTER: Final = 86_400.0
"""Maximum of `Retry-After` in seconds."""

HOST_HINT: Final = (
    "Is `base_api_url` the access URL of the account (Account settings, Access URLs)?"
)
HINTS: Final = {
    401: f"The host of another region would not know the token. {HOST_HINT}",
    403: "Is `account_id` the account of the token, and may the token do this?",
    404: "It does not exist in this account, or the token may not see it.",
}
MAX_DETAIL: Final = 500
"""Characters of an answer that a message shows at most."""
MAX_ERROR: Final = 20_000
"""Characters of an answer with an error status that are read at most."""
MAX_DEPTH: Final = 100
"""Levels of JSON at most: one could neither print nor pickle a thousand."""
TOO_DEEP: Final = f"JSON of more than {MAX_DEPTH} levels."


def envelope_of(url: str, text: str) -> dict[str, Any]:
    """Returns the API's envelope, `data` and more, or raises a `DBTCloudResponseException`."""
    try:
        envelope = parse_json(text)
    except ValueError:
        envelope = None
    if isinstance(envelope, dict) and "data" in envelope:
        return envelope
    message = f"{url} answered, but not with the API's JSON: {shortened(text)!r}. {HOST_HINT}"
    raise DBTCloudResponseException(message, url=url)


def parse_json(text: str) -> Any:
    """Returns what JSON holds, without NaN and Infinity, or raises a `ValueError`."""
    try:
        data = fast_json.loads(text)
    except ValueError:
        data = _lenient(text)
    level: list[Any] = [[data]]
    for _ in range(MAX_DEPTH + 2):  # the list around it, and a look at what is left
        if not level:
            return data
        values = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for items in values for child in items if isinstance(child, (dict, list))]
    raise ValueError(TOO_DEEP)


def _lenient(text: str) -> Any:
    """Returns JSON with None for NaN and Infinity, and without lone surrogates."""
    try:
        data = json.loads(text, parse_constant=lambda _: None)
        storable = json.dumps(data, ensure_ascii=False).encode(errors="replace")
        return json.loads(storable, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def typed(kind: type[T], name: str, data: Any, url: str) -> T:
    """Returns data of the API that must be a list or an object."""
    if isinstance(data, kind):
        return data
    found = type(data).__name__
    raise DBTCloudResponseException(f"{url} returned {found} instead of {name}.", url=url)


def object_of(url: str, data: Any, expected_id: int | None = None) -> dict[str, Any]:
    """Returns an object of the API with an expected id, or raises a `DBTCloudResponseException`."""
    found: dict[str, Any] = typed(dict, "an object", data, url)
    if expected_id is None or found.get("id") == expected_id:
        return found
    other = shortened(repr(found.get("id")))
    raise DBTCloudResponseException(f"{url} returned id {other} instead of {expected_id}.", url=url)


def without_token(
    response: requests.Response,
    method: str,
    url: str,
    body: bytearray,
    redact: Callable[[str], str],
) -> requests.Response:
    """Returns what may be kept of an answer: code for dlt's helper reads `error.response`."""
    kept = requests.Response()
    kept.request = requests.PreparedRequest()
    kept.request.method, kept.request.headers = method, CaseInsensitiveDict()
    kept.url = kept.request.url = redact(url)
    kept.status_code, kept.encoding = response.status_code, "utf-8"
    kept.reason = printable(redact(response.reason or ""))
    kept.headers = CaseInsensitiveDict({k: redact(v) for k, v in response.headers.items()})
    text = redact(body[: 2 * MAX_ERROR].decode(errors="replace"))  # so that no token is cut
    kept.raw = io.BytesIO(text[:MAX_ERROR].encode(errors="replace"))
    return kept


def http_exception(answer: requests.Response) -> DBTCloudHTTPException:
    """Returns the exception for an answer with an error status, a redirect among them.

    The API puts its message into `status.user_message`, and the detail of a 400 into `data`.
    """
    status_code, text = answer.status_code, answer.text
    try:
        envelope = dict_of(parse_json(text))
    except ValueError:
        envelope = {}
    message = dict_of(envelope.get("status")).get("user_message")
    user_message = printable(message) if isinstance(message, str) else None
    data = envelope.get("data") if isinstance(message, str) else None
    said = [shortened(user_message or text), shortened(str(data)) if data else None]
    if target := answer.headers.get("Location"):  # the token is for one host alone
        host = re.match(r"(?:[a-z]+:)?//(?:[^/?#]*@)?([^/?#]+)", target, re.IGNORECASE)
        said.append(f"It redirects to {shortened(host[1] if host else target)}.")
    said.append(HINTS.get(status_code, HOST_HINT if status_code < HTTPStatus.BAD_REQUEST else None))
    phrase = http.client.responses.get(status_code, "(unknown status)")
    failure = DBTCloudHTTPException(
        f"dbt Cloud answered {status_code} {phrase} to {answer.request.method} {answer.url}:"
        f" {' '.join(filter(None, said))}",
        url=answer.url,
        status_code=status_code,
        user_message=user_message,
        data=data,
        retry_after=retry_after(status_code, answer.headers),
    )
    # Code for dlt's helper reads `error.response`.
    failure.response, failure.request = answer, answer.request
    return failure


def retry_after(status_code: int, headers: Mapping[str, str]) -> float | None:
    """Returns the seconds to wait before the next request, if the answer asks for a pause."""
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+", asked):
        return min(float(asked), MAX_RETRY_AFTER)
    until = date_of(asked)
    if until:
        # By the clock of the server. Ours may be an hour off.
        now = date_of(headers.get("Date", "")) or datetime.now(timezone.utc)
        return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER)
    return RATE_LIMIT_COOLDOWN if status_code == HTTPStatus.TOO_MANY_REQUESTS else None


def date_of(text: str) -> datetime | None:
    """Returns the time in a header, None if there is none."""
    try:
        date = parsedate_to_datetime(text)
        # Without a time zone it is UTC. `astimezone` would take it for local time.
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


def connection_exception(
    method: str, url: str, error: BaseException, redact: Callable[[str], str] = str
) -> DBTCloudConnectionException:
    """Returns the exception for a request that got no answer.

    Without a connection the API can't have acted. An unknown host and a certificate that is not
    accepted are permanent.
    """
    causes = list(_causes(error))
    # Not every `ProxyError`: a tunnel that breaks after the request is one, too.
    is_unsendable = isinstance(error, requests.RequestException) and isinstance(error, ValueError)
    never_sent = is_unsendable or any(
        isinstance(cause, NewConnectionError | ConnectTimeoutError)
        or str(cause).startswith("Tunnel connection failed")
        for cause in causes
    )
    unknown_host = any(
        isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME for cause in causes
    )
    bad_certificate = "CERTIFICATE_VERIFY_FAILED" in str(error)
    is_permanent = unknown_host or bad_certificate or is_unsendable
    hint = f" {HOST_HINT}" if unknown_host else ""
    # urllib3's innermost error, without the connection that it names.
    innermost = [cause for cause in causes if isinstance(cause, Urllib3Error)] or causes
    text = re.sub(r"^.*?(Connection|Pool)\(.*?\): ", "", str(innermost[-1]))
    return DBTCloudConnectionException(
        redact(f"No answer to {method} {url}: {shortened(text).rstrip('.')}.{hint}"),
        url=redact(url),
        is_transient=not is_permanent,
        may_have_acted=not (never_sent or bad_certificate),
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        error = getattr(error, "reason", None) or next(iter(inner), error.__cause__)
        error = error if isinstance(error, BaseException) else None


def shortened(text: str) -> str:
    """Returns the beginning of an answer, on one line."""
    line = " ".join(printable(text[: 2 * MAX_DETAIL]).split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"
