"""The description of a job that runs real dbt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from dlt_dbt_cloud.local.commands import Command
from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.profiles import Profile, environment, find_profile

if TYPE_CHECKING:
    from dlt_dbt_cloud.local.execution import Execution
    from dlt_dbt_cloud.local.records import Run
    from dlt_dbt_cloud.local.world import World


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

    def execution(self, world: World, run: Run) -> Execution:
        """Prepare to carry out a run."""
        from dlt_dbt_cloud.local.dbt import DBTExecution  # noqa: PLC0415  # it knows this class

        return DBTExecution(world, run, self)

    def retry_refusal(self, run: Run) -> str | None:
        """Say why `dbt retry` can't take up a failed run, as dbt Cloud names it."""
        from dlt_dbt_cloud.local.dbt import retry_refusal  # noqa: PLC0415  # it knows this class

        return retry_refusal(run)


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
