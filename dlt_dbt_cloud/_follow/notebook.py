"""Shows runs in a notebook while they are waited for: one table, which changes in place."""

import sys
from collections.abc import Sequence
from typing import Any

from dlt_dbt_cloud._follow.screen import Still
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRuns


def is_notebook() -> bool:
    """Returns True in a cell of a notebook. IPython is never imported for it."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return hasattr(get_ipython() if get_ipython else None, "kernel")


class Notebook(Still):
    """A table in the output of the cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, run: DBTCloudRun | DBTCloudRuns) -> None:
        """Shows what was just read."""
        from IPython.display import display  # type: ignore[import-not-found]  # noqa: PLC0415

        if self._handle:
            self._handle.update(run)
        else:
            self._handle = display(run, display_id=True)

    def show_runs(self, runs: Sequence[DBTCloudRun]) -> None:
        """Shows all runs that are waited for."""
        self.show(DBTCloudRuns(runs))
