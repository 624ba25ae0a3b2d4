"""How far the history of a job has been loaded."""

from datetime import datetime, timedelta, timezone
from typing import Any, Final

from dlt_dbt_cloud.sources.rows import RunRow

LAG: Final = timedelta(hours=6)
"""How late the list may show a finished run, and how long incomplete runs are retried."""

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Cursor:
    """How far the history of a job has been loaded, in the state of dlt's pipeline.

    Runs are listed in the order in which they finished, beginning some hours before the newest that
    was loaded, and those that were loaded then are left out. dlt's own `incremental` has one cursor
    for a resource. Here each job needs its own.

    Version 0.1 remembered ids: all up to `after_id` and the `newest` were loaded, except those that
    were still `going`. It stays valid, so it is never changed.

    Args:
        state: What was remembered, and will be.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state
        self._going = frozenset(state.get("going", ()))
        self._old_ids = frozenset(state.get("newest", ())) - self._going

    @property
    def after_id(self) -> int | None:
        """The id after which runs may be new, None if any run may be."""
        old = int(self._state.get("after_id", 0))
        return min([old, *(run_id - 1 for run_id in self._going)]) or None

    def begin(self, since: datetime | None) -> datetime:
        """Returns the earliest time at which a new run may have finished."""
        if "finished_at" in self._state:
            return datetime.fromtimestamp(self._state["finished_at"], timezone.utc) - LAG
        return BEGINNING if self._state or not since else since

    def is_new(self, run_id: int) -> bool:
        """Returns True if a run was not loaded before, or only in part."""
        old = run_id <= self._state.get("after_id", 0) and run_id not in self._going
        return not old and run_id not in self._old_ids and str(run_id) not in self._loaded

    def advance(self, rows: list[RunRow]) -> list[RunRow]:
        """Returns the rows, and remembers that they are loaded.

        Incomplete runs are read again until the cursor has passed them.
        """
        times = {str(row["run_id"]): _seconds(row["finished_at"]) for row in rows}
        complete = {str(row["run_id"]) for row in rows if row["load_error"] is None}
        newest = max([*times.values(), self._state.get("finished_at", 0.0)])
        loaded = {**self._loaded, **{k: v for k, v in times.items() if k in complete}}
        recent = {k: v for k, v in loaded.items() if v >= newest - LAG.total_seconds()}
        self._state.update(finished_at=newest, loaded=recent)
        return rows

    @property
    def _loaded(self) -> dict[str, float]:
        loaded: dict[str, float] = self._state.get("loaded", {})
        return loaded


def _seconds(finished_at: datetime | None) -> float:
    """Returns a point in time as seconds. One in the future must not hide later runs."""
    now = datetime.now(timezone.utc)
    return min(finished_at or BEGINNING, now).timestamp()
