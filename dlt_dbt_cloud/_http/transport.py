"""One request to the API: authenticated, sent once, bounded in time and size."""

import gzip
import os
import zlib
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final, NoReturn

import requests
from dlt.sources.helpers.requests import Session
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.util import Timeout

from dlt_dbt_cloud._http.connection import new_session
from dlt_dbt_cloud._http.redaction import Redactor
from dlt_dbt_cloud._http.responses import (
    MAX_ERROR,
    Answer,
    checked,
    connection_exception,
    envelope_of,
    is_success,
)

MAX_JSON: Final = 16 * 2**20
"""Maximum size of the API's JSON in bytes."""
CHUNK: Final = 2**16
CONNECT_TIMEOUT: Final = 10.0
"""Maximum number of seconds for a connection to each of a host's addresses."""
# Those of requests are `OSError`s.
TROUBLE: Final = (OSError, EOFError, ValueError, HTTPException, Urllib3Error, zlib.error)


class TokenAuth(AuthBase):
    """Sends the token. Unlike a header, an `AuthBase` is not replaced by one from `.netrc`."""

    def __init__(self, api_token: str) -> None:
        self._api_token = api_token
        self.redact = Redactor(api_token)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the header to a request that is about to be sent."""
        request.headers["Authorization"] = f"Token {self._api_token}"
        return request

    def __reduce__(self) -> NoReturn:
        """Refuses to be pickled."""
        raise TypeError("A client is not pickled: it holds the token.")


class Transport:
    """Requests to one host with one token, from any number of threads and also after a fork.

    Args:
        api_token: The token.
        base_url: `https://HOST/api/v2`.
        request_timeout: Maximum duration of a request in seconds, from connecting to its last byte.
        max_file: Maximum size of a file in bytes.
        trust_env: Whether the proxies of the environment are used.
    """

    def __init__(
        self,
        api_token: str,
        base_url: str,
        request_timeout: float = 60.0,
        max_file: int = MAX_JSON,
        *,
        trust_env: bool = True,
    ) -> None:
        self._base_url = base_url
        connect = min(CONNECT_TIMEOUT, request_timeout)
        self._timeout: Any = Timeout(connect=connect, total=request_timeout)
        self._max_file = max_file
        self._trust_env = trust_env
        self._auth = TokenAuth(api_token)
        self._owned = (os.getpid(), self._new_session())

    def send(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, json: Any = None
    ) -> dict[str, Any]:
        """Makes one request, once. Returns the API's envelope: `status`, `data`, maybe `extra`."""
        content = {"params": params, "json": json}
        return envelope_of(self._exchange(method, path, "application/json", MAX_JSON, **content))

    def get_file(self, path: str, params: Mapping[str, Any]) -> str:
        """Returns the text of a file, from one request."""
        return self._exchange("GET", path, "*/*", self._max_file, params=params).text

    def _exchange(
        self, method: str, path: str, accept: str, max_bytes: int, **content: Any
    ) -> Answer:
        url = f"{self._base_url}/{path}"
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        try:
            answer = self._receive(method, url, max_bytes, headers=headers, **content)
        except TROUBLE as error:
            failure: BaseException = connection_exception(method, url, error, self._auth.redact)
        except BaseException as error:  # noqa: BLE001  # it is raised below, as it is
            failure = error.with_traceback(None)
            failure.__context__ = None
        else:
            return checked(answer)
        # Not from within `except`: the frames and the errors of requests hold the token.
        raise failure

    def _receive(self, method: str, url: str, max_bytes: int, **content: Any) -> Answer:
        with self._session().request(
            method, url, stream=True, timeout=self._timeout, **content
        ) as response:
            is_error = not is_success(response.status_code)
            max_bytes = MAX_ERROR if is_error else max_bytes
            body = _read(response, max_bytes)
        redact, is_whole = self._auth.redact, len(body) <= max_bytes
        read = len(body) if is_whole else 2 * MAX_ERROR  # so that no token is cut at MAX_ERROR
        return Answer(
            method=method,
            url=redact(url),
            status_code=response.status_code,
            reason=redact(response.reason or ""),
            headers={k: redact(v) for k, v in response.headers.items()} if is_error else {},
            text=redact(body[:read].decode(errors="replace")),
            is_whole=is_whole,
        )

    def _session(self) -> Session:
        """Returns the session of this process: two must not write to one connection."""
        if self._owned[0] != os.getpid():
            self._owned = (os.getpid(), self._new_session())
        return self._owned[1]

    def _new_session(self) -> Session:
        session = new_session(trust_env=self._trust_env)
        session.auth = self._auth
        return session


def _read(response: requests.Response, max_bytes: int) -> bytearray:
    """Returns the body up to a little more than `max_bytes`, decompressed as it is read."""
    response.raw.decode_content = False
    source = response.raw
    if "gzip" in response.headers.get("Content-Encoding", "").lower():
        source = gzip.GzipFile(fileobj=response.raw, mode="rb")
    body = bytearray()
    while len(body) <= max_bytes and (chunk := source.read(CHUNK)):
        body += chunk
    return body
