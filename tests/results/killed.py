"""Loads a history in processes that are killed, and then once more.

`python -m tests.results.killed URL FOLDER` prints for each place of a kill what is loaded in the
end: a line with the place and JSON. The first line is that of a load that nobody killed.
"""

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.common.runtime.collector import NullCollector

from dlt_dbt_cloud import DBTCloudConfiguration
from dlt_dbt_cloud.sources import dbt_cloud_source
from dlt_dbt_cloud.sources.schema import NODE_RESULTS, RUNS
from tests.results.shared import contents

ALL: Final = sys.maxsize
LOADED: Final = (RUNS, NODE_RESULTS)
PLACES: Final = 3
"""Number of places at which a load is killed."""


class Killer(NullCollector):
    """Kills the process at an update of the progress, of which there are some in each step."""

    def __init__(self, at: int) -> None:
        self.at, self.updates = at, 0

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Counts, and kills."""
        self.updates += 1
        if self.updates == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def load(url: str, folder: Path, at: int) -> int:
    """Loads the history, and returns how many updates there were."""
    killer = Killer(at)
    pipeline = pipeline_in(folder, killer)
    config = DBTCloudConfiguration(api_token="t", account_id="1", base_api_url=url)
    source = dbt_cloud_source(credentials=config, all_jobs=True)
    pipeline.run(source.with_resources(*(table.name for table in LOADED)))
    return killer.updates


def pipeline_in(folder: Path, killer: Killer) -> dlt.Pipeline:
    """Returns a pipeline that lives in a folder."""
    destination = dlt.destinations.duckdb(str(folder / "history.duckdb"))
    return dlt.pipeline(
        "killed", str(folder), destination=destination, dataset_name="dbt", progress=killer
    )


def in_child(url: str, folder: Path, at: int) -> int:
    """Loads in a process of its own. Returns its exit code, or minus the signal that killed it."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    folder.mkdir(exist_ok=True)
    updates = load(url, folder, at)
    (folder / "updates").write_text(str(updates))
    os._exit(0)


def loaded(folder: Path) -> str:
    """Returns all rows as JSON."""
    return json.dumps(contents(pipeline_in(folder, Killer(ALL)), LOADED), default=str)


def main(url: str, folder: Path) -> None:
    """Loads without a kill, and then with one at each of some random places."""
    assert in_child(url, folder / "whole", ALL) == 0
    updates = int((folder / "whole" / "updates").read_text())
    places = random.sample(range(1, updates + 1), PLACES)
    for at in places:
        assert in_child(url, folder / str(at), at) == -signal.SIGKILL
        assert in_child(url, folder / str(at), ALL) == 0, f"killed at {at} of {updates} updates"
    for name in ("whole", *map(str, places)):
        sys.stdout.write(f"{name} {loaded(folder / name)}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
