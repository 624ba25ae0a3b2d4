"""What goes wrong on the wire, when a test asks for it."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from dlt_dbt_cloud.local.api import bodies

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HIDDEN_AFTER: Final = "dlt_dbt_cloud.hidden_after"
"""Where a request says which run is the newest that a lagging list shows."""

_HTML: Final = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_REASONS: Final = {
    200: "Sign in",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with a request, see `LocalDBTCloud.fail_next`.

    Make one with the methods of this class. "Commits" says that dbt Cloud does what it is asked
    to, though the client doesn't learn it.
    """

    commits: bool
    drops: bool = False
    status: int | None = None
    is_html: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    is_lagging_list: bool = False
    is_late_artifact: bool = False

    @classmethod
    def commit_then_drop(cls) -> Fault:
        """The connection breaks after the request was carried out, before any answer."""
        return cls(commits=True, drops=True)

    @classmethod
    def drop(cls) -> Fault:
        """The connection breaks before the request was carried out."""
        return cls(commits=False, drops=True)

    @classmethod
    def commit_then_answer(cls, status: int = 502, *, html: bool = True) -> Fault:
        """The request is carried out, and a gateway answers instead, with HTML or JSON."""
        return cls(commits=True, status=status, is_html=html)

    @classmethod
    def answer(cls, status: int = 500, *, html: bool = False) -> Fault:
        """The request is not carried out but answered with this status, as JSON or HTML."""
        return cls(commits=False, status=status, is_html=html)

    @classmethod
    def too_many_requests(cls, retry_after: float | str | None = None) -> Fault:
        """The rate limit is exceeded: 429, with or without the header `Retry-After`."""
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        return cls(commits=False, status=429, headers=headers)

    @classmethod
    def not_found(cls) -> Fault:
        """404, as dbt Cloud sometimes answers for a run that was created a moment ago."""
        return cls(commits=False, status=404)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """The request is carried out, the answer comes that much later."""
        return cls(commits=True, seconds=seconds)

    @classmethod
    def lagging_list(cls) -> Fault:
        """A list of runs doesn't show the runs that were created since this fault was set."""
        return cls(commits=True, is_lagging_list=True)

    @classmethod
    def late_artifacts(cls) -> Fault:
        """The artifacts are not there yet: the list is null, a file is 404."""
        return cls(commits=False, is_late_artifact=True)


@dataclass
class _Set:
    """A fault and the requests that it is for."""

    fault: Fault
    path: re.Pattern[str]
    method: str | None
    times: float
    until: float
    newest_run_id: int

    def fits(self, method: str, path: str, now: float) -> bool:
        if self.times < 1 or now >= self.until:
            return False
        return self.method in (None, method) and bool(self.path.search(path))


@dataclass(frozen=True)
class Request:
    """A request that was served.

    Attributes:
        method: Its method.
        path: Its path with the query.
        status: The status of the answer, None if the connection was dropped.
        body: The body that was sent, as text.
    """

    method: str
    path: str
    status: int | None
    body: str = ""


@dataclass
class Wire:
    """What is between the clients and the application: it keeps the log, and it fails on demand."""

    app: WSGIApplication
    newest_run_id: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    requests: list[Request] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    _set: list[_Set] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail_next(
        self,
        fault: Fault,
        path: str,
        method: str | None,
        times: int,
        seconds: float | None,
    ) -> None:
        """Set a fault."""
        until = float("inf") if seconds is None else self.clock() + seconds
        count = times if seconds is None else float("inf")
        with self._lock:
            self._set.append(
                _Set(fault, re.compile(path), method, count, until, self.newest_run_id())
            )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        seen = _request(environ)
        found = self._take(seen)
        if found is None:
            return self._pass(environ, start_response, seen)
        if found.fault.is_lagging_list:
            environ[HIDDEN_AFTER] = found.newest_run_id
        return self._fail(found.fault, environ, start_response, seen)

    def _take(self, seen: Request) -> _Set | None:
        with self._lock:
            for one in self._set:
                if one.fits(seen.method, seen.path.partition("?")[0], self.clock()):
                    one.times -= 1
                    return one
        return None

    def _pass(
        self, environ: WSGIEnvironment, start_response: StartResponse, seen: Request
    ) -> Iterable[bytes]:
        def logging_start(status: str, *more: Any) -> Any:
            self._log(seen, int(status[:3]))
            return start_response(status, *more)

        return self.app(environ, logging_start)

    def _fail(
        self,
        fault: Fault,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        seen: Request,
    ) -> Iterable[bytes]:
        if fault.commits and (fault.drops or fault.status):
            _swallow(self.app, environ)
        if fault.drops:
            self._log(seen, None)
            _drop(environ)
        status, body = _answer(fault, seen.path)
        if status is None:
            answer = _whole(self._pass(environ, start_response, seen))
            self.closed.wait(fault.seconds)
            return answer
        self._log(seen, status)
        kind = "text/html" if fault.is_html else "application/json"
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), *fault.headers]
        start_response(f"{status} {_REASONS.get(status, 'Status')}", headers)
        return [body]

    def _log(self, seen: Request, status: int | None) -> None:
        with self._lock:
            self.requests.append(replace(seen, status=status))


def _request(environ: WSGIEnvironment) -> Request:
    query = environ.get("QUERY_STRING")
    path = environ["PATH_INFO"] + (f"?{query}" if query else "")
    return Request(environ["REQUEST_METHOD"], path, None, _body(environ))


def _body(environ: WSGIEnvironment) -> str:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    content = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = BytesIO(content)  # to be read again
    return str(content.decode("utf-8", errors="replace"))


def _answer(fault: Fault, path: str) -> tuple[int | None, bytes]:
    if fault.is_late_artifact:
        is_list = path.rstrip("/").endswith("artifacts")
        body = bodies.success(None) if is_list else bodies.error(404, bodies.NOT_FOUND)
        return body["status"]["code"], json.dumps(body).encode()
    if fault.status is None:
        return None, b""
    if fault.is_html:
        return fault.status, _HTML.format(_REASONS.get(fault.status, fault.status)).encode()
    return fault.status, json.dumps(_error(fault.status)).encode()


def _error(status: int) -> dict[str, Any]:
    messages = {404: bodies.NOT_FOUND, 500: bodies.SERVER_ERROR}
    return bodies.error(status, messages.get(status) or f"{_REASONS.get(status, 'Error')}.")


def _swallow(app: WSGIApplication, environ: WSGIEnvironment) -> None:
    def start_response(*_: Any) -> Any:
        return None

    _whole(app(environ, start_response))


def _whole(answer: Iterable[bytes]) -> list[bytes]:
    try:
        return list(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()


def _drop(environ: WSGIEnvironment) -> None:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("dropped on demand")  # the server takes it as the client's doing
