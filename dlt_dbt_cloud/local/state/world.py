"""The world of one local dbt Cloud: an account, its jobs, their runs and their queues."""

import itertools
import math
import shutil
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.jobs import DBTJob, ScriptedJob
from dlt_dbt_cloud.local.runners.warm import WarmDBT
from dlt_dbt_cloud.local.state.records import (
    CANCELLED_BY_USER,
    Execution,
    Job,
    Overrides,
    Run,
    Step,
    Trigger,
)
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

_FIRST_ID: Final = {
    "account": 70403103900001,
    "project": 70403103920001,
    "environment": 70403103930001,
    "job": 70403103940001,
    "run": 70400000000000,
    "step": 70403112000001,
    "trigger": 70403111000001,
}


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(timezone.utc)


@dataclass
class World:
    """Everything that a local dbt Cloud knows, and the one lock over it.

    Attributes:
        folder: Where the runs keep their files.
        execution: Prepares to carry out a run.
        cancel_grace: Seconds that a cancelled dbt has to end before it is killed.
        clock: Seconds, for scripted jobs that go by them.
        dbt: Carries out the calls of dbt.
        keep_runs: How many finished runs keep their logs and artifacts.
        run_slots: How many runs the account runs at once.
        failures_allowed: How many times in a row a job may fail before it is deactivated.
        next_script: What the next run follows instead of its job.
    """

    folder: Path
    execution: "Callable[[World, Run], Execution]"
    cancel_grace: float
    clock: Callable[[], float]
    dbt: WarmDBT
    keep_runs: int
    run_slots: float = math.inf
    failures_allowed: float = math.inf
    next_script: ScriptedJob | None = None
    account_id: int = _FIRST_ID["account"]
    jobs: dict[int, Job] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self._ids = {name: itertools.count(first) for name, first in _FIRST_ID.items()}
        # From the clock, in milliseconds: no run has the id of a run of an earlier server, which a
        # kept folder or a table of results may still have.
        self._ids["run"] = itertools.count(_FIRST_ID["run"] + int(utc_now().timestamp() * 1000))
        self._finished: deque[Run] = deque()
        self._projects = defaultdict[str, int](self._ids["project"].__next__)
        self._environments = defaultdict[tuple[str, str | None], int](
            self._ids["environment"].__next__
        )

    def add_job(self, described: DBTJob | ScriptedJob) -> Job:
        """Make a job. Jobs on one dbt project are jobs of one project."""
        with self.lock:
            project_id = self._projects[described.project]
            environment_id = self._environments[described.project, described.target]
            job = Job(next(self._ids["job"]), project_id, environment_id, utc_now(), described)
            self.jobs[job.id] = job
            return job

    def enqueue(
        self, job: Job, cause: str, overrides: Overrides, retried_run: Run | None = None
    ) -> Run:
        """Create a run of a job. A repeated trigger creates another one, as on dbt Cloud."""
        with self.lock:
            now, run_id = utc_now(), next(self._ids["run"])
            category = "rerun" if retried_run else "api"
            trigger = Trigger(next(self._ids["trigger"]), cause, category, overrides, now)
            folder = self.folder / f"run_{run_id}"
            run = Run(run_id, job, trigger, folder, now, now, retried_run=retried_run)
            run.execution = self.execution(self, run)
            self.runs[run.id] = run
            job.runs.append(run)
            job.queue.append(run)
            return run

    def go_on(self) -> None:
        """Begin the first run of each queue, the oldest first, as far as there are run slots."""
        with self.lock:
            free = self.run_slots - len(self._begun())
            for run in sorted(self._firsts(), key=lambda run: run.id):
                if not run.dequeued_at and free > 0 and not self.is_closed:
                    free -= 1
                    run.dequeued_at = utc_now()
                    run.execution.begin()

    def retry(self, run: Run) -> Run:
        """Create the run that continues a failed one where it failed."""
        return self.enqueue(run.job, f"Retry of run {run.id}", run.trigger.overrides, run)

    def retry_refusal(self, run: Run) -> str | None:
        """Say why a run can't be retried, as dbt Cloud names it. None if it can."""
        if run.status != Status.ERROR:
            return "RETRY_NOT_FAILED_RUN"
        if run is not run.job.runs[-1]:
            return "RETRY_NOT_LATEST_RUN"
        return run.execution.retry_refusal()

    def cancel(self, run: Run, status_message: str = CANCELLED_BY_USER) -> None:
        """Cancel a run: a waiting one at once, a running one as soon as it has stopped."""
        with self.lock:
            if run.status == Status.QUEUED and not run.dequeued_at:
                self.finish(run, Status.CANCELLED, status_message)
            elif not run.is_complete:
                run.execution.cancel(status_message)

    def look_at(self, runs: Sequence[Run]) -> None:
        """Note that a client reads runs: scripted ones move on by that.

        A read of a queued run counts for the run that it waits for.
        """
        for run in runs:
            if not run.is_complete:
                first = run.job.queue[0]
                for ahead in [first] if first.dequeued_at else self._begun():
                    ahead.execution.looked_at()

    def _firsts(self) -> list[Run]:
        return [job.queue[0] for job in self.jobs.values() if job.queue]

    def _begun(self) -> list[Run]:
        return [run for run in self._firsts() if run.dequeued_at]

    def start(self, run: Run) -> None:
        """Mark a run as started."""
        with self.lock:
            run.started_at = utc_now()
            self.set_status(run, Status.RUNNING)

    def finish(self, run: Run, status: Status, message: str | None) -> None:
        """End a run, and begin the next one of its job."""
        with self.lock:
            run.finished_at = utc_now()
            run.status_message = message
            for step in run.steps:
                if step.finished_at is None:
                    self.finish_step(step, status, step.note)
            run.artifacts_saved = any(_has_files(step) for step in run.steps)
            self.set_status(run, status)
            run.job.queue.remove(run)
            self._count_failures(run)
            self._prune(run)
            self.go_on()

    def _count_failures(self, run: Run) -> None:
        job = run.job
        job.failure_count = job.failure_count + 1 if run.status == Status.ERROR else 0
        job.deactivated = job.failure_count >= self.failures_allowed

    def _prune(self, run: Run) -> None:
        self._finished.append(run)
        while len(self._finished) > self.keep_runs:
            shutil.rmtree(self._finished.popleft().folder, ignore_errors=True)

    def start_step(self, run: Run, name: str, command: str | None = None) -> Step:
        """Begin a step of a run."""
        with self.lock:
            index = len(run.steps) + 1
            step = Step(next(self._ids["step"]), index, name, utc_now(), command)
            run.steps.append(step)
            run.updated_at = utc_now()
            return step

    def finish_step(self, step: Step, status: Status, note: str = "") -> None:
        """End a step of a run."""
        with self.lock:
            step.note, step.status, step.finished_at = note, status, utc_now()

    def close(self) -> None:
        """End all runs, and wait until they have ended."""
        with self.lock:
            self.is_closed = True
            self.cancel_grace = min(self.cancel_grace, 1.0)
            for run in list(self.runs.values()):
                self.cancel(run, "The local dbt Cloud was stopped.")
        for run in list(self.runs.values()):
            run.execution.join()

    @staticmethod
    def set_status(run: Run, status: Status) -> None:
        """Change the status of a run."""
        run.status, run.updated_at = status, utc_now()


def _has_files(step: Step) -> bool:
    # dbt may make the folder and then fail to parse, with nothing to put there.
    return step.target_path is not None and any(p.is_file() for p in step.target_path.rglob("*"))
