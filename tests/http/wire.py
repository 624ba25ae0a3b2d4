"""A server that answers with whatever bytes a test wants, over plain HTTP or TLS."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from typing_extensions import Self

CERTIFICATE = Path(__file__).parent / "loopback.pem"

Behaviour = Callable[[socket.socket], None]


class WireServer:
    """Reads requests, and lets a behaviour answer each.

    Attributes:
        requests: The requests as they came, head and body.
        peers: The client's port of each request: which connection it came on.
        gone: Set when a client has closed its connection.
    """

    def __init__(self, behave: Behaviour, *, tls: bool = False) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.peers: list[int] = []
        self.gone = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        """The base URL."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Serves."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Closes everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for connection in [self._listener, *self._connections]:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, (_, port) = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection, port), daemon=True).start()

    def _serve(self, connection: socket.socket, port: int) -> None:
        with suppress(OSError, ValueError):
            if self._tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(CERTIFICATE)
                connection = context.wrap_socket(connection, server_side=True)
                self._connections.append(connection)
            while request := read_request(connection):
                self.requests.append(request)
                self.peers.append(port)
                self.behave(connection)
        self.gone.set()


def read_request(connection: socket.socket) -> bytes:
    """Returns a request, head and body, or nothing if the client has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return b""
        data += received
        if data.startswith(b"\x16\x03"):  # a TLS handshake
            return data
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def http(body: bytes | str, status: str = "200 OK", *headers: str) -> bytes:
    """Returns an answer as it goes over the wire."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


def sends(answer: bytes) -> Behaviour:
    """Returns the behaviour that sends just this."""
    return lambda connection: connection.sendall(answer)


def envelope(data: Any) -> bytes:
    """Returns an answer of the API."""
    return http(json.dumps({"status": {"code": 200}, "data": data}))


def stall(connection: socket.socket) -> None:
    """Sends nothing, and waits until the client goes."""
    connection.settimeout(10)
    connection.recv(1)


def hold(head: bytes) -> Behaviour:
    """Returns the behaviour that sends something, and then waits until the client goes."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        stall(connection)

    return behave


def trickle(head: bytes, part: bytes) -> Behaviour:
    """Returns the behaviour that sends something, and then a part of more every 50 ms for ever."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(200):
            connection.sendall(part)
            time.sleep(0.05)

    return behave


def flood(head: bytes, part: bytes) -> Behaviour:
    """Returns the behaviour that sends something, and then more of it as fast as it can."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)

    return behave
