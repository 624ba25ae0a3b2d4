"""Finds the loads that no run of a job has transformed yet."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._start.order import overrides
from dlt_dbt_cloud._start.select_destination import Loaded
from dlt_dbt_cloud._start.select_steps import UnsureError, narrow, sources_in
from dlt_dbt_cloud._values import int_of, str_of
from dlt_dbt_cloud._values.load import CLOCK_SKEW, Load
from dlt_dbt_cloud.run import DBTCloudRun

ELSEWHERE: Final = frozenset(
    {"cause", "steps_override", "threads_override", "generate_docs_override"}
    | {"timeout_seconds_override"}
)
"""The overrides that don't change what a command builds, nor where."""


class History(NamedTuple):
    """The runs that count.

    Attributes:
        full: The last successful run of all steps.
        later: The later runs that built in the same place, the newest first.
        finished: Ids of the runs that succeeded, also those that a retry has completed.
        earlier: The runs before the full one, whatever became of them.
    """

    full: DBTCloudRun
    later: list[DBTCloudRun]
    finished: set[int]
    earlier: Sequence[DBTCloudRun]

    @property
    def last(self) -> DBTCloudRun:
        """The last run that succeeded."""
        return next((run for run in self.later if run.is_success), self.full)

    def check_project(self) -> None:
        """Raises an `UnsureError` if runs since the full one had another version of the project."""
        shas = {str_of(run.get("git_sha")) for run in [self.full, *self.later]} - {""}
        if len(shas) > 1:
            raise UnsureError(
                f"the project has changed since run {self.full.id}, the last full one"
            )


def place_of(request: Any) -> dict[str, Any]:
    """Returns what decides which project a run builds, and where."""
    return {name: it for name, it in overrides(request).items() if name not in ELSEWHERE}


def history(runs: Sequence[DBTCloudRun], request: Any) -> History | None:
    """Returns the runs that count for a request. None if no full one is among the runs.

    Args:
        runs: Runs of the job, the newest first, with their triggers.
        request: The trigger request, with the steps as they were before they are narrowed.
    """
    finished: set[int] = set()
    later: list[DBTCloudRun] = []
    steps = overrides(request).get("steps_override")
    for place, run in enumerate(runs, start=1):
        trigger = run.get("trigger")
        if run.is_success or run.id in finished:
            finished |= {run.id, int_of(run.get("retrying_run_id")) or run.id}
        if not isinstance(trigger, dict) or place_of(trigger) != place_of(request):
            continue
        is_retry = run.get("retrying_run_id") or trigger.get("cause_category") == "rerun"
        if is_retry:
            continue  # it has the steps of the failed run, whatever its trigger says
        if run.id in finished and overrides(trigger).get("steps_override") == steps:
            return History(run, later, finished, runs[place:])
        later.append(run)
    return None


def uncovered(loads: Collection[Loaded], past: History, steps: Sequence[str]) -> list[Loaded]:
    """Returns the loads that no run has transformed, as far as can be known.

    A run covers the loads that its cause names, and all before them. A full run covers all that
    were complete when it was created, and those that earlier runs name. The clocks of machines
    differ, so the order of two loads is only certain if one pipeline made both.

    Args:
        loads: Loads of one dataset.
        past: The runs of the job.
        steps: The steps of the job.
    """
    left = list(loads)
    for run in [past.full, *past.later]:
        is_full = run is past.full
        named = _named([run, *past.earlier] if is_full else [run], loads)
        if not is_full and (run.id not in past.finished or not _is_narrowed(run, steps)):
            continue
        if run.created_at and (is_full or named):
            left = [load for load in left if not _covers(load, named, run.created_at)]
    return left


def _covers(load: Loaded, named: Iterable[Loaded], created_at: datetime) -> bool:
    """Returns True if a run that names some loads has certainly transformed a load."""
    return load.inserted_at < created_at - CLOCK_SKEW or any(
        load.inserted_at
        <= known.inserted_at - (CLOCK_SKEW * (load.schema_name != known.schema_name))
        for known in named
    )


def _named(runs: Iterable[DBTCloudRun], loads: Iterable[Loaded]) -> list[Loaded]:
    """Returns the loads that the causes of runs name."""
    causes = (Load.of_cause(run.cause) for run in runs)
    ids = {load_id for cause in causes if cause for load_id in cause.load_ids}
    return [load for load in loads if load.load_id in ids]


def _is_narrowed(run: DBTCloudRun, steps: Sequence[str]) -> bool:
    """Returns True if a run had the steps of the job, narrowed to some sources."""
    own = overrides(run["trigger"]).get("steps_override")
    given = own if isinstance(own, list) and all(isinstance(it, str) for it in own) else []
    terms = [term for term in sources_in(given) if term not in sources_in(steps)]
    try:
        return bool(terms) and narrow(steps, terms) == given
    except UnsureError:
        return False
