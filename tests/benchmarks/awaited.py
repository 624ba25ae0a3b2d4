"""What it costs to await many runs in one event loop, each by a call of its own.

The program of `get_dbt_cloud_run_status` runs 500 times in asyncio, over a client whose requests
take 2 ms, and which shows each run as succeeded from the third second on.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudConfiguration, DBTCloudRun
from dlt_dbt_cloud._api import Page
from dlt_dbt_cloud._call import follow_run
from dlt_dbt_cloud._call.awaited import Asyncio

from .contenders import ours_config
from .fake_api import sample
from .text import reach, table, title

CALLS: Final = 500
SECONDS: Final = 3.0
MOST: Final = 4


class SlowClient(DBTCloudClientV2):
    """A client whose requests take 2 ms, and whose runs succeed after three seconds."""

    def __init__(self, config: DBTCloudConfiguration) -> None:
        super().__init__(credentials=config, outage_timeout=0)
        self.started = time.monotonic()
        self.requests = self.threads = self._busy = 0
        self._lock = threading.Lock()

    def get_run_status(self, run_id: int | str, **_: Any) -> DBTCloudRun:
        """Returns a run."""
        with self._lock:
            self._busy += 1
            self.requests += 1
            self.threads = max(self.threads, self._busy)
        time.sleep(0.002)
        with self._lock:
            self._busy -= 1
        is_over = time.monotonic() - self.started > SECONDS
        data = sample("run_success_related" if is_over else "run_running")["data"]
        return DBTCloudRun({**data, "id": int(run_id)})

    def get_runs(self, **_: Any) -> Page[DBTCloudRun]:
        """Returns no runs: the job has no history."""
        self.requests += 1
        return Page([])


async def awaited(client: SlowClient) -> float:
    """Awaits all runs. Returns the seconds after the end of the runs."""
    io = Asyncio()
    configs = [ours_config(run_id=str(number)) for number in range(1, CALLS + 1)]
    client.started = time.monotonic()
    found = await asyncio.gather(*(follow_run(io, client, config) for config in configs))
    assert all(run.is_success for run in found)
    return time.monotonic() - client.started - SECONDS


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title(f"{CALLS} runs awaited at once in asyncio")
    client = SlowClient(ours_config())
    late = asyncio.run(awaited(client))
    row = [f"{client.threads}", f"{client.requests}", f"{late:.1f} s"]
    yield from table(("threads", "requests", "all known after the end"), [row])
    yield reach(f"at most {MOST} threads: {client.threads}", holds=client.threads <= MOST)
