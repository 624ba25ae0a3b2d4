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
    known_jobs,
    local_cloud,
    many_runs,
    memory,
    polls,
    select,
    sharing,
)

SECTIONS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "detection": detection.report,
    "known_jobs": known_jobs.report,
    "many_runs": many_runs.report,
    "awaited": awaited.report,
    "duplicates": duplicates.report,
    "sharing": sharing.report,
    "history": history.report,
    "importing": importing.report,
    "polls": polls.report,
    "memory": memory.report,
    "local_cloud": local_cloud.report,
    "select": select.report,
}


def main(names: list[str]) -> int:
    """Prints the sections of the given names, by default all. Returns the exit code."""
    if unknown := set(names).difference(SECTIONS):
        sys.stderr.write(f"No section {', '.join(unknown)}. There are {', '.join(SECTIONS)}.\n")
        return 2
    logging.disable()  # the failed runs that are simulated are no news
    for name in names or SECTIONS:
        started = time.monotonic()
        for line in SECTIONS[name]():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        sys.stdout.write(f"({name} took {time.monotonic() - started:.0f} s)\n\n")
    return 0


sys.exit(main(sys.argv[1:]))
