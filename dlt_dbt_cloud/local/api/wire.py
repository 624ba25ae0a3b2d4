"""What is between the clients and the application: it keeps the log, and it fails on demand."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NoReturn

from waitress.channel import ClientDisconnected

from dlt_dbt_cloud.local.api import envelopes
from dlt_dbt_cloud.local.api.basis import HEADER
from dlt_dbt_cloud.local.api.behaviours import BY_NAME
from dlt_dbt_cloud.local.faults import Fault, Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HIDDEN_AFTER: Final = "dlt_dbt_cloud.hidden_after"
"""Where a request says which run is the newest that a lagging list shows."""

MAX_REQUESTS: Final = 10_000
MAX_LOGGED: Final = 2**24
"""How many requests the log keeps at most, and how many characters of them."""

_HTML: Final = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_REASONS: Final = {
    200: "Sign in",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


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


@dataclass
class Wire:
    """What is between the clients and the application: it keeps the log, and it fails on demand."""

    app: WSGIApplication
    newest_run_id: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    requests: deque[Request] = field(default_factory=deque)
    closed: threading.Event = field(default_factory=threading.Event)
    _set: list[_Set] = field(default_factory=list)
    _logged: int = 0
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
        start_response(
            f"{status} {_REASONS.get(status, 'Status')}",
            [
                ("Content-Type", "text/html" if fault.is_html else "application/json"),
                ("Content-Length", str(len(body))),
                (HEADER, _basis(fault)),
                *fault.headers,
            ],
        )
        return [body]

    def _log(self, seen: Request, status: int | None) -> None:
        with self._lock:
            self.requests.append(replace(seen, status=status))
            self._logged += len(seen.path) + len(seen.body)
            while len(self.requests) > MAX_REQUESTS or self._logged > MAX_LOGGED:
                gone = self.requests.popleft()
                self._logged -= len(gone.path) + len(gone.body)


def _request(environ: WSGIEnvironment) -> Request:
    query = environ.get("QUERY_STRING")
    path = environ["PATH_INFO"] + (f"?{query}" if query else "")
    return Request(environ["REQUEST_METHOD"], path, None, _body(environ))


def _body(environ: WSGIEnvironment) -> str:
    content = environ["wsgi.input"].read()
    environ["wsgi.input"] = BytesIO(content)  # to be read again
    return str(content.decode("utf-8", errors="replace"))


def _answer(fault: Fault, path: str) -> tuple[int | None, bytes]:
    if fault.is_late_artifact:
        is_list = path.rstrip("/").endswith("artifacts")
        body = envelopes.success(None) if is_list else envelopes.error(404, envelopes.NOT_FOUND)
        return body["status"]["code"], json.dumps(body).encode()
    if fault.status is None:
        return None, b""
    if fault.is_html:
        return fault.status, _HTML.format(_REASONS.get(fault.status, fault.status)).encode()
    return fault.status, json.dumps(_error(fault.status)).encode()


def _error(status: int) -> dict[str, Any]:
    messages = {404: envelopes.NOT_FOUND, 500: envelopes.SERVER_ERROR}
    return envelopes.error(status, messages.get(status) or f"{_REASONS.get(status, 'Error')}.")


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


def _drop(environ: WSGIEnvironment) -> NoReturn:
    channel = environ["waitress.client_disconnected"].__self__
    channel.cancel()
    channel.server.pull_trigger()
    raise ClientDisconnected


def _basis(fault: Fault) -> str:
    if fault.is_late_artifact:
        case = "late_artifacts"
    elif fault.is_html:
        case = "html"
    else:
        case = {404: "not_found", 500: "json"}.get(fault.status or 0, "other_json")
    return f"{BY_NAME[f'fault.{case}'].basis.value}; fault.{case}"
