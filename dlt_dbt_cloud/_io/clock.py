"""The clock of this process: real time, or that of the local dbt Cloud that wraps a test."""

import json
import os
import struct
import time
from array import array
from pathlib import Path
from typing import Final

VARIABLE: Final = "LOCAL_DBT_CLOUD"
"""The environment variable that describes the local dbt Cloud that wraps this process."""


class Clock:
    """Real time."""

    def now(self) -> float:
        """Returns seconds on a clock that never jumps back."""
        return time.monotonic()

    def skip(self, seconds: float) -> bool:  # noqa: ARG002  # real time can't be skipped
        """Returns True if this clock was put forward, False if the caller has to wait."""
        return False


class VirtualClock(Clock):
    """A clock on which waiting takes no time: whoever waits puts it forward.

    All processes that know its file share it. Each wait appends to the file how far the clock is
    ahead of real time then, so none needs a lock and the largest counts.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = 0.0

    def now(self) -> float:
        """Returns seconds on a clock that never jumps back."""
        return time.monotonic() + self._read()

    def skip(self, seconds: float) -> bool:
        """Puts the clock forward. Returns False if its local dbt Cloud has ended."""
        ahead = self._read() + max(0.0, seconds)
        try:
            with self._file.open("ab") as file:
                file.write(struct.pack("d", ahead))
        except OSError:
            return False
        return True

    def _read(self) -> float:
        # The largest is among the last, as long as fewer processes than that wait at one moment.
        try:
            with self._file.open("rb") as file:
                size = file.seek(0, os.SEEK_END) // 8
                file.seek(max(0, size - 64) * 8)
                values = array("d", file.read(min(size, 64) * 8))
        except OSError:
            return self._ahead
        self._ahead = max(self._ahead, *values, 0.0)
        return self._ahead


def current_clock() -> Clock:
    """Returns the clock of the local dbt Cloud that wraps this process if it has one."""
    described = os.environ.get(VARIABLE)
    file = json.loads(described).get("clock") if described else None
    return VirtualClock(Path(file)) if file else Clock()
