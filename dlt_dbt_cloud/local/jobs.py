"""The descriptions of jobs: one that runs real dbt, and one that follows a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.runners.commands import Command
from dlt_dbt_cloud.local.runners.profiles import Profile, environment, find_profile
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

NO_RESULTS: Final[Mapping[str, Any]] = {
    "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json"},
    "results": [],
    "elapsed_time": 0.0,
    "args": {},
}


@dataclass(frozen=True)
class DBTJob:
    """A job that runs a dbt project with the dbt Core of this Python environment.

    Attributes:
        project_dir: The folder with the `dbt_project.yml`.
        profiles_dir: The folder with the `profiles.yml`, by default where dbt looks for it:
            `DBT_PROFILES_DIR`, the project, `~/.dbt`.
        target: Which output of the profile, by default the profile's own.
        steps: The dbt commands of a run.
        name: What the job is called, by default as the folder of the project.
        env: Environment variables of its runs, over those of the server.
        timeout_seconds: How long a run may take, 0 for any time.
        generate_docs: Whether a run ends with `dbt docs generate`.
        threads: How many threads dbt uses, by default as the profile says.
    """

    project_dir: str | Path
    profiles_dir: str | Path | None = None
    target: str | None = None
    steps: Sequence[str] = ("dbt build",)
    name: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: int = 0
    generate_docs: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        # Relative folders are those of the moment when the job was described.
        project_dir = Path(self.project_dir).absolute()
        object.__setattr__(self, "project_dir", project_dir)
        object.__setattr__(self, "name", self.name or project_dir.name)
        if self.profiles_dir is not None:
            object.__setattr__(self, "profiles_dir", Path(self.profiles_dir).absolute())

    @property
    def project(self) -> str:
        """What tells its dbt project from others."""
        return str(self.project_dir)

    def check(self) -> None:
        """Check everything that can be known before a run.

        Raises:
            LocalDBTCloudException: dbt, the project, its profile or a step is missing or wrong.
        """
        dbt_version()
        self.profile()
        if not self.steps:
            raise LocalDBTCloudException(f"The job {self.name!r} has no steps. Add `dbt build`.")
        try:
            for step in self.steps:
                Command.parse(step)
        except ValueError as e:
            raise LocalDBTCloudException(
                f"The job {self.name!r} has a step that can't run: {e}. A step is a command of "
                "dbt, such as `dbt build`."
            ) from e

    def profile(self) -> Profile:
        """Find and check the profile, which may have changed since the last run."""
        profiles_dir = None if self.profiles_dir is None else Path(self.profiles_dir)
        return find_profile(
            Path(self.project_dir), profiles_dir, self.target, environment(self.env)
        )


@dataclass(frozen=True)
class ScriptedJob:
    """A job whose runs follow a script, one at a time as those of every job.

    A client that asks for a run (alone or in a list) sees the next of its `statuses`, and the
    last one ever after. With pairs of seconds and status a run goes by the time since it began
    instead: `[(0, 1), (0.5, 3), (2, 10)]`.

    Attributes:
        name: What the job is called.
        statuses: The status at each look, or pairs of seconds and status.
        status_message: What a run that ends says about its end.
        steps: The commands of the job, shown as the steps of a run that has started.
        logs: What the last step of a run logs.
        artifacts: The artifacts of a run that has ended, by path: text, bytes, or JSON. By default
            a `run_results.json` without results. They are those of the last step; the others have
            such results. With none, `{}`, a run has no artifacts, `data: null`, and a client that
            explains a failure waits some seconds for them.
        retry_not_supported_reason: Why a failed run can't be retried, None if it can.
        timeout_seconds: What the job shows as its timeout. A script times out by its statuses.
        generate_docs: What the job shows.
    """

    name: str = "Scripted job"
    statuses: Sequence[int | tuple[float, int]] = (1, 3, 10)
    status_message: str | None = None
    steps: Sequence[str] = ("dbt build",)
    logs: str = "This run follows a script."
    artifacts: Mapping[str, Any] = field(default_factory=lambda: {"run_results.json": NO_RESULTS})
    retry_not_supported_reason: str | None = None
    timeout_seconds: int = 0
    generate_docs: bool = False

    target: None = None
    threads: None = None
    project: str = ""

    def check(self) -> None:
        """Check the script.

        Raises:
            LocalDBTCloudException: A status is none of dbt Cloud's.
        """
        for _, status in self.script():
            if status not in frozenset(Status):
                raise LocalDBTCloudException(
                    f"The job {self.name!r} has the status {status!r}. There are "
                    f"{', '.join(f'{s.value} {s.name.capitalize()}' for s in Status)}."
                )

    @property
    def is_timed(self) -> bool:
        """Whether a run goes by seconds, not by looks."""
        return any(isinstance(status, tuple) for status in self.statuses)

    def script(self) -> list[tuple[float, int]]:
        """The statuses of a run, each with the look or the second that it begins with."""
        return [
            status if isinstance(status, tuple) else (look, status)
            for look, status in enumerate(self.statuses, start=1)
        ]


def dbt_version() -> str:
    """Find the version of the installed dbt, without importing it: that takes seconds.

    Raises:
        LocalDBTCloudException: There is none.
    """
    try:
        return metadata.version("dbt-core")
    except metadata.PackageNotFoundError as e:
        raise LocalDBTCloudException(
            "dbt is not installed: pip install 'dlt-dbt-cloud[local]', and the dbt adapter of "
            "your destination, such as dbt-duckdb."
        ) from e
