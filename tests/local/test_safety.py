"""A server that is left running: whom it answers, and what the worst client can cost."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.local.api import http, wire


def send(cloud: LocalDBTCloud, raw: bytes) -> bytes:
    """Send bytes, and read all that is answered until the server hangs up."""
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def head(api: Any, method: str = "GET", path: str = "runs/", **headers: str) -> bytes:
    """Make the head of a request."""
    lines = {
        "Host": api.settings["base_api_url"].removeprefix("http://"),
        "Authorization": f"Token {api.settings['api_token']}",
        "Connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    target = f"{api.account}/{path}".removeprefix(api.settings["base_api_url"])
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode()


def status(answer: bytes) -> int:
    """Returns the status of an answer."""
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "", "@", "["]
)
def test_only_its_own_host_is_answered(api: Any, scripted: LocalDBTCloud, host: str) -> None:
    """A request for another host, as a rebound name makes a browser send it, is refused."""
    assert status(send(scripted, head(api, Host=host))) in (400, 421)
    trigger = head(api, "POST", f"jobs/{api.job_id}/run/", Host=host)
    assert status(send(scripted, trigger)) in (400, 421)
    assert api.get("runs/") == []


def test_localhost_is_its_own_host(api: Any, scripted: LocalDBTCloud) -> None:
    """The server has two names."""
    assert status(send(scripted, head(api, Host=f"localhost:{scripted.port}"))) == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", ""])
def test_pages_of_other_origins_change_nothing(api: Any, origin: str) -> None:
    """What changes state is refused if a page of another origin sends it, token or not."""
    headers = {"Origin": origin}
    path = f"jobs/{api.job_id}/run/"
    if origin:
        refused = api.refusal("POST", path, json={"cause": "x"}, headers=headers)
        assert refused[0] == 403
        assert api.get("runs/") == []
    own = {"Origin": api.settings["base_api_url"]}
    assert api.request("POST", path, json={"cause": "x"}, headers=own).status_code == 200


def test_large_bodies_are_refused_unread(api: Any, scripted: LocalDBTCloud) -> None:
    """A body over 1 MiB is refused by its length alone, one of 1 MiB is read."""
    path = f"jobs/{api.job_id}/run/"
    announced = head(api, "POST", path, Content_Length=str(http.MAX_BODY + 1))
    assert status(send(scripted, announced)) == 413
    fits = {"cause": "x", "unknown": "x" * (http.MAX_BODY - 100)}
    assert api.request("POST", path, json=fits).status_code == 200
    chunked = head(api, "POST", path, Transfer_Encoding="chunked")
    chunks = (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 17 + b"0\r\n\r\n"
    assert status(send(scripted, chunked + chunks)) == 413
    assert requests.post(scripted.url, data=b"x" * 2**22, timeout=10).status_code == 413


def test_large_bodies_are_forgotten(api: Any, scripted: LocalDBTCloud) -> None:
    """Bodies that were refused or are old take no memory."""
    path = f"jobs/{api.job_id}/run/"
    tracemalloc.start()
    for _ in range(40):
        api.request("POST", path, data=b"x" * (http.MAX_BODY + 1))
        api.request("POST", path, data=b"x" * http.MAX_BODY)
    gc.collect()
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < wire.MAX_LOGGED * 1.5


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"GET /" + b"x" * http.MAX_HEADERS + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * http.MAX_HEADERS, 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbroken header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 421),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 421),
        (b"\xff\xfe\x00", None),
        (b"GET / HT", None),
        (b"", None),
    ],
)
def test_malformed_requests(
    api: Any, scripted: LocalDBTCloud, raw: bytes, expected: int | None
) -> None:
    """What is no request gets a 4xx or nothing, and the server goes on."""
    answer = send(scripted, raw)
    assert (status(answer) if answer else None) == expected
    assert api.get("runs/") == []


def test_unknown_methods(api: Any, scripted: LocalDBTCloud) -> None:
    """A method that no operation has is a 405, whatever it is called."""
    for method in ("PUT", "BREW", "X" * 1000):
        assert status(send(scripted, head(api, method))) == 405
    assert status(send(scripted, head(api, "get"))) == 400


def test_slow_connections_cost_no_thread(
    api: Any, scripted: LocalDBTCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 clients that send slowly have no thread, keep none waiting, and are hung up on."""
    monkeypatch.setattr(http, "_PATIENCE", 0.5)
    before = threading.active_count()
    slow = [socket.create_connection(("127.0.0.1", scripted.port)) for _ in range(200)]
    for connection in slow:
        connection.sendall(head(api)[:-4])
    began = time.monotonic()
    assert api.get("runs/") == []
    assert time.monotonic() - began < 5
    assert threading.active_count() <= before + 2
    for connection in slow:
        connection.settimeout(20)
        assert connection.recv(1) == b""
        connection.close()
    assert api.get("runs/") == []


def test_dripping_connections_are_ended(
    api: Any, scripted: LocalDBTCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends a byte now and then is hung up on like one that sends none."""
    monkeypatch.setattr(http, "_PATIENCE", 0.5)
    with socket.create_connection(("127.0.0.1", scripted.port)) as connection:
        give_up = time.monotonic() + 20
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() < give_up:
                connection.sendall(b"G")
                time.sleep(0.1)
        assert time.monotonic() < give_up


def test_the_log_of_requests_is_bounded(
    api: Any, scripted: LocalDBTCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest requests are forgotten, by number and by length."""
    monkeypatch.setattr(wire, "MAX_REQUESTS", 5)
    for limit in range(1, 10):
        api.get("runs/", limit=limit)
    assert [request.path[-1] for request in scripted.requests] == list("56789")
    monkeypatch.setattr(wire, "MAX_LOGGED", 3000)
    api.trigger(unknown="x" * 2900)
    assert len(scripted.requests) == 1


@pytest.mark.slow
def test_a_thousand_runs(make_api: Callable[..., Any]) -> None:
    """1,000 runs take less than 100 MB, and a list is as fast as before. Old folders are gone."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[10])], keep_runs=10) as cloud:
        api = make_api(cloud)

        def listed() -> float:
            began = time.process_time()
            for _ in range(5):
                api.get("runs/", order_by="-id", job_definition_id=api.job_id)
            return time.process_time() - began

        for _ in range(100):
            api.run(api.trigger()["id"])
        seconds, memory = listed(), resident()
        for _ in range(900):
            last = api.run(api.trigger()["id"])
        assert resident() - memory < 100e6
        assert listed() < 2 * seconds + 0.1
        assert len(list(cloud.runs_dir.iterdir())) == 10
        assert api.get(f"runs/{last['id']}/artifacts/") == ["run_results.json"]
        oldest = api.get("runs/", limit=1)[0]["id"]
        assert api.get(f"runs/{oldest}/artifacts/") is None
        assert api.request("GET", f"runs/{oldest}/artifacts/run_results.json").status_code == 404


def resident() -> int:
    """Returns the memory of this process, in bytes."""
    with open("/proc/self/statm", encoding="utf-8") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
