"""How fast the source of results loads a history of runs, and how much memory it takes.

A stub on loopback, in a process of its own, makes up the runs: four steps each, the last of which
has built 200 nodes, 0.2 MB of JSON. They are loaded into DuckDB by a new process. Its memory is the
most that it ever had until the end of a step, beyond what it had before the first.

The same is done for each file format that dlt may be told to load, and for a project of 5,000
nodes, whose manifest has 50 MB. Beside it dlt alone loads as many results of nodes, as rows that
are there already: it has nothing to read from an API and nothing to parse.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .processes import serving
from .stub_history import NODES
from .text import reach, table, title

FEW: Final = 250
"""Number of runs after which memory has what it needs for a part: the rest should add nothing."""
MANY: Final = 1000
LARGE: Final = 5000
"""Number of nodes of the large project."""
FORMATS: Final = ("parquet", "jsonl", "insert_values")
MIN_SPEED: Final = 10_000
"""Rows per second of the whole."""
MAX_MEMORY: Final = 500
"""MiB of the whole."""
MAX_ADDED: Final = 20
"""MiB that the extract may take more for many runs than for few, a tenth of their JSON."""


@dataclass(frozen=True)
class Load:
    """A history that was loaded.

    Attributes:
        runs: How many runs there were.
        file_format: Format of the files that DuckDB loads.
        nodes: How many nodes the project has, 0 if dlt loaded rows that were there.
        before: MiB of the process before.
        rows: How many were loaded, by table.
        steps: Seconds and the most MiB until the end, of each step of the pipeline.
    """

    runs: int
    file_format: str
    nodes: int
    before: float
    rows: dict[str, int]
    steps: dict[str, tuple[float, float]]

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values())

    @property
    def speed(self) -> float:
        """Rows per second of the whole."""
        return self.total / sum(seconds for seconds, _ in self.steps.values())

    def memory(self, step: str) -> float:
        """Returns the MiB until the end of a step, beyond those before."""
        return self.steps[step][1] - self.before

    @property
    def name(self) -> str:
        """What was loaded."""
        what = f"{self.nodes:,} nodes" if self.nodes else "by dlt alone"
        return f"{self.runs:,} runs, {what}, {self.file_format}"

    def table_rows(self) -> Iterator[list[str]]:
        """Yields rows of the table."""
        for step, (seconds, _) in self.steps.items():
            yield self._row(f"{self.name}, {step}", seconds, self.memory(step))
        seconds = sum(seconds for seconds, _ in self.steps.values())
        yield self._row(f"{self.name}, whole", seconds, self.memory("load"))

    def _row(self, name: str, seconds: float, memory: float) -> list[str]:
        speed = f"{self.total / seconds:,.0f}"
        return [name, f"{self.total:,}", f"{seconds:.1f} s", speed, f"{memory:.0f} MiB"]


def loaded(runs: int, file_format: str, nodes: int = NODES) -> Load:
    """Loads a history of so many runs of a project with so many nodes."""
    with serving("stub_history", str(runs), str(nodes)) as (_, port):
        return load(f"http://127.0.0.1:{int(port)}", runs, file_format, nodes)


def load(origin: str, runs: int, file_format: str, nodes: int) -> Load:
    """Loads in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        module = f"{__package__}.load_history"
        command = [sys.executable, "-m", module, origin, folder, file_format]
        measured = json.loads(subprocess.check_output(command, env=environment))
    return Load(runs, file_format, nodes, **measured)


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title(f"A history of runs with {NODES} nodes each, into DuckDB")
    few = loaded(FEW, FORMATS[0])
    large = loaded(FEW, FORMATS[0], LARGE)
    many = [loaded(MANY, file_format) for file_format in FORMATS]
    alone = load(str(MANY), MANY, FORMATS[0], 0)
    header = ("", "rows", "time", "rows per second", "memory")
    loads = (few, large, *many, alone)
    yield from table(header, [row for load in loads for row in load.table_rows()])
    yield f"rows by table: {', '.join(f'{name} {n:,}' for name, n in many[0].rows.items())}"
    speed = min(load.speed for load in many)
    yield reach(f"at least {MIN_SPEED:,} rows per second: {speed:,.0f}", holds=speed >= MIN_SPEED)
    yield f"{speed / alone.speed:.2f} of the speed of dlt alone, which has the rows already"
    memory = max(load.memory("load") for load in (large, *many))
    yield reach(f"at most {MAX_MEMORY} MiB: {memory:.0f}", holds=memory <= MAX_MEMORY)
    added = many[0].memory("extract") - few.memory("extract")
    yield reach(
        f"{MANY // FEW} times the runs add at most {MAX_ADDED} MiB to the extract: {added:+.1f}",
        holds=added <= MAX_ADDED,
    )
