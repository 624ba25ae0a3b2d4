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
from typing import Any, Final, NamedTuple

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.exceptions import HTTPError as Urllib3Error

from dlt_dbt_cloud._api import Page
from dlt_dbt_cloud._values import dict_of, int_of, printable
from dlt_dbt_cloud.exceptions import (
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)

RATE_LIMIT_COOLDOWN: Final = 300.0
"""Seconds for which an account over its rate limit gets no answer (docs.getdbt.com)."""
MAX_RETRY_AFTER: Final = 86_400.0
"""Maximum of `Retry-After` in seconds."""

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
MAX_ERROR: Final = 20_000
"""Characters of an answer with an error status that are read at most."""
MAX_DEPTH: Final = 100
"""Levels of JSON at most: one could neither print nor pickle a thousand."""


class Answer(NamedTuple):
    """An answer without the token: `is_whole` is False if its body was too large to be read."""

    method: str
    url: str
    status_code: int
    reason: str
    headers: Mapping[str, str]
    text: str
    is_whole: bool = True


def is_success(status_code: int) -> bool:
    """Returns True if the API has done what was asked. A redirect is no success."""
    return HTTPStatus.OK <= status_code < HTTPStatus.MULTIPLE_CHOICES


def checked(answer: Answer) -> Answer:
    """Returns an answer if it is a success that was read to its end, else raises."""
    if not is_success(answer.status_code):
        raise http_exception(answer)
    if not answer.is_whole:
        raise DBTCloudResponseException(f"{answer.url} answered with too much.", url=answer.url)
    return answer


def envelope_of(answer: Answer) -> dict[str, Any]:
    """Returns the API's envelope, `data` and more, or raises a `DBTCloudResponseException`."""
    try:
        envelope = parse_json(answer.text)
    except ValueError:
        envelope = None
    if isinstance(envelope, dict) and "data" in envelope:
        return envelope
    url, text = answer.url, shortened(answer.text)
    raise DBTCloudResponseException(
        f"{url} answered, but not with the API's JSON: {text!r}. {HOST_HINT}", url=url
    )


def parse_json(text: str) -> Any:
    """Returns what JSON holds, with None instead of the NaN and Infinity that JSON doesn't know.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        data = json.loads(text, parse_constant=lambda _: None)
        if not _is_deep(data):
            # Lone surrogates can't be stored.
            return _encodable(data) if re.search(r"\\u[dD][89a-fA-F]", text) else data
    except RecursionError:
        pass
    raise ValueError(f"JSON of more than {MAX_DEPTH} levels.")


def _encodable(data: Any) -> Any:
    return json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", errors="replace"))


def _is_deep(data: Any) -> bool:
    level: list[Any] = [[data]]
    for _ in range(MAX_DEPTH):
        values = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for items in values for child in items if isinstance(child, (dict, list))]
        if not level:
            return False
    return True


def page_of(url: str, envelope: Mapping[str, Any]) -> Page[Any]:
    """Returns a page of a list, or raises a `DBTCloudResponseException`."""
    total = int_of(dict_of(dict_of(envelope.get("extra")).get("pagination")).get("total_count"))
    return Page(_typed(url, list, "a list", envelope["data"]), total)


def object_of(url: str, data: Any, **expected: int) -> dict[str, Any]:
    """Returns an object of the API with an expected id, or raises a `DBTCloudResponseException`."""
    found: dict[str, Any] = _typed(url, dict, "an object", data)
    for name, value in expected.items():
        if found.get(name) != value:
            other = shortened(repr(found.get(name)))
            raise DBTCloudResponseException(
                f"{url} answered about another {name}, {other} instead of {value}.", url=url
            )
    return found


def _typed(url: str, expected: type, name: str, data: Any) -> Any:
    if isinstance(data, expected):
        return data
    kind = type(data).__name__
    raise DBTCloudResponseException(f"{url} answered without {name}: {kind}", url=url)


def http_exception(answer: Answer) -> DBTCloudHTTPException:
    """Returns the exception for an answer with an error status, a redirect among them.

    The API puts its message into `status.user_message`, and the detail of a 400 into `data`.
    """
    method, url, status_code = answer.method, answer.url, answer.status_code
    answer = answer._replace(text=answer.text[:MAX_ERROR])
    user_message, data = _said(answer.text)
    said = [shortened(user_message or answer.text), shortened(str(data)) if data else None]
    hint = HINTS.get(status_code, HOST_HINT if status_code < HTTPStatus.BAD_REQUEST else None)
    sentences = " ".join(part for part in [*said, location(answer.headers), hint] if part)
    phrase = http.client.responses.get(status_code, "(unknown status)")
    failure = DBTCloudHTTPException(
        f"dbt Cloud answered {status_code} {phrase} to {method} {url}: {sentences}",
        url=url,
        status_code=status_code,
        user_message=user_message,
        data=data,
        retry_after=retry_after(status_code, answer.headers),
    )
    failure.response = _response(answer)
    failure.request = failure.response.request
    return failure


def _said(text: str) -> tuple[str | None, Any]:
    try:
        envelope = dict_of(parse_json(text))
    except ValueError:
        envelope = {}
    user_message = dict_of(envelope.get("status")).get("user_message")
    if isinstance(user_message, str):
        return printable(user_message), envelope.get("data")
    return None, None


def _response(answer: Answer) -> requests.Response:
    """Returns the answer as `requests` has it: code for dlt's helper reads `error.response`."""
    request = requests.PreparedRequest()
    request.method, request.url, request.headers = answer.method, answer.url, CaseInsensitiveDict()
    response = requests.Response()
    response.status_code, response.reason = answer.status_code, printable(answer.reason)
    response.url, response.request, response.encoding = answer.url, request, "utf-8"
    response.headers = CaseInsensitiveDict(answer.headers)
    response.raw = io.BytesIO(answer.text.encode("utf-8", errors="replace"))
    return response


def location(headers: Mapping[str, str]) -> str | None:
    """Returns where a redirect leads. It is not followed: the token is for one host alone."""
    target = headers.get("Location")
    if not target:
        return None
    url = re.match(r"(?:[a-z]+:)?//(?:[^/?#]*@)?([^/?#]+)", target, re.IGNORECASE)
    return f"It redirects to {shortened(url[1] if url else target)}."


def retry_after(status_code: int, headers: Mapping[str, str]) -> float | None:
    """Returns the seconds to wait before the next request, if the answer asks for a pause."""
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+", asked):
        return min(float(asked), MAX_RETRY_AFTER)
    until = _date(asked)
    if until:
        # By the clock of the server. Ours may be an hour off.
        now = _date(headers.get("Date", "")) or datetime.now(timezone.utc)
        return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER)
    return RATE_LIMIT_COOLDOWN if status_code == HTTPStatus.TOO_MANY_REQUESTS else None


def _date(text: str) -> datetime | None:
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

    Without a connection the API can't have acted. A host name that does not exist and a certificate
    that is not accepted stay so.
    """
    causes = list(_causes(error))
    # Not each `ProxyError`: urllib3 says so too of a tunnel that broke after the request.
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
    return DBTCloudConnectionException(
        redact(f"No answer to {method} {url}: {_reason(causes)}.{hint}"),
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


def _reason(causes: list[BaseException]) -> str:
    """Returns the message of urllib3's innermost error, without the connection that it names."""
    innermost = [cause for cause in causes if isinstance(cause, Urllib3Error)] or causes
    text = str(innermost[-1])
    return shortened(re.sub(r"^.*?(Connection|Pool)\(.*?\): ", "", text)).rstrip(".")


def shortened(text: str) -> str:
    """Returns the beginning of an answer, on one line."""
    line = " ".join(printable(text[: 2 * MAX_DETAIL]).split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"
