"""HTTP to the API: session, authentication, and an answer turned into data or an exception."""

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.exceptions import HTTPError as Urllib3Error

from dlt_dbt_cloud.configuration import is_loopback
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)
from dlt_dbt_cloud.timing import Timer, ride_out

R = TypeVar("R")

JSON: Final = "application/json"

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


class TokenAuth(AuthBase):
    """Sends the token. Unlike a header, an `AuthBase` is not replaced by one from `.netrc`."""

    def __init__(self, api_token: str) -> None:
        self._api_token = api_token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the header to a request that is about to be sent."""
        request.headers["Authorization"] = f"Token {self._api_token}"
        return request

    def redact(self, text: str) -> str:
        """Returns the text without the token, which a server may echo."""
        return text.replace(self._api_token, "[api_token]")


class Transport:
    """Requests to one host with one token.

    Args:
        api_token: The token.
        base_url: `https://HOST/api/v2`.
        outage_timeout: How long reads ride out an API that is down, in seconds.
        timer: Clock and sleep.
    """

    def __init__(
        self, api_token: str, base_url: str, *, outage_timeout: float, timer: Timer
    ) -> None:
        self.base_url = base_url
        self.outage_timeout = outage_timeout
        self.timer = timer
        self._auth = TokenAuth(api_token)
        # A proxy would see what is sent over plain HTTP.
        trust_env = not is_loopback(urlsplit(base_url).hostname or "")
        # dlt's client would send a trigger again after a 502: it is left one attempt.
        self._client = Client(
            raise_for_status=False,
            request_max_attempts=1,
            session_attrs={
                "auth": self._auth,
                "trust_env": trust_env,
                "hooks": {"response": [self._check_status]},
            },
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Reads, and rides out trouble that passes. Returns the API's envelope."""
        return self._ride_out(lambda: self.send("GET", path, params=params))

    def get_text(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        """Reads a file, and rides out trouble that passes."""
        return self._ride_out(lambda: self._exchange("GET", path, params=params, accept="*/*"))

    def get_pages(self, path: str, params: Mapping[str, Any], limit: int) -> Iterator[list[Any]]:
        """Yields the pages of a list, each read when it is needed, and rides out trouble.

        Args:
            path: A list of the API.
            params: Its filters.
            limit: Items of a page at most.
        """
        client = RESTClient(self.base_url, data_selector="data", session=self._client.session)
        paginator = ArrivedPaginator(limit)

        def page() -> list[Any]:
            # dlt's generator ends with an error, so that each page gets one of its own.
            pages = client.paginate(
                path,
                params=dict(params),
                paginator=paginator,
                headers={"Accept": JSON},
                hooks={"response": [self._check_status, self._check_list]},
                allow_redirects=False,
            )
            return next(pages)

        while paginator.has_next_page:
            yield self._ride_out(lambda: self._attempt("GET", path, page))

    def send(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        """Makes one request, once. Returns the API's envelope: `status`, `data`, maybe `extra`.

        Raises:
            DBTCloudAPIException: If there is no usable answer.
        """
        text = self._exchange(method, path, **kwargs)
        return decode_envelope(self._url(path), text, self._auth.redact)

    def _url(self, path: str) -> str:
        return f"{self.base_url}/{path}"

    def _ride_out(self, call: Callable[[], R]) -> R:
        return ride_out(call, self.timer, self.timer.now() + self.outage_timeout)

    def _exchange(self, method: str, path: str, *, accept: str = JSON, **kwargs: Any) -> str:
        headers = {"Accept": accept}

        def request() -> requests.Response:
            return self._client.request(
                method, self._url(path), headers=headers, allow_redirects=False, **kwargs
            )

        return text_of(self._attempt(method, path, request))

    def _attempt(self, method: str, path: str, request: Callable[[], R]) -> R:
        """Makes a request, once. What goes wrong with it becomes an exception of ours."""
        try:
            return request()
        except DBTCloudAPIException:  # of the check below
            raise
        except requests.RequestException as error:
            failure = connection_exception(method, self._url(path), error)
        # Not from within `except`: the error's request and frames hold the token.
        raise failure

    def _check_status(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Refuses what is no success. A hook: requests calls it with each answer."""
        if response.ok and not response.is_redirect:
            return
        request = response.request
        request.headers.pop("Authorization", None)
        text = self._auth.redact(text_of(response))
        url = str(request.url).partition("?")[0]
        failure = http_exception(
            str(request.method), url, response.status_code, response.headers, text
        )
        failure.request, failure.response = request, response
        raise failure

    def _check_list(self, response: requests.Response, *_: Any, **__: Any) -> None:
        url = str(response.url).partition("?")[0]
        envelope = decode_envelope(url, text_of(response), self._auth.redact)
        checked_list(url, envelope)
        if not isinstance(total_count(envelope), int):
            raise DBTCloudResponseException(f"{url} answered without a `total_count`.", url=url)


class ArrivedPaginator(OffsetPaginator):
    """Asks for the page after the items that have arrived.

    dlt's own goes on after those that were asked for, and skips items where pages are shorter.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit, total_path="extra.pagination.total_count")

    def init_request(self, request: requests.Request) -> None:
        """Asks for the first page, or goes on where a page was read before."""
        self.update_request(request)

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        """Counts what has arrived."""
        self.value_step = len(data or [])
        super().update_state(response, data)


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


def total_count(envelope: Mapping[str, Any]) -> Any:
    """Returns how many items a list has over all pages."""
    return ((envelope.get("extra") or {}).get("pagination") or {}).get("total_count")


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
