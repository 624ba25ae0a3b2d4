"""The descriptions of jobs: one that runs real dbt, and one that follows a script."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.runners.commands import Command
from dlt_dbt_cloud.local.runners.installed import DBT, find_dbt
from dlt_dbt_cloud.local.runners.profiles import Finder, Profile
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

NOTHING_BUILT: Final[Mapping[str, Any]] = {
    "run_results.json": {
        "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json"},
        "results": [],
        "elapsed_time": 0.0,
        "args": {},
    }
}


@dataclass(frozen=True)
class DBTJob:
    """A job that runs a dbt project with dbt Core.

    Attributes:
        project_dir: The folder with the `dbt_project.yml`.
        profiles_dir: The folder with the `profiles.yml`. By default it is `DBT_PROFILES_DIR`, else
            the first of `cwd`, the project (unlike dbt) and `~/.dbt` that has one.
        target: Which output of the profile, by default the profile's own.
        steps: The dbt commands of a run.
        name: What the job is called, by default as the folder of the project.
        env: Environment variables of its runs, over those of the server.
        timeout_seconds: How long a run may take, 0 for any time.
        generate_docs: Whether a run ends with `dbt docs generate`.
        threads: How many threads dbt uses, by default as the profile says.
        dbt: The `dbt` that runs the steps, a path or a name on PATH. By default that of this Python
            environment, or else the one on PATH.
        cwd: The folder that dbt is called in, by default the current one. A relative path in a
            profile starts there, as with `dbt build --project-dir DIR`.
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
    dbt: str | Path | None = None
    cwd: str | Path = ""

    def __post_init__(self) -> None:
        # Relative folders are those of the moment when the job was described.
        project_dir = Path(self.project_dir).absolute()
        object.__setattr__(self, "project_dir", project_dir)
        object.__setattr__(self, "name", self.name or project_dir.name)
        object.__setattr__(self, "cwd", Path(self.cwd).absolute())
        if self.dbt is not None and os.sep in str(self.dbt):
            object.__setattr__(self, "dbt", Path(self.dbt).expanduser().absolute())
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
        if sys.platform == "win32":
            raise LocalDBTCloudException(
                f"The job {self.name!r} runs dbt, which the local dbt Cloud doesn't do on Windows: "
                "use a `ScriptedJob`, or WSL."
            )
        self.dbt_version()
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
        return self.profiles.find()

    @property
    def profiles(self) -> Finder:
        """What finds the profile."""
        profiles_dir = None if self.profiles_dir is None else Path(self.profiles_dir)
        project_dir, cwd = Path(self.project_dir), Path(self.cwd)
        return Finder(project_dir, profiles_dir, self.target, cwd, {**os.environ, **self.env})

    def installed(self) -> DBT:
        """Find the dbt that runs the steps."""
        return find_dbt(self.dbt)

    def dbt_version(self) -> str:
        """Find the version of that dbt."""
        return self.installed().version()


@dataclass(frozen=True)
class ScriptedJob:
    """A job whose runs follow a script. As in every job, one runs at a time.

    Each time a client reads a run, alone or in a list, it shows the next of its `statuses`, and
    then always the last. With pairs, the status depends on the seconds since the run reached the
    head of its queue:
    `[(0, 1), (0.5, 3), (2, 10)]`, in TOML `[[0, 1], [0.5, 3], [2, 10]]`.

    Attributes:
        name: What the job is called.
        statuses: The status at each poll, or pairs of seconds and status.
        status_message: The `status_message` of a finished run.
        steps: The commands of the job, shown as the steps of a run that has started.
        logs: What the last step of a run logs.
        artifacts: The artifacts of a finished run, by path: text, bytes, or JSON. They belong to
            the last step. All other steps get a `run_results.json` without results; by default the
            last step does too. With `{}` a run has none (`data: null`), and a client that explains
            a failure waits some seconds for them.
        retry_not_supported_reason: Why a failed run can't be retried, None if it can.
        timeout_seconds: What the job shows as its timeout. It has no effect: a script times out by
            its `statuses` and `status_message`.
        generate_docs: Shown as the setting of the job. It has no effect.
    """

    name: str = "Scripted job"
    statuses: Sequence[int | Sequence[float]] = (1, 3, 10)
    status_message: str | None = None
    steps: Sequence[str] = ("dbt build",)
    logs: str = "This run follows a script."
    artifacts: Mapping[str, Any] = field(default_factory=lambda: NOTHING_BUILT)
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
            if status not in list(Status):
                raise LocalDBTCloudException(
                    f"The job {self.name!r} has the status {status!r}. There are "
                    f"{', '.join(f'{s.value} {s.name.capitalize()}' for s in Status)}."
                )

    @property
    def is_timed(self) -> bool:
        """Whether a run follows the time, not the polls."""
        return any(isinstance(status, Sequence) for status in self.statuses)

    def script(self) -> list[tuple[float, Any]]:
        """The statuses of a run, each with the poll or the second that it begins with."""
        return [
            (entry[0], entry[1])
            if isinstance(entry, Sequence) and len(entry) == 2  # noqa: PLR2004  # a pair
            else (look, entry)
            for look, entry in enumerate(self.statuses, start=1)
        ]
