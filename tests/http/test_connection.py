"""The time, the size and the threads of requests, over real sockets."""

import gzip
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from dlt_dbt_cloud import (
    DBTCloudAPIException,
    DBTCloudClientV2,
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)
from dlt_dbt_cloud._http.transport import Transport
from dlt_dbt_cloud._io import Blocking, run
from tests.http.wire import (
    CERTIFICATE,
    Behaviour,
    WireServer,
    envelope,
    flood,
    hold,
    sends,
    stall,
    trickle,
)
from tests.http.wire import (
    http as http_answer,
)
from tests.utils import TOKEN, configured

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = ("200 OK", "Content-Encoding: gzip")
LATE: dict[str, Behaviour] = {
    "no answer": stall,
    "half a status line": hold(b"HTTP/1.1 2"),
    "headers, a byte at a time": trickle(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "ever more headers": trickle(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "interim answers": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a flood of interim answers": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "body, a byte at a time": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
    "chunks": trickle(CHUNKED, b"1\r\nx\r\n"),
    "no end of the body": trickle(b"HTTP/1.1 200 OK\r\n\r\n{", b" "),
    "body of an error": hold(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\n"),
}
TIMEOUT = 0.3


def transport(server: WireServer, max_file: int = 2**20, timeout: float = TIMEOUT) -> Transport:
    """Returns a transport to the server that waits 0.3 s."""
    return Transport(TOKEN, server.url, timeout, max_file, trust_env=server.url[:5] == "https")


class TestTime:
    """A request ends when its time is over, whatever the server sends, and with it its thread."""

    @pytest.mark.parametrize("tls", [False, True])
    @pytest.mark.parametrize("behave", LATE.values(), ids=LATE)
    def test_total_time(
        self, behave: Behaviour, tls: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Headers and body must have arrived after `request_timeout`; then the socket is closed."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        with WireServer(behave, tls=tls) as server:
            started = time.monotonic()
            with pytest.raises(DBTCloudConnectionException, match=r"(?i)timed out") as caught:
                transport(server).send("POST", "x", json={})
            assert TIMEOUT * 0.9 < time.monotonic() - started < TIMEOUT + 0.7
            assert caught.value.is_transient
            assert caught.value.may_have_acted
            assert server.gone.wait(2)
            assert len(server.requests) == 1

    def test_threads_end(self) -> None:
        """A request that its caller no longer waits for leaves neither thread nor socket."""
        with WireServer(LATE["chunks"]) as server:
            io = Blocking(request_timeout=0.05)
            with pytest.raises(DBTCloudConnectionException):
                run(io.call(transport(server).send, "GET", "x"))
            (thread,) = [t for t in threading.enumerate() if t.name == "dlt-dbt-cloud-request"]
            thread.join(2)
            assert not thread.is_alive()
            assert server.gone.wait(2)

    def test_handshake(self) -> None:
        """A server that never answers a TLS handshake is a connection error in time."""
        with WireServer(stall) as server:
            url = server.url.replace("http:", "https:")
            started = time.monotonic()
            with pytest.raises(DBTCloudConnectionException, match="timed out"):
                Transport(TOKEN, url, TIMEOUT).send("GET", "x")
            assert time.monotonic() - started < TIMEOUT + 0.7

    def test_slow_but_in_time(self) -> None:
        """What trickles in within the time is an answer like any other."""

        def slowly(connection: object) -> None:
            for byte in envelope([1]):
                connection.sendall(bytes([byte]))  # type: ignore[attr-defined]
                time.sleep(0)

        with WireServer(slowly) as server:
            assert transport(server).send("GET", "x")["data"] == [1]

    def test_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The setting `request_timeout` of a client is the time of each of its requests."""
        monkeypatch.setenv("DBT_CLOUD__REQUEST_TIMEOUT", str(TIMEOUT))
        with WireServer(LATE["chunks"]) as server:
            client = DBTCloudClientV2(TOKEN, "1", server.url, outage_timeout=0)
            started = time.monotonic()
            with pytest.raises(DBTCloudConnectionException, match=r"(?i)timed out"):
                client.get_run_status(1)
            assert time.monotonic() - started < TIMEOUT + 0.7


class TestSize:
    """An answer costs no more memory than the bound of its size."""

    @pytest.mark.parametrize(
        "behave",
        [
            flood(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"),
            flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
            sends(
                http_answer(
                    gzip.compress(b" " * 2**20, mtime=0) * 200, "200 OK", "Content-Encoding: gzip"
                )
            ),
            sends(http_answer(b" " * (2**20 + 1))),
        ],
        ids=["endless chunks", "endless body", "gzip bomb", "one byte too many"],
    )
    def test_bound(self, behave: Behaviour) -> None:
        """A bomb and an endless body end at the bound, without a second attempt."""
        with WireServer(behave) as server:
            client = transport(server, timeout=20)
            tracemalloc.start()
            with pytest.raises(DBTCloudResponseException, match="returned more than"):
                client.get_file("x", {})
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 8 * 2**20

    def test_bound_of_an_error(self) -> None:
        """An error keeps its status, however large its body is; so does a redirect."""
        body = gzip.compress(b"<p>" * 2**22, mtime=0)
        redirect = http_answer(
            body, "302 Found", "Content-Encoding: gzip", "Location: http://[x/\xff"
        )
        error = http_answer(body, "503 Slow", "Content-Encoding: gzip", "Retry-After: 9")
        for status, answer in ((302, redirect), (503, error)):
            with WireServer(sends(answer)) as server:
                with pytest.raises(DBTCloudHTTPException) as caught:
                    transport(server).send("GET", "x")
                assert caught.value.status_code == status
                assert len(str(caught.value)) < 1000
                assert caught.value.response is not None
                assert len(caught.value.response.text) <= 20_000

    def test_bound_of_a_file(self) -> None:
        """A file has a bound of its own."""
        with WireServer(sends(http_answer("select 1"))) as server:
            assert transport(server, 8).get_file("x", {}) == "select 1"
            with pytest.raises(DBTCloudResponseException, match="returned more than"):
                transport(server, 7).get_file("x", {})

    def test_bounds_of_a_client(self) -> None:
        """A client reads 16 MiB of JSON, and of an artifact what `max_artifact_bytes` says."""
        head = b'HTTP/1.1 200 OK\r\n\r\n{"data": {"id": 1, "x": "'
        with WireServer(flood(head, b"x" * 2**20)) as server:
            config = configured(base_api_url=server.url, max_artifact_bytes=2**10)
            client = DBTCloudClientV2(credentials=config, outage_timeout=0)
            tracemalloc.start()
            with pytest.raises(DBTCloudResponseException, match="returned more than"):
                client.get_artifact(1, "a.sql")
            assert tracemalloc.get_traced_memory()[1] < 2**20
            with pytest.raises(DBTCloudResponseException, match="returned more than"):
                client.get_run_status(1)
            assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
            tracemalloc.stop()
        large = envelope({"id": 1, "x": "x" * (15 * 2**20)})
        with WireServer(sends(large)) as server:
            client = DBTCloudClientV2(credentials=configured(base_api_url=server.url))
            assert len(client.get_run_status(1)["x"]) == 15 * 2**20

    def test_compressed(self) -> None:
        """A compressed answer is read, also if it has several parts."""
        head, tail = b'{"data": ', b"[1]}"
        body = gzip.compress(head, mtime=0) + gzip.compress(tail, mtime=0)
        with WireServer(sends(http_answer(body, *GZIP))) as server:
            assert transport(server).send("GET", "x") == {"data": [1]}

    @pytest.mark.parametrize(
        "body",
        [
            gzip.compress(b'{"data": 1}', mtime=0)[:-9],
            gzip.compress(b"x" * 99, mtime=0)[:20] + b"\0" * 9,
            b"{",
        ],
    )
    def test_broken_compression(self, body: bytes) -> None:
        """A body that is cut or corrupt is a lost answer: it may be there next time."""
        with WireServer(sends(http_answer(body, *GZIP))) as server:
            with pytest.raises(DBTCloudConnectionException) as caught:
                transport(server).send("GET", "x")
            assert caught.value.is_transient
            assert caught.value.may_have_acted


class TestNonsense:
    """Whatever bytes come, one of our exceptions comes of it."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"\0\xff\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 99999999999999999999 OK\r\n\r\n",
            b"HTTP/1.1 -1 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n{}",
            CHUNKED + b"zz\r\n{}",
            CHUNKED + b"-5\r\n{}",
            CHUNKED + b"ffffffffffffffffffffffff\r\n{}",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\0; Domain=..\r\nContent-Type: \xff\r\n\r\n[]",
            b"HTTP/1.1 302 \x1b[31m\xff\r\nLocation: \xff\x1b]0;x\x07\r\n\r\n\x9b",
            b"HTTP/1.1 101 Switching\r\n\r\n",
            b"HTTP/1.1 204 No\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe{",
        ],
    )
    def test_bytes(self, answer: bytes) -> None:
        """No bytes bring another exception than ours out of a request, nor control characters."""

        def behave(connection: object) -> None:
            connection.sendall(answer)  # type: ignore[attr-defined]
            connection.close()  # type: ignore[attr-defined]

        with WireServer(behave) as server:
            with pytest.raises(DBTCloudAPIException) as caught:
                transport(server).send("GET", "x")
            assert str(caught.value).isprintable()
            assert len(str(caught.value)) < 1200


class TestThreads:
    """One client serves many threads, and processes that were forked after it was made."""

    def test_fifty_threads(self) -> None:
        """50 requests are made at once, and their connections are used again by other threads."""
        barrier = threading.Barrier(50)

        def together(connection: object) -> None:
            barrier.wait(10)
            connection.sendall(envelope({"id": 1}))  # type: ignore[attr-defined]

        with WireServer(together) as server:
            client = DBTCloudClientV2(credentials=configured(base_api_url=server.url))
            for _ in range(3):
                with ThreadPoolExecutor(50) as pool:
                    runs = list(pool.map(client.get_run_status, [1] * 50))
                assert [run.id for run in runs] == [1] * 50
            assert len(server.requests) == 150
            assert len(set(server.peers)) == 50

    def test_cookies(self) -> None:
        """Cookies are not kept: their jar can't be used by two threads at once."""
        answer = envelope([]).replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
        with WireServer(sends(answer)) as server:
            client = transport(server)
            client.send("GET", "x")
            client.send("GET", "x")
            assert b"cookie" not in server.requests[1].lower()

    def test_fork(self) -> None:
        """A client that has made a request works after a fork, on a connection of its own."""
        script = """
import os, sys
from dlt_dbt_cloud._http.transport import Transport
transport = Transport("secret-token", sys.argv[1])
transport.send("GET", "before")
child = os.fork()
line = ("parent" if child else "child") + f" {transport.send('GET', 'after')['data']}\\n"
os.write(1, line.encode())
if child:
    os.waitpid(child, 0)
    transport.send("GET", "parent")
"""
        with WireServer(sends(envelope([7]))) as server:
            command = [sys.executable, "-c", script, server.url]
            output = subprocess.check_output(command, text=True, timeout=60)
            assert sorted(output.split("\n")[:2]) == ["child [7]", "parent [7]"]
            assert len(set(server.peers)) == 2
            assert server.peers[0] == server.peers[-1]
