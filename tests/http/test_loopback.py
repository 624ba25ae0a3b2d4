"""The laws of trigger and wait over the real HTTP stack: a small server that misbehaves."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudNotTriggeredException,
    DBTCloudResponseException,
    DBTCloudTriggerOutcomeUnknownException,
    get_dbt_cloud_run_status,
)
from dlt_dbt_cloud._call import follow_run, run_job
from dlt_dbt_cloud._io import Blocking, run
from tests.utils import SAMPLES, TOKEN, JumpingIO, configured, sample, sample_run

Behaviour = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """dbt Cloud in a few lines: one job, whose runs succeed at the second look.

    Attributes:
        misbehave: What is done instead of the answer, by request: `POST`, `GET run`, `GET runs`.
        tokens: The authorization headers that were received.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs: list[dict[str, Any]] = []
        self.misbehave: dict[str, list[Behaviour]] = {}
        self.tokens: list[str | None] = []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        """The base URL of the server."""
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        """Stops serving and frees the port."""
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Creates a run."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "null")
        run = sample_run("run_queued", id=len(self.server.runs) + 1, trigger=body)["data"]
        run["job_definition_id"] = int(self.path.split("/")[-3])
        self.server.runs.append(run)
        self.act("POST", run)

    def do_GET(self) -> None:
        """Answers reads of the list and of a run."""
        name = self.path.partition("?")[0].rstrip("/").rpartition("/")[2]
        if name == "runs":
            self.act("GET runs", self.server.runs[::-1])
            return
        run = self.server.runs[int(name) - 1]
        run["status"] = 3 if run["status"] == 1 else 10
        self.act("GET run", run)

    def act(self, request: str, data: Any) -> None:
        """Misbehaves as the test wants it, or answers."""
        self.server.tokens.append(self.headers.get("Authorization"))
        behaviours = self.server.misbehave.get(request)
        if behaviours:
            behaviours.pop(0)(self)
        else:
            self.answer(200, json.dumps({"status": {"code": 200}, "data": data}))

    def answer(self, status: int, body: str, **headers: str) -> None:
        """Sends an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


def drop(handler: Handler) -> None:
    """Closes the connection without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def drop_midway(handler: Handler) -> None:
    """Closes the connection in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"status": ')
    handler.close_connection = True


def bad_gateway(handler: Handler) -> None:
    """Answers as a load balancer does."""
    handler.answer(502, (SAMPLES / "502.html").read_text())


def html(handler: Handler) -> None:
    """Answers success with a page."""
    handler.answer(200, (SAMPLES / "login.html").read_text())


def stall(handler: Handler) -> None:
    """Says nothing for longer than the client waits."""
    time.sleep(0.6)
    handler.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    """The server, and nothing left of it afterwards."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def settings(server: Server) -> DBTCloudConfiguration:
    """Settings of a client of the server that waits 0.3 s for an answer."""
    return configured(base_api_url=server.url, request_timeout=0.3, outage_timeout=60)


@pytest.fixture
def local_client(settings: DBTCloudConfiguration, io: JumpingIO) -> DBTCloudClientV2:
    """A client of the server."""
    return DBTCloudClientV2(credentials=settings, io=io)


@pytest.mark.parametrize("fault", [drop, drop_midway, bad_gateway, html, stall])
class TestFaults:
    """Faults of the network, as they come out of sockets."""

    def test_trigger(
        self, fault: Behaviour, server: Server, local_client: DBTCloudClientV2
    ) -> None:
        """A trigger whose answer is lost has created one run, and that one is returned."""
        server.misbehave["POST"] = [fault]
        assert local_client.trigger_job_run(7) == 1
        assert len(server.runs) == 1

    def test_whole_journey(
        self, fault: Behaviour, server: Server, settings: DBTCloudConfiguration, io: JumpingIO
    ) -> None:
        """With the same fault at every turn: one run, watched to its end."""
        server.misbehave = {"POST": [fault], "GET runs": [fault], "GET run": [fault, fault]}
        api = DBTCloudClientV2(credentials=settings, outage_timeout=0)
        assert run(run_job(io, api, settings)).is_success
        assert len(server.runs) == 1

    def test_nothing_readable(
        self, fault: Behaviour, server: Server, local_client: DBTCloudClientV2
    ) -> None:
        """If nothing can be read afterwards, the outcome is unknown, and nothing is sent again."""
        server.misbehave = {"POST": [fault], "GET runs": [fault] * 500}
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException, match="look for a run with"):
            local_client.trigger_job_run(7)
        assert len(server.runs) == 1


def test_nobody_listens(io: JumpingIO) -> None:
    """A port where nobody listens certainly had no request."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        config = configured(base_api_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        client = DBTCloudClientV2(credentials=config, io=io)
        with pytest.raises(DBTCloudNotTriggeredException, match="Connection refused"):
            client.trigger_job_run(7)


def test_redirect_to_another_port(server: Server, local_client: DBTCloudClientV2) -> None:
    """The token does not follow a redirect, and the error says where it leads."""
    other = Server()
    elsewhere = f"{other.url}/api/v2/accounts/1/jobs/7/run/"
    server.misbehave["POST"] = [lambda handler: handler.answer(307, "", Location=elsewhere)]
    with pytest.raises(DBTCloudHTTPException, match=f"redirects to 127.0.0.1:{other.server_port}"):
        local_client.trigger_job_run(7)
    other.stop()
    assert other.tokens == []


def test_proxy_does_not_see_loopback(
    server: Server, local_client: DBTCloudClientV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain HTTP to this machine does not go through a proxy, which would see the token."""
    proxy = Server()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert local_client.trigger_job_run(7) == 1
    proxy.stop()
    assert proxy.tokens == []
    assert server.tokens == [f"Token {TOKEN}"]


def test_tls_to_a_plain_server(server: Server) -> None:
    """HTTPS where plain HTTP is spoken: no handshake, and no endless retry without a word."""
    url = server.url.replace("http", "https")
    config = configured(base_api_url=url, outage_timeout=0)
    with pytest.raises(DBTCloudConnectionException, match="SSL"):
        get_dbt_cloud_run_status(config, 1)


def test_page_of_a_web_site(server: Server, settings: DBTCloudConfiguration, io: JumpingIO) -> None:
    """A host that answers every request with a page is told after a few tries."""
    server.misbehave["GET run"] = [html] * 99
    server.runs.append({**sample("run_queued")["data"], "id": 1})
    settings.run_id = "1"
    api = DBTCloudClientV2(credentials=settings, outage_timeout=0)
    with pytest.raises(DBTCloudResponseException, match="Is `base_api_url` the access URL"):
        run(follow_run(io, api, settings))
    assert sum(io.sleeps) <= 10


def test_real_clock(server: Server) -> None:
    """On the real clock a short run costs little more than its time."""
    config = configured(base_api_url=server.url)
    api = DBTCloudClientV2(credentials=config, outage_timeout=0)
    start = time.monotonic()
    assert run(run_job(Blocking(), api, config)).is_success
    assert len(server.runs) == 1
    assert time.monotonic() > start
