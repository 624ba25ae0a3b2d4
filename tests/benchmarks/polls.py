"""Polls per second over a real connection, and CPU per poll.

Each contender polls a stub on loopback, in a process of its own, over a connection that is kept:
`get_run_status` of this package's `DBTCloudClientV2` and of the one of dlt's helper.
They take turns in blocks of polls. CPU is that of the polling process, the ratios are medians of
the ratios of neighbours.

To loopback this package asks no proxy. To any other host it does, as the helper always does, so it
is measured that way too, and that is what is compared.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from dlt.helpers.dbt_cloud.client import DBTCloudClientV2 as HelperClient

from dlt_dbt_cloud import DBTCloudClientV2

from .contenders import TOKEN, ours_config
from .fake_api import SAMPLES, sample
from .processes import serving
from .text import reach, table, title

LOOPBACK: Final = "ours, to loopback"
OURS: Final = "ours, as to any host"
HELPER: Final = "helper"
RUN_ID: Final[int] = sample("run_running")["data"]["id"]
BLOCKS: Final = 40
POLLS: Final = 75
"""Polls in a block."""


@dataclass(frozen=True)
class Block:
    """Polls, one after the other.

    Attributes:
        wall: Seconds per poll.
        cpu: Seconds of the processor per poll.
    """

    wall: float
    cpu: float


def contenders(url: str) -> dict[str, Callable[[], object]]:
    """Returns the ways to poll."""
    to_loopback, to_any, helper = (
        DBTCloudClientV2(credentials=ours_config(base_api_url=url), outage_timeout=0),
        DBTCloudClientV2(credentials=ours_config(base_api_url=url), outage_timeout=0),
        HelperClient(TOKEN, "1", f"{url}/api"),
    )
    to_any._transport._session().trust_env = True
    return {
        LOOPBACK: lambda: to_loopback.get_run_status(RUN_ID),
        OURS: lambda: to_any.get_run_status(RUN_ID),
        HELPER: lambda: helper.get_run_status(RUN_ID),
    }


def timed(poll: Callable[[], object]) -> Block:
    """Polls a block."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(POLLS):
        poll()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Block(wall / POLLS, cpu / POLLS)


def rounds(url: str) -> list[dict[str, Block]]:
    """Returns a block of each, time and again, after one to warm up."""
    polls = contenders(url)
    return [{name: timed(poll) for name, poll in polls.items()} for _ in range(BLOCKS + 1)][1:]


def row(name: str, blocks: list[Block]) -> list[str]:
    """Returns a row of the table."""
    wall, cpu = median(b.wall for b in blocks), [b.cpu for b in blocks]
    return [name, f"{1 / wall:.0f}", f"{1e6 * median(cpu):.0f} us", f"{1e6 * min(cpu):.0f} us"]


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title("Polls over a kept connection to a stub on loopback")
    with serving("stub", SAMPLES / "run_running.json") as (_, port):
        results = rounds(f"http://127.0.0.1:{int(port)}")
    rows = [row(name, [r[name] for r in results]) for name in results[0]]
    yield from table(("", "polls per second", "CPU per poll", "least CPU"), rows)
    speed = median(r[HELPER].wall / r[OURS].wall for r in results)
    cpu = median(r[OURS].cpu / r[HELPER].cpu for r in results)
    yield f"polls per second: {speed:.2f} times the helper's"
    yield reach(f"CPU per poll at most 1.00 of the helper's: {cpu:.2f}", holds=cpu <= 1)
