"""What 10,000 polls of one run leave in memory.

A run is watched through a fake API in place of the network, on a simulated clock. After a garbage
collection at the 500th and at the 10,500th request it is counted how many blocks of memory Python's
objects occupy, and how much memory the process has.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from requests import PreparedRequest, Response

from .contenders import run_helper, run_ours
from .fake_api import FakeAPI
from .processes import resident
from .text import reach, table, title

WARM_UP: Final = 500
POLLS: Final = 10_000
MAX_BLOCKS: Final = 100
"""Far fewer than one object per poll."""


@dataclass(frozen=True)
class Memory:
    """How much is occupied.

    Attributes:
        blocks: By Python's objects.
        resident: MiB of the process.
    """

    blocks: int
    resident: float


@dataclass
class MeasuringAPI(FakeAPI):
    """Measures twice.

    Attributes:
        measured: What was measured.
    """

    measured: list[Memory] = field(default_factory=list)

    def answer(self, request: PreparedRequest) -> Response:
        """Answers a request, the two before which it measures among them."""
        self.polls.clear()  # else they would be what grows
        if self.requests in {WARM_UP, WARM_UP + POLLS}:
            gc.collect()
            self.measured.append(Memory(sys.getallocatedblocks(), resident()))
        return super().answer(request)


def watched(contender: Callable[[FakeAPI], None]) -> tuple[Memory, Memory]:
    """Has a run watched. Returns the memory before and after 10,000 polls."""
    api = MeasuringAPI(ends_at=10.0 * (WARM_UP + POLLS + 1))
    with api.plugged_in():
        contender(api)
    before, after = api.measured
    return before, after


def row(name: str, before: Memory, after: Memory) -> list[str]:
    """Returns a row of the table."""
    grown = after.resident - before.resident
    return [name, f"{after.blocks - before.blocks:+}", f"{grown:+.2f} MiB"]


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title(f"Memory that {POLLS:,} polls of one run leave behind")
    ours, helper = watched(run_ours), watched(run_helper)
    rows = [row("ours", *ours), row("helper", *helper)]
    yield from table(("", "blocks of objects", "memory of the process"), rows)
    growth = ours[1].blocks - ours[0].blocks
    yield reach(f"no growth: {growth} blocks", holds=growth <= MAX_BLOCKS)
