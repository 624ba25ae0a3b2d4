"""What is between the clients and the application: it keeps the log, and it fails on demand."""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, Final, NoReturn

from waitress.channel import ClientDisconnected
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from dlt_dbt_cloud.local.api import envelopes
from dlt_dbt_cloud.local.api.behaviours import BY_NAME
from dlt_dbt_cloud.local.faults import Fault, Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HIDDEN_AFTER: Final = "dlt_dbt_cloud.hidden_after"
"""Key of the WSGI environment: the id of the newest run that a lagging list shows."""

MAX_REQUESTS: Final = 10_000
MAX_LOGGED: Final = 2**24
"""How many requests the log keeps at most, and how many characters of them."""

_HTML: Final = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_NONE: Final = Fault(commits=True)


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

    app: "WSGIApplication"
    runs: Collection[int]
    clock: Callable[[], float] = time.monotonic
    requests: deque[Request] = field(default_factory=deque)
    closed: threading.Event = field(default_factory=threading.Event)
    _set: list[_Set] = field(default_factory=list)
    _logged: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail_next(
        self,
        fault: Fault,
        path: str = "",
        method: str | None = None,
        times: float = 1,
        seconds: float | None = None,
    ) -> None:
        """Set a fault."""
        until = inf
        if seconds is not None:
            times, until = inf, self.clock() + seconds
        with self._lock:
            self._set.append(
                _Set(fault, re.compile(path), method, times, until, max(self.runs, default=0))
            )

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        seen = _request(environ)
        found = self._take(seen)
        fault = found.fault if found else _NONE
        if found and fault.is_lagging_list:
            environ[HIDDEN_AFTER] = found.newest_run_id
        response = self._respond(fault, environ, seen.path)
        self._log(seen, None if response is None else response.status_code)
        if response is None:
            _drop(environ)
        self.closed.wait(fault.seconds)
        return response(environ, start_response)

    def _take(self, seen: Request) -> _Set | None:
        with self._lock:
            for one in self._set:
                if one.fits(seen.method, seen.path.partition("?")[0], self.clock()):
                    one.times -= 1
                    return one
        return None

    def _respond(self, fault: Fault, environ: "WSGIEnvironment", path: str) -> Response | None:
        """Returns what the client gets, None if the connection breaks."""
        served = Response.from_app(self.app, environ, buffered=True) if fault.commits else None
        return None if fault.drops else _failure(fault, path) or served

    def _log(self, seen: Request, status: int | None) -> None:
        with self._lock:
            self.requests.append(replace(seen, status=status))
            self._logged += len(seen.path) + len(seen.body)
            while len(self.requests) > MAX_REQUESTS or self._logged > MAX_LOGGED:
                gone = self.requests.popleft()
                self._logged -= len(gone.path) + len(gone.body)


def _request(environ: "WSGIEnvironment") -> Request:
    content = environ["wsgi.input"].read()
    environ["wsgi.input"] = BytesIO(content)  # to be read again
    query = environ.get("QUERY_STRING")
    path = environ["PATH_INFO"] + (f"?{query}" if query else "")
    return Request(environ["REQUEST_METHOD"], path, None, content.decode(errors="replace"))


def _failure(fault: Fault, path: str) -> Response | None:
    """Returns the answer that a fault gives instead of the application, None if it gives none."""
    if fault.is_late_artifact:
        is_list = path.rstrip("/").endswith("artifacts")
        failure = envelopes.success(None) if is_list else _error(404)
    elif fault.status is None:
        return None
    else:
        failure = _page(fault.status) if fault.is_html else _error(fault.status)
    failure.headers.extend(fault.headers)
    failure.headers.set(*BY_NAME[f"fault.{_case(fault)}"].header)
    return failure


def _error(code: int) -> Response:
    message = envelopes.MESSAGES.get(code) or f"{HTTP_STATUS_CODES.get(code, 'Error')}."
    return envelopes.answer(envelopes.error(code, message))


def _page(code: int) -> Response:
    title = "Sign in" if code == HTTPStatus.OK else HTTP_STATUS_CODES.get(code, "Error")
    return Response(_HTML.format(title), code, mimetype="text/html")


def _drop(environ: "WSGIEnvironment") -> NoReturn:
    channel = environ["waitress.client_disconnected"].__self__
    channel.cancel()
    channel.server.pull_trigger()
    raise ClientDisconnected


def _case(fault: Fault) -> str:
    if fault.is_late_artifact:
        return "late_artifacts"
    if fault.is_html:
        return "html"
    return {404: "not_found", 500: "json"}.get(fault.status or 0, "other_json")
