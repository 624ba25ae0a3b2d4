"""Awaited calls: the same program, side by side."""

import asyncio
import inspect
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudConnectionException,
    aio,
    jobs,
)
from dlt_dbt_cloud._api import Page
from dlt_dbt_cloud._call.awaited import Asyncio, common_time
from dlt_dbt_cloud._follow.shared import SharedPolls
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.run import DBTCloudRun

TIMES = st.floats(0, 1e7)


@given(TIMES, st.floats(0.2, 1e5))
def test_common_times(now: float, pause: float) -> None:
    """A poll comes at most as late as asked, and after the last one."""
    assert now < common_time(now, pause) <= now + pause


@given(TIMES, TIMES, st.floats(1, 60))
def test_equal_pauses_meet(now: float, later: float, pause: float) -> None:
    """Calls with the same pause wake up at multiples of one time."""
    grid = 2.0 ** (len(bin(int(pause))) - 3)
    assert common_time(now, pause) % grid == common_time(later, pause) % grid == 0


@pytest.mark.parametrize("name", ["run_dbt_cloud_job", "wait_for_dbt_cloud_runs"])
def test_signatures(name: str) -> None:
    """A function for `await` has the arguments of the one that blocks."""
    awaited, blocking = getattr(aio, name), getattr(jobs, name)
    assert inspect.iscoroutinefunction(awaited)
    assert inspect.signature(awaited) == inspect.signature(blocking)


class Runs:
    """An account in which each run succeeds at once, but one that no list shows."""

    hidden = 7

    def __init__(self) -> None:
        self.requests: list[int] = []

    def get_runs(self, *, pk__in: Sequence[int], **_: Any) -> Page[DBTCloudRun]:
        """Returns a list of runs."""
        self.requests.append(len(pk__in))
        return Page([DBTCloudRun(id=run_id) for run_id in pk__in if run_id != self.hidden])

    def get_run_status(self, run_id: int, **_: Any) -> DBTCloudRun:
        """Returns a run."""
        self.requests.append(1)
        return DBTCloudRun(id=run_id)


class Down(Runs):
    """An account that can't be read."""

    def get_runs(self, **_: Any) -> Page[DBTCloudRun]:
        """Raises."""
        raise DBTCloudConnectionException("down", url="", is_transient=True, may_have_acted=True)


def polled(api: Any, ids: Sequence[int]) -> list[Any]:
    """Returns what so many calls see that poll at one moment."""

    async def poll() -> list[Any]:
        polls = SharedPolls(Asyncio(), api)
        reads = (polls.get_run_status(run_id) for run_id in ids)
        return await asyncio.wait_for(asyncio.gather(*reads, return_exceptions=True), 20)

    return asyncio.run(poll())


def test_one_list_for_a_hundred_runs() -> None:
    """250 calls that poll at one moment make three requests, and each gets its run."""
    api, ids = Runs(), range(1000, 1250)
    assert [run.id for run in polled(api, ids)] == list(ids)
    assert api.requests == [100, 100, 50]


def test_waits_for_many_share_lists() -> None:
    """Waits for many runs, and for single ones, share the lists of their polls."""

    async def poll(api: Any) -> list[Any]:
        polls = SharedPolls(Asyncio(), api)
        lists = (polls.get_runs(pk__in=ids, limit=100) for ids in ([1, 2], [2, 3]))
        return await asyncio.gather(*lists, polls.get_run_status(4))

    api = Runs()
    one, other, alone = asyncio.run(poll(api))
    assert ([run.id for run in one.items], [run.id for run in other.items]) == ([1, 2], [2, 3])
    assert (alone.id, api.requests) == (4, [4])


def test_cancelled_poll() -> None:
    """A call that is cancelled in the middle of a poll leaves the others theirs."""

    async def poll() -> DBTCloudRun:
        api: Any = Runs()
        polls = SharedPolls(Asyncio(), api)
        first, second = (asyncio.create_task(polls.get_run_status(it)) for it in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(poll()).id == 2


def test_run_that_no_list_shows() -> None:
    """A run that the list leaves out is read alone."""
    api = Runs()
    assert [run.id for run in polled(api, [6, 7, 8])] == [6, 7, 8]
    assert api.requests == [3, 1]


def test_list_that_fails() -> None:
    """If the list can't be read, each call gets the error, and retries as it would alone."""
    errors = polled(Down(), [1, 2, 3])
    assert [type(error) for error in errors] == [DBTCloudConnectionException] * 3


def test_call_that_is_cancelled() -> None:
    """Of two calls that poll one run, the other gets it when one is cancelled."""

    async def poll() -> DBTCloudRun:
        api: Any = Runs()
        polls = SharedPolls(Asyncio(), api)
        first, second = (asyncio.create_task(polls.get_run_status(5)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.wait_for(second, 20)

    assert asyncio.run(poll()).id == 5


def statuses(cloud: LocalDBTCloud) -> list[str]:
    """Returns the statuses of all runs."""
    return [run.status_name for run in DBTCloudClientV2(credentials=cloud.credentials).list_runs()]


def test_few_threads() -> None:
    """At most four requests of a loop are on their way at one moment."""
    lock, running, most = threading.Lock(), 0, 0

    def request() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1

    async def send() -> None:
        io = Asyncio()
        await asyncio.gather(*(io.call(request) for _ in range(30)))

    asyncio.run(send())
    assert most <= 4


def test_side_by_side() -> None:
    """Many jobs are awaited at once, and each call gets its run."""
    scripted = [ScriptedJob(name=f"job {number}", statuses=[3, 10]) for number in range(12)]

    async def run_all(settings: DBTCloudConfiguration) -> list[DBTCloudRun]:
        calls = [aio.run_dbt_cloud_job(settings, job_name=job.name) for job in scripted]
        return await asyncio.gather(*calls)

    with LocalDBTCloud(jobs=scripted) as cloud:
        runs = asyncio.run(run_all(cloud.credentials))
    assert sorted(run.job_name for run in runs) == sorted(job.name for job in scripted)
    assert all(run.is_success for run in runs)


def test_cancelled_task() -> None:
    """Cancelling the task ends the call within a second, and cancels the run."""

    async def cancel(settings: Any) -> float:
        call = asyncio.create_task(aio.run_dbt_cloud_job(settings, cancel_on_abort=True))
        while not statuses(cloud):  # noqa: ASYNC110  # the server is another thread's
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)  # until the trigger is answered
        begun = time.monotonic()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return time.monotonic() - begun

    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[(0, 3)])]) as cloud:
        seconds = asyncio.run(cancel(cloud.credentials))
        assert statuses(cloud) == ["Cancelled"]
    assert seconds < 6  # one, and five to cancel


def test_stop_is_for_threads() -> None:
    """An awaited call is ended by cancelling its task: a `stop` would be ignored."""
    config = DBTCloudConfiguration(api_token="secret", account_id="1")
    call = aio.get_dbt_cloud_run_status(config, 2, stop=threading.Event())
    with pytest.raises(TypeError, match="Cancel the task"):
        asyncio.run(call)
