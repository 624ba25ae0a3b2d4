"""What tests with real pipelines share: an empty world for dlt, and pipelines that are fast."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext


@contextmanager
def dlt_in(folder: Path) -> Iterator[Path]:
    """Makes an empty directory dlt's run and data directory, without the developer's settings."""
    context = Container()[PluggableRunContext]
    before = context.context.run_dir
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PIPELINES_DIR", str(folder / "pipelines"))
        (folder / ".dlt").mkdir()
        context.reload(str(folder))
        yield folder
    Container()[PipelineContext].deactivate()
    context.reload(before)


@contextmanager
def kept_open(database: Path) -> Iterator[None]:
    """Keeps a file of DuckDB open: to open it costs more than most that dlt then does with it."""
    with duckdb.connect(str(database)):
        yield


def to_nowhere(name: str, progress: Any = None) -> dlt.Pipeline:
    """Returns a pipeline whose loads succeed and write no rows: it is faster than any database."""
    destination = dlt.destinations.dummy(completed_prob=1.0)
    return dlt.pipeline(name, "pipelines", destination=destination, progress=progress)
