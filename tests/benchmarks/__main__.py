"""Prints the report."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from . import (
    awaited,
    detection,
    duplicates,
    history,
    importing,
    local_cloud,
    many_runs,
    memory,
    select,
    sharing,
    summary,
)

SECTIONS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "detection": detection.report,
    "many_runs": many_runs.report,
    "awaited": awaited.report,
    "duplicates": duplicates.report,
    "sharing": sharing.report,
    "history": history.report,
    "importing": importing.report,
    "memory": memory.report,
    "local_cloud": local_cloud.report,
    "select": select.report,
}


def main(names: list[str]) -> int:
    """Prints the sections of the given names, by default all. Returns the exit code.

    With `--write` the table in docs/reliability.md is measured and written instead.
    """
    logging.disable()  # the failed runs that are simulated are no news
    if names == ["--write"]:
        summary.write()
        return 0
    if unknown := set(names).difference(SECTIONS):
        sys.stderr.write(f"No section {', '.join(unknown)}. There are {', '.join(SECTIONS)}.\n")
        return 2
    for name in names or SECTIONS:
        started = time.monotonic()
        for line in SECTIONS[name]():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        sys.stdout.write(f"({name} took {time.monotonic() - started:.0f} s)\n\n")
    return 0


sys.exit(main(sys.argv[1:]))
