"""A server on loopback that answers every request with one body.

`python -m tests.benchmarks.stub FILE` prints its port, and serves over kept connections until its
standard input is closed.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


class Handler(BaseHTTPRequestHandler):
    """Answers, in one packet."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    body: ClassVar[bytes]

    def do_GET(self) -> None:
        """Answers a request."""
        body = self.answer()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> bytes:
        """Returns the body for the path."""
        return self.body

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def serve(handler: type[Handler]) -> None:
    """Serves until the standard input is closed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    Handler.body = Path(sys.argv[1]).read_bytes()
    serve(Handler)
