"""The clock of a local dbt Cloud: waiting puts it forward."""

import asyncio
import json
import threading
import time
from pathlib import Path

import pytest

from dlt_dbt_cloud._call.awaited import Asyncio
from dlt_dbt_cloud._io import Blocking, run
from dlt_dbt_cloud._io.clock import Clock, VirtualClock, current_clock
from dlt_dbt_cloud.exceptions import DBTCloudConnectionException, DBTCloudStoppedException


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a clock."""
    path = tmp_path / "cloud" / "clock"
    path.parent.mkdir()
    path.touch()
    return path


def test_without_a_local_dbt_cloud_time_is_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a local dbt Cloud that has a clock brings virtual time."""
    monkeypatch.delenv("LOCAL_DBT_CLOUD", raising=False)
    assert type(current_clock()) is Clock
    monkeypatch.setenv("LOCAL_DBT_CLOUD", json.dumps({"clock": None}))
    assert type(current_clock()) is Clock
    assert not Clock().skip(1)


def test_all_waits_of_a_process_share_the_clock(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sleep takes no time, puts the clock forward by its seconds, and never over a deadline."""
    monkeypatch.setenv("LOCAL_DBT_CLOUD", json.dumps({"clock": str(file)}))
    blocking, waiting = Blocking(), Asyncio()
    started, began = time.monotonic(), blocking.now()
    run(blocking.sleep(100))
    assert 100 <= waiting.now() - began < 110
    asyncio.run(waiting.sleep(100))
    assert 200 <= blocking.now() - began < 210
    late = blocking.until(blocking.now() + 5)
    run(late.sleep(1000))
    assert 205 <= blocking.now() - began < 215
    assert time.monotonic() - started < 5


def test_any_number_of_waiters_only_moves_it_forward(file: Path) -> None:
    """The clock never jumps back, and has moved far enough for each waiter when it goes on."""
    problems: list[float] = []

    def wait(seconds: float) -> None:
        clock = VirtualClock(file)
        for _ in range(50):
            before = clock.now()
            clock.skip(seconds)
            if VirtualClock(file).now() < before + seconds:
                problems.append(seconds)

    threads = [threading.Thread(target=wait, args=(seconds,)) for seconds in (0.1, 1, 3, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_requests_take_real_time(file: Path) -> None:
    """A caller that waits puts no request of another over its limit."""
    clock = VirtualClock(file)
    io, answered = Blocking(request_timeout=30, clock=clock), threading.Event()

    def jump() -> None:
        clock.skip(1000)
        time.sleep(0.3)
        answered.set()

    threading.Thread(target=jump).start()
    assert run(io.call(answered.wait))
    with pytest.raises(DBTCloudConnectionException, match="no answer"):
        run(Blocking(request_timeout=0.05, clock=clock).call(threading.Event().wait, 1))


def test_a_sleep_is_stopped(file: Path) -> None:
    """A call that is stopped doesn't go on in virtual time either."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(DBTCloudStoppedException):
        run(Blocking(stop=stop, clock=VirtualClock(file)).sleep(1))


def test_after_its_end_time_is_real(file: Path) -> None:
    """When the local dbt Cloud has ended, a wait is a wait, and the clock doesn't jump back."""
    clock = VirtualClock(file)
    clock.skip(1000)
    before = clock.now()
    file.unlink()
    file.parent.rmdir()
    assert clock.now() >= before
    run(Blocking(clock=clock).sleep(0.05))
    assert before + 0.05 <= clock.now() < before + 10
