"""One request to the API: authenticated, sent once to one host, bounded in time and size."""

import gzip
import io
import math
import os
import socket
import time
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, NoReturn

import requests
from dlt.sources.helpers.requests import Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from typing_extensions import Buffer
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.util import Timeout

from dlt_dbt_cloud._http.redaction import Redactor
from dlt_dbt_cloud._http.responses import (
    MAX_ERROR,
    connection_exception,
    date_of,
    envelope_of,
    http_exception,
    without_token,
)
from dlt_dbt_cloud.exceptions import DBTCloudAPIException, DBTCloudResponseException

MAX_JSON: Final = 16 * 2**20
"""Maximum size of the API's JSON in bytes."""
CHUNK: Final = 2**16
CONNECT_TIMEOUT: Final = 10.0
"""Maximum number of seconds for a connection to each of a host's addresses."""
THREADS: Final = 50
"""Connections that are kept alive."""
# Those of requests are `OSError`s.
TROUBLE: Final = (OSError, EOFError, ValueError, HTTPException, Urllib3Error, zlib.error)


class TimedReader(io.RawIOBase):
    """Reads from a socket, for at most the timeout of the socket in all.

    The socket's own timeout limits each `recv`: a server that sends a byte now and then would hold
    the client for ever.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._socket = raw, sock
        self._end = time.monotonic() + (sock.gettimeout() or math.inf)

    def readable(self) -> bool:
        """Returns True, as a buffered reader wants it."""
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        """Reads what is there into the buffer, or waits for it."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left if left < math.inf else None)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Lets go of the socket."""
        self._raw.close()
        super().close()


class TimedResponse(HTTPResponse):
    """An answer that fails unless its headers and body arrive in time."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(TimedReader(self.fp.detach(), sock))

    def begin(self) -> None:
        """Reads the headers, drops malformed ones: urllib3 would log them, maybe with the token."""
        super().begin()
        self.headers.defects.clear()
        self.headers.set_payload("")


class TimedAdapter(HTTPAdapter):
    """Makes all connections read in time, also those through a proxy."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the pool of connections for a request."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if pool.ConnectionCls.response_class is not TimedResponse:
            own = {"response_class": TimedResponse}
            pool.ConnectionCls = type("TimedConnection", (pool.ConnectionCls,), own)
        return pool


class OneHostSession(Session):
    """dlt's session, which follows no redirect. requests would read the body of one even so."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Returns None: there is none."""


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

    A request takes at most `request_timeout` seconds from connecting to its last byte, and a file
    has at most `max_file` bytes. With `trust_env` proxies of the environment are used.

    `ahead` is how far the clock of the host is ahead of this machine's, once it has answered.
    """

    ahead: timedelta | None = None

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
        self._sessions: dict[int, Session] = {}
        self._session()

    def send(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, json: Any = None
    ) -> dict[str, Any]:
        """Makes one request, once. Returns the API's envelope: `status`, `data`, maybe `extra`."""
        content = {"params": params, "json": json}
        text = self._exchange(method, path, "application/json", MAX_JSON, **content)
        return envelope_of(f"{self._base_url}/{path}", text)

    def get_file(self, path: str, params: Mapping[str, Any]) -> str:
        """Returns the text of a file, from one request."""
        return self._exchange("GET", path, "*/*", self._max_file, params=params)

    def _exchange(self, method: str, path: str, accept: str, max_bytes: int, **content: Any) -> str:
        url = f"{self._base_url}/{path}"
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        try:
            return self._receive(method, url, max_bytes, headers=headers, **content)
        except DBTCloudAPIException as error:
            failure: BaseException = error
        except TROUBLE as error:
            failure = connection_exception(method, url, error, self._auth.redact)
        except BaseException as error:  # noqa: BLE001  # it is raised below, as it is
            failure = error
        # Not from within `except`: the frames and the errors of requests hold the token.
        failure.__context__ = None
        raise failure.with_traceback(None)

    def _receive(self, method: str, url: str, max_bytes: int, **content: Any) -> str:
        """Returns the text of a good answer, without the token."""
        redact = self._auth.redact
        with self._session().request(
            method, url, stream=True, timeout=self._timeout, **content
        ) as response:
            # A redirect is no success.
            is_success = HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES
            body = _read(response, max_bytes if is_success else MAX_ERROR)
        if now := date_of(response.headers.get("Date", "")):
            self.ahead = now - datetime.now(timezone.utc)
        if not is_success:
            raise http_exception(without_token(response, method, url, body, redact))
        if len(body) > max_bytes:
            url = redact(url)
            text = f"{url} returned more than {max_bytes:,} bytes."
            raise DBTCloudResponseException(text, url=url)
        return redact(body.decode(errors="replace"))

    def _session(self) -> Session:
        """Returns the session of this process: two must not write to one connection."""
        if found := self._sessions.get(os.getpid()):
            return found
        session = OneHostSession(raise_for_status=False)
        session.auth, session.trust_env = self._auth, self._trust_env
        # The jar of cookies is not safe across threads, and the API needs none.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            session.mount(scheme, TimedAdapter(pool_maxsize=THREADS))
        self._sessions = {os.getpid(): session}
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
