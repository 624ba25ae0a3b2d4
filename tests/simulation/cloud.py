"""A dbt Cloud in memory, in virtual time, as a bad network and a busy account show it.

This is what is true: jobs with their queues, and runs with their times. A `View` is what one caller
gets to see of it.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from dlt_dbt_cloud._values import clock
from dlt_dbt_cloud.run import DBTCloudRun
from tests.simulation.scheduler import Scheduler

EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
STARTING = 0.5


class Fate(NamedTuple):
    """What becomes of a request.

    Attributes:
        commit: Whether it acts: "no", "now" or "late".
        answer: What is answered.
    """

    commit: str
    answer: str

    def __str__(self) -> str:
        return f"{self.commit}/{self.answer}"


OK = Fate("now", "ok")
AMBIGUOUS = ("500", "502", "drop", "stall", "garbage", "other-job", "old-run")
PROOFS = ("refused", "429", "429-300", "400", "401", "403", "404")
LOST = [Fate(commit, answer) for answer in AMBIGUOUS for commit in ("no", "now", "late")]
PROVEN = [Fate("no", answer) for answer in PROOFS]
BARE = Fate("now", "bare")
"""The answer to a trigger shows no cause."""
WRITE_FATES = [*LOST, *PROVEN, BARE]
TRANSIENT = ("500", "502", "drop", "stall", "garbage", "refused", "429")
READ_FATES = [Fate("no", answer) for answer in (*TRANSIENT, "401", "403", "404", "other-job")]
STATUS_FATES = [Fate("now", answer) for answer in ("string", "unknown", "backwards")]


@dataclass(eq=False)
class SimulatedRun:
    """What is true of a run."""

    id: int
    job_id: int
    created: float
    cause: str
    overrides: dict[str, Any]
    duration: float
    outcome: int
    by: str = ""
    identity: str = ""
    retry_of: int | None = None
    started: float = math.inf
    finished: float = math.inf
    final: int = 0
    cancelled_by: str = ""
    vanished: float = math.inf

    def status(self, time: float) -> int:
        """Returns the status at a time."""
        if time >= self.finished:
            return self.final
        if time >= self.started + STARTING:
            return 3
        return 2 if time >= self.started else 1


@dataclass
class Habits:
    """How this dbt Cloud behaves.

    Attributes:
        prep: Seconds that a run at the head of the queue waits for its start.
        durations: Seconds that runs take, in the order of their creation; the last repeats.
        outcomes: Their statuses.
        lag: Maximum seconds by which lists are old.
        new_run_404: Seconds for which a new run is not found by its id.
        commit_late: Maximum seconds after which a lost request acts.
        cause: How causes come back: "plain", "escaped", "collapsed", "cut", "null", "absent".
        is_ascending: Whether lists ignore `order_by`.
        is_unfiltered: Whether lists ignore `job_definition_id` and `pk__in`.
        names_retried: Whether a retry has `retrying_run_id`.
        no_total: Whether lists come without a total.
    """

    prep: float = 1.0
    durations: Sequence[float] = (100.0,)
    outcomes: Sequence[int] = (10,)
    lag: float = 0.0
    new_run_404: float = 0.0
    commit_late: float = 55.0
    cause: str = "plain"
    is_ascending: bool = False
    is_unfiltered: bool = False
    names_retried: bool = True
    no_total: bool = False


@dataclass(eq=False)
class Cloud:
    """What is true."""

    scheduler: Scheduler
    habits: Habits
    runs: dict[int, SimulatedRun] = field(default_factory=dict)
    queues: dict[int, list[SimulatedRun]] = field(default_factory=dict)
    states: set[int] = field(default_factory=set)
    created: list[SimulatedRun] = field(default_factory=list)
    _finished: dict[tuple[int, bool], DBTCloudRun] = field(default_factory=dict)

    def create(
        self,
        job_id: int,
        cause: str,
        overrides: Mapping[str, Any],
        *,
        by: str = "",
        identity: str = "",
        retry_of: int | None = None,
    ) -> SimulatedRun:
        """Creates a run."""
        habits, number = self.habits, len(self.created)
        run = SimulatedRun(
            id=len(self.runs) + 1001,
            job_id=job_id,
            created=self.scheduler.now,
            cause=cause,
            overrides=dict(overrides),
            duration=habits.durations[min(number, len(habits.durations) - 1)],
            outcome=habits.outcomes[min(number, len(habits.outcomes) - 1)],
            by=by,
            identity=identity,
            retry_of=retry_of,
        )
        self.runs[run.id] = run
        self.created.append(run)
        self.queues.setdefault(job_id, []).append(run)
        self.scheduler.tell("cloud", f"creates run {run.id} of job {job_id} for {by or 'others'}")
        if len(self.queues[job_id]) == 1:
            self.scheduler.at(run.created + habits.prep, self._start, run)
        return run

    def history(self, count: int, job_id: int, duration: float, *, age: float) -> None:
        """Adds runs that succeeded before."""
        for number in range(count):
            at = self.scheduler.now - age * (count - number)
            run = SimulatedRun(
                len(self.runs) + 1001, job_id, at, "scheduled", {}, duration, 10, "history"
            )
            run.started, run.finished, run.final = at + 1, at + 1 + duration, 10
            self.runs[run.id] = run

    def crowd(self, count: int, job_id: int) -> None:
        """Adds runs of others that are newer, and cancelled at once."""
        for _ in range(count):
            now = self.scheduler.now
            run = SimulatedRun(len(self.runs) + 1001, job_id, now, "crowd", {}, 1, 10, "crowd")
            run.finished, run.final = now, 30
            self.runs[run.id] = run
        self.scheduler.tell("cloud", f"has {count} newer runs of others")

    def cancel(self, run: SimulatedRun, by: str) -> None:
        """Cancels a run, at once if it is queued."""
        now = self.scheduler.now
        if now >= run.finished:
            return
        run.cancelled_by = run.cancelled_by or by
        self.scheduler.tell("cloud", f"cancels run {run.id} for {by}")
        if now < run.started:
            self._finish(run, 30)
        else:
            self.scheduler.at(now + 2.0, self._finish, run, 30)

    def _start(self, run: SimulatedRun) -> None:
        now = self.scheduler.now
        if run.finished > now:
            run.started = now
            self.scheduler.tell("cloud", f"starts run {run.id}")
            self.scheduler.at(now + run.duration, self._finish, run, run.outcome)

    def _finish(self, run: SimulatedRun, status: int) -> None:
        now = self.scheduler.now
        if run.finished <= now:
            return
        run.finished, run.final = now, status
        self.scheduler.tell("cloud", f"finishes run {run.id} with status {status}")
        queue = self.queues[run.job_id]
        was_head = queue[0] is run
        queue.remove(run)
        if was_head and queue:
            self.scheduler.at(now + self.habits.prep, self._start, queue[0])

    def listed(self, run: SimulatedRun, time: float, *, with_trigger: bool) -> DBTCloudRun:
        """Returns a run as a list shows it, which is always the same once it has finished."""
        if time < run.finished:
            return self.shown(run, time, with_trigger=with_trigger)
        key = run.id, with_trigger
        if key not in self._finished:
            self._finished[key] = self.shown(run, time, with_trigger=with_trigger)
        return self._finished[key]

    def shown(self, run: SimulatedRun, time: float, *, with_trigger: bool) -> DBTCloudRun:
        """Returns a run as the API shows it at a time."""
        status = run.status(time)
        is_complete = status >= 10
        end = min(time, run.finished)
        started = min(run.started, end)
        data = {
            "id": run.id,
            "job_definition_id": run.job_id,
            "status": status,
            "is_complete": is_complete,
            "created_at": str(EPOCH + timedelta(seconds=run.created)),
            "queued_duration": clock(max(0.0, started - run.created)),
            "run_duration": clock(max(0.0, end - started)),
            "href": f"https://cloud/runs/{run.id}/",
            "trigger": None,
            "run_steps": [],
            "can_retry": status == 20,
            "retrying_run_id": run.retry_of if self.habits.names_retried else None,
            "status_message": "Cancelled by user." if status == 30 else None,
        }
        if with_trigger:
            self._add_trigger(data, run)
        return DBTCloudRun(data)

    def _add_trigger(self, data: dict[str, Any], run: SimulatedRun) -> None:
        cause = run.cause
        how = self.habits.cause
        if how == "absent":
            del data["trigger"]
            return
        if how == "null":
            return
        if how == "escaped":
            cause = html.escape(cause)
        elif how == "collapsed":
            cause = " ".join(cause.split())
        elif how == "cut":
            cause = cause[:60]
        category = "rerun" if run.retry_of else "api"
        data["trigger"] = {**run.overrides, "cause": cause, "cause_category": category}
