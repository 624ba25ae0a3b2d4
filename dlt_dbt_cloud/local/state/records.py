"""What a local dbt Cloud remembers: jobs, runs, their triggers and steps.

Plain records, named as in the API. What they look like as JSON is the business of `bodies`,
how they come to change is the business of `world`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.jobs import DBTJob, ScriptedJob
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

CANCELLED_BY_USER: Final = "Cancelled by user."


class Execution:
    """One run on its way. The world calls it with its lock held; none of the calls blocks."""

    def begin(self) -> None:
        """The run is the first of its queue: start."""
        raise NotImplementedError

    def looked_at(self) -> None:
        """A client has read the run. Only a scripted one moves on by that."""

    def cancel(self, status_message: str) -> None:
        """End the run as cancelled, now or soon."""
        raise NotImplementedError

    def retry_refusal(self) -> str | None:
        """Say why the failed run can't be retried, as dbt Cloud names it. None if it can."""
        raise NotImplementedError

    def join(self) -> None:
        """Wait until nothing of the run is left. Called without the lock."""


@dataclass(frozen=True)
class Overrides:
    """What a trigger requests beside its cause. None is "as the job says"."""

    git_branch: str | None = None
    git_sha: str | None = None
    azure_pull_request_id: int | None = None
    github_pull_request_id: int | None = None
    gitlab_merge_request_id: int | None = None
    non_native_pull_request_id: int | None = None
    schema_override: str | None = None
    dbt_version_override: str | None = None
    threads_override: int | None = None
    target_name_override: str | None = None
    generate_docs_override: bool | None = None
    timeout_seconds_override: int | None = None
    steps_override: list[str] | None = None


@dataclass(frozen=True)
class Trigger:
    """Why a run exists, and what it was asked to do differently."""

    id: int
    cause: str
    cause_category: str
    overrides: Overrides
    created_at: datetime


@dataclass
class Step:
    """One step of a run. Its logs are dbt's own files, read for each answer."""

    id: int
    index: int
    name: str
    created_at: datetime
    command: str | None = None
    """The dbt command, None for the steps that prepare a run."""
    status: Status = Status.RUNNING
    finished_at: datetime | None = None
    note: str = ""
    """What the log of a step without files says."""
    logs_path: Path | None = None
    debug_logs_path: Path | None = None
    target_path: Path | None = None


@dataclass
class Job:
    """A job of the account, and the description that it was made from."""

    id: int
    project_id: int
    environment_id: int
    created_at: datetime
    described: DBTJob | ScriptedJob
    queue: "list[Run]" = field(default_factory=list)
    """The runs that are not complete, in order of arrival. Only the first one runs."""
    runs: "list[Run]" = field(default_factory=list)
    failure_count: int = 0
    """How many runs have failed in a row."""
    deactivated: bool = False
    parsed: Path | None = None
    """What dbt parsed last."""

    @property
    def name(self) -> str:
        """What the job is called."""
        return self.described.name


@dataclass
class Run:
    """One run of a job."""

    id: int
    job: Job
    trigger: Trigger
    folder: Path
    created_at: datetime
    updated_at: datetime
    status: Status = Status.QUEUED
    status_message: str | None = None
    dequeued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    version: str | None = None
    """What stands for the commit: a digest of the project when the run began."""
    steps: list[Step] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """The commands that a failing step kept from running."""
    retried_run: "Run | None" = None
    artifacts_saved: bool = False
    execution: Execution = field(init=False, repr=False)

    @property
    def project_id(self) -> int:
        """The project of its job."""
        return self.job.project_id

    @property
    def environment_id(self) -> int:
        """The environment of its job."""
        return self.job.environment_id

    @property
    def is_complete(self) -> bool:
        """Whether it has finished, with whatever status."""
        return self.status >= Status.SUCCESS

    @property
    def failed_step(self) -> Step | None:
        """The step that made the run fail."""
        failed = (step for step in self.steps if step.status == Status.ERROR)
        return next(failed, None) if self.status == Status.ERROR else None
