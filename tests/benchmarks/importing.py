"""What `from dlt_dbt_cloud import run_dbt_cloud_job` adds to `import dlt`, beside the helper's.

Each import is timed in a new process, after `import dlt`, in turn. The ratio is the median of the
ratios of neighbours. The least CPU is the figure with the least noise of the machine in it. Modules
are those that `sys.modules` has more afterwards.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from .text import reach, table, title

OURS: Final = "dlt_dbt_cloud"
HELPER: Final = "dlt.helpers.dbt_cloud"
REPETITIONS: Final = 15
CODE: Final = """
import json, sys, time
import dlt
before = len(sys.modules)
wall, cpu = time.perf_counter(), time.process_time()
from {module} import run_dbt_cloud_job
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([wall, cpu, len(sys.modules) - before]))
"""


@dataclass(frozen=True)
class Import:
    """One import.

    Attributes:
        wall: Seconds it took.
        cpu: Seconds of the processor it took.
        modules: How many modules it added.
    """

    wall: float
    cpu: float
    modules: int


def timed_import(module: str) -> Import:
    """Imports a module after dlt, in a new process that may keep compiled files."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CODE.format(module=module)]
    return Import(*json.loads(subprocess.check_output(command, env=environment)))


def row(module: str, imports: list[Import]) -> list[str]:
    """Returns a row of the table."""
    times = [
        median(i.wall for i in imports),
        median(i.cpu for i in imports),
        min(i.cpu for i in imports),
    ]
    return [module, *(f"{1000 * seconds:.1f} ms" for seconds in times), f"{imports[0].modules}"]


def report() -> Iterator[str]:
    """Yields the lines of this section."""
    yield from title("Import of run_dbt_cloud_job after `import dlt`")
    for module in (OURS, HELPER):
        timed_import(module)  # compiles, and warms the caches of the disk
    pairs = [(timed_import(OURS), timed_import(HELPER)) for _ in range(REPETITIONS)]
    ours, helper = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    header = ("", "time", "CPU", "least CPU", "modules added")
    yield from table(header, [row(OURS, ours), row(HELPER, helper)])
    ratio = median(mine.cpu / theirs.cpu for mine, theirs in pairs)
    yield reach(f"CPU of the import at most 1.00 of the helper's: {ratio:.2f}", holds=ratio <= 1)
