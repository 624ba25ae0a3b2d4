"""The table of docs/reliability.md, from the sections of the benchmarks."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from . import awaited, detection, duplicates, importing, many_runs
from .contenders import ours_config, run_helper, run_ours
from .fake_api import FakeAPI

PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
HEADER: Final = "| | dlt's helper | this library |"
CASES: Final = {
    "new job, 15 s": "delay in noticing the end of a run of 15 s, on average",
    "usually 10 min": "delay in noticing the end of a usual run of a job of 10 min",
    "usually 10 min, ends in the first 7": "delay if a run of that job ends in the first 7 min",
    "usually 10 min, takes 15 to 20": "delay if a run of that job takes 15 to 20 min",
}


def rows() -> Iterator[tuple[str, str, str]]:
    """Yields what is measured, for the helper and here."""
    name = "502 after the run was created"
    yield "runs after a 502 to the trigger", _runs(run_helper, name), _runs(run_ours, name)
    for case, text in CASES.items():
        found = detection.CASES[case]()
        delays = (f"{it.mean_delay:.1f} s" for it in (found.helper, found.ours))
        yield text, *delays  # type: ignore[misc]
        if case == "usually 10 min":
            counts = (f"{it.mean_requests:.0f}" for it in (found.helper, found.ours))
            yield "requests for a usual run of that job", *counts  # type: ignore[misc]
    wait = many_runs.cost(many_runs.ours, 100), many_runs.cost(many_runs.helper_threads, 100)
    yield "requests for 100 runs of 5 min", f"{wait[1].requests:,.0f}", f"{wait[0].requests:,.0f}"
    client = awaited.SlowClient(ours_config())
    asyncio.run(awaited.awaited(client))
    yield "threads for 500 runs awaited in asyncio", "500", f"{client.threads}"
    pairs = [[importing.timed_import(it).cpu for it in MODULES] for _ in range(9)]
    times = (f"{1000 * min(cpu):.0f} ms" for cpu in zip(*pairs, strict=True))
    yield "import after `import dlt`, CPU", *times  # type: ignore[misc]


MODULES: Final = (importing.HELPER, importing.OURS)


def _runs(contender: Callable[[FakeAPI], None], name: str) -> str:
    return duplicates.runs_of(contender, name).partition(",")[0]


def write() -> None:
    """Writes the table into the page."""
    lines = [HEADER, "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows())]
    before, _, rest = PAGE.read_text().partition(HEADER)
    after = rest.partition("\n\n")[2]
    PAGE.write_text(before + "\n".join(lines) + "\n" + (f"\n{after}" if after else ""))
