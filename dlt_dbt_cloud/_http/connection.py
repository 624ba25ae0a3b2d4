"""A `requests` session whose requests end in time and never leave their host."""

import http.client
import io
import math
import socket
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from dlt.sources.helpers.requests import Session
from requests.adapters import HTTPAdapter
from typing_extensions import Buffer

THREADS: Final = 50
"""Connections that are kept alive."""


class TimedReader(io.RawIOBase):
    """Reads from a socket until the time is over that the socket had left at first.

    A timeout of a socket is for one `recv` alone: a server that sends a byte now and then holds
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


class TimedResponse(http.client.HTTPResponse):
    """An answer that has arrived when the time is over, headers and body, or fails."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(TimedReader(self.fp.detach(), sock))

    def begin(self) -> None:
        """Reads the headers, and drops what is none: urllib3 would log it, maybe with the token."""
        super().begin()
        self.headers.defects.clear()
        self.headers.set_payload("")


class TimedAdapter(HTTPAdapter):
    """Has the connections of all pools, also of those through a proxy, read in time."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the pool of connections for a request."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if pool.ConnectionCls.response_class is not TimedResponse:
            own = {"response_class": TimedResponse}
            pool.ConnectionCls = type("TimedConnection", (pool.ConnectionCls,), own)
        return pool


class OneHostSession(Session):
    """dlt's session, which follows no redirect. requests would read its body whole even so."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Returns that there is none."""


def new_session(*, trust_env: bool) -> Session:
    """Returns a session that many threads can use at once.

    Args:
        trust_env: Whether proxies and certificates of the environment hold.
    """
    session = OneHostSession(raise_for_status=False)
    session.trust_env = trust_env
    # The jar of cookies is not safe across threads, and the API needs none.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, TimedAdapter(pool_maxsize=THREADS))
    return session
