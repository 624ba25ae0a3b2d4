"""The program's IO in an event loop: few threads, exact deadlines, cancellation at once."""

import asyncio
import threading
from typing import Any

import pytest

from dlt_dbt_cloud._call.awaited import Asyncio
from dlt_dbt_cloud._io import run
from dlt_dbt_cloud.exceptions import DBTCloudConnectionException


def test_exceptions_come_through() -> None:
    """What a request raises is raised where it is awaited."""
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Asyncio().call(lambda: 1 // 0))


def test_a_stalled_call_ends_at_the_deadline() -> None:
    """A call ends at the deadline, whatever the request is doing, and none is sent later."""
    stalled = threading.Event()
    sent: list[int] = []

    async def program() -> None:
        io = Asyncio()
        io = io.until(io.now() + 0.05)
        with pytest.raises(DBTCloudConnectionException, match="no answer") as lost:
            await io.call(stalled.wait)
        assert lost.value.may_have_acted
        with pytest.raises(DBTCloudConnectionException, match="deadline") as late:
            await io.call(sent.append, 1)
        assert not late.value.may_have_acted
        await io.sleep(60)

    asyncio.run(asyncio.wait_for(program(), 5))
    stalled.set()
    assert sent == []


def test_a_cancelled_task_ends_at_once() -> None:
    """Cancelling a task ends its stalled request, and the task may still say its last words."""
    stalled, words = threading.Event(), []

    async def program() -> None:
        io = Asyncio()
        try:
            await io.call(stalled.wait)
        except asyncio.CancelledError:
            words.append(await io.last(5).call(str, "bye"))
            raise

    async def main() -> Any:
        task = asyncio.create_task(program())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait_for(task, 5)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    stalled.set()
    assert words == ["bye"]


def test_blocking_programs_await_nothing_else() -> None:
    """A program that suspends outside of an event loop is refused, not left hanging."""

    class Suspends:
        def __await__(self) -> Any:
            yield

    async def program() -> None:
        await Suspends()

    with pytest.raises(RuntimeError, match="awaits something else"):
        run(program())
