"""HTTP on loopback: waitress, with limits on what a client can cost.

One thread reads and writes all connections, so a slow or silent client costs none. A request has a
thread from when it has arrived as a whole until its answer is made.
"""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import BadRequest

from dlt_dbt_cloud.local.api import envelopes
from dlt_dbt_cloud.local.api.behaviours import BY_NAME
from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MAX_BODY: Final = 2**20
MAX_HEADERS: Final = 2**15
_PATIENCE: Final = 20.0
"""Seconds that a client has to send a request, or to start the next one."""
_PAUSE: Final = 5
"""Seconds between two checks for clients that take longer."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port, 0 for any free one.

    Raises:
        LocalDBTCloudException: The port is in use.
    """
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as e:
        raise LocalDBTCloudException(
            f"Can't listen: {e.strerror}. Choose another port, or 0 for any."
        ) from e


class HTTPServer:
    """Serves an application on a socket that listens, until it is closed."""

    def __init__(self, listening: socket.socket, app: "WSGIApplication") -> None:
        self._is_open = True
        self._map: dict[int, Any] = {}
        self._workers = _Workers(64, thread_name_prefix="local-dbt-cloud")
        self._server: Any = _Server(
            app,
            self._map,
            _sock=listening,
            dispatcher=self._workers,  # type: ignore[arg-type]  # nothing else of it is called
            adj=Adjustments(
                asyncore_use_poll=True,
                channel_timeout=int(_PATIENCE),
                cleanup_interval=_PAUSE,
                connection_limit=500,
                ident=None,
                inbuf_overflow=2 * MAX_BODY,
                log_socket_errors=False,
                max_request_body_size=MAX_BODY + 1,
                max_request_header_size=MAX_HEADERS,
            ),
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            bind_socket=False,
        )
        self._thread = threading.Thread(target=self._serve, name="local-dbt-cloud", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._is_open:
            wasyncore.loop(timeout=_PAUSE, use_poll=True, map=self._map, count=1)
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        wasyncore.dispatcher.close(self._server)  # the trigger is needed until no worker is left

    def close(self) -> None:
        """End all connections, and wait until nothing is left."""
        self._is_open = False
        self._server.pull_trigger()
        self._thread.join()
        self._workers.shutdown(cancel_futures=True)
        self._server.trigger.close()


class _Workers(ThreadPoolExecutor):
    """Starts threads as they are needed, where waitress starts four and lets requests wait."""

    def add_task(self, task: Any) -> None:
        self.submit(task.service)


class _Parser(HTTPRequestParser):
    """A request that is being received, and since when it is."""

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.began_at = time.monotonic()

    def received(self, data: bytes) -> int:
        try:
            return int(super().received(data))
        except ValueError as e:  # a Content-Length of 5,000 digits
            self.error = BadRequest(str(e))
            self.completed = True
            return len(data)


class _ErrorTask(ErrorTask):
    """Answers a malformed request, in the envelope of the API."""

    def execute(self) -> None:
        error: Any = self.request.error  # type: ignore[attr-defined]
        code = error.code if error.code < 500 else 400  # noqa: PLR2004  # an unknown encoding
        self.status = f"{code} {error.reason}"
        answer = envelopes.answer(envelopes.error(code, f"{error.reason}: {error.body}"))
        body = answer.get_data()
        self.response_headers = [*answer.headers, BY_NAME["any.too_large"].header]
        self.set_close_on_finish()
        self.channel.lingers = True  # type: ignore[attr-defined]
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    """A connection. After a refusal it keeps reading, else the client couldn't read that."""

    parser_class = _Parser
    error_task_class = _ErrorTask
    lingers = False
    is_half_closed = False

    def readable(self) -> bool:
        return self.is_half_closed or bool(super().readable())

    def handle_read(self) -> None:
        if self.is_half_closed:
            self.recv(MAX_BODY)
        else:
            super().handle_read()

    def handle_close(self) -> None:
        if self.is_half_closed or not self.lingers:
            super().handle_close()
            return
        self.is_half_closed = True
        self.will_close = False
        connection: Any = self.socket
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)


class _Server(TcpWSGIServer):
    channel_class = _Channel

    def maintenance(self, now: int) -> None:
        """Close connections that are idle, and those that send a request too slowly."""
        super().maintenance(now)
        latest = time.monotonic() - _PATIENCE
        channels: Any = self.active_channels
        for channel in channels.values():
            if channel.request is not None and channel.request.began_at < latest:
                channel.will_close = True
