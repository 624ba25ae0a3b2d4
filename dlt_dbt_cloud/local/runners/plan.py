"""The steps of a run of dbt and their environment, before any of them runs.

The environment is that of the server, then the job's own, then the variables that dbt Cloud sets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.jobs import DBTJob
from dlt_dbt_cloud.local.runners.commands import Command
from dlt_dbt_cloud.local.runners.project import has_packages
from dlt_dbt_cloud.local.state.records import Overrides, Run
from dlt_dbt_cloud.local.state.world import World

# The first would beat the variables of a step, with the other one dbt can't read YAML.
_NOT_INHERITED: Final = ("DBT_ENGINE_", "COVERAGE_PROCESS_")


@dataclass(frozen=True)
class Planned:
    """A step to come.

    Attributes:
        name: What it is called among the steps of the run.
        command: What dbt is to do, None where there is nothing to do here.
        note: What the log says where there is nothing to do.
        state: The results that `dbt retry` starts from.
        is_decisive: Whether the run fails with it.
    """

    name: str
    command: Command | None = None
    note: str = ""
    state: Path | None = None
    is_decisive: bool = True


def invoke(text: str, state: Path | None = None, *, is_decisive: bool = True) -> Planned:
    """Plan to call dbt."""
    command = Command.parse(text)
    return Planned(f"Invoke dbt with `{text}`", command, state=state, is_decisive=is_decisive)


def plan(run: Run, job: DBTJob) -> Iterator[Planned]:
    """Yield the steps of a run. The first ones are those that dbt Cloud prepares it with."""
    overrides = run.trigger.overrides
    schema = overrides.schema_override
    profile = f"Create profile from connection {job.profile().connection}"
    yield Planned("Clone git repository", note=f"Using the dbt project in {job.project_dir}")
    yield Planned(f"{profile} (override schema to '{schema}')" if schema else profile)
    if has_packages(Path(job.project_dir)):
        yield invoke("dbt deps")
    else:
        yield Planned("Invoke dbt with `dbt deps`", note="This project has no packages")
    if run.retried_run:
        step = run.retried_run.failed_step
        yield invoke("dbt retry", step.target_path if step else None)
        yield from map(invoke, run.retried_run.skipped)
    else:
        yield from map(invoke, overrides.steps_override or job.steps)
    docs = overrides.generate_docs_override
    if job.generate_docs if docs is None else docs:
        yield invoke("dbt docs generate", is_decisive=False)


def step_environment(world: World, run: Run, job: DBTJob) -> dict[str, str]:
    """Build the environment of one step."""
    overrides = run.trigger.overrides
    category, pull_request = _pull_request(overrides)
    told = {
        "DBT_CLOUD_ACCOUNT_ID": world.account_id,
        "DBT_CLOUD_PROJECT_ID": run.job.project_id,
        "DBT_CLOUD_ENVIRONMENT_ID": run.job.environment_id,
        "DBT_CLOUD_ENVIRONMENT_NAME": "Local",
        "DBT_CLOUD_ENVIRONMENT_TYPE": "deployment",
        "DBT_CLOUD_INVOCATION_CONTEXT": "prod",
        "DBT_CLOUD_JOB_ID": run.job.id,
        "DBT_CLOUD_RUN_ID": run.id,
        "DBT_CLOUD_RUN_REASON": run.trigger.cause,
        "DBT_CLOUD_RUN_REASON_CATEGORY": category,
        "DBT_CLOUD_GIT_BRANCH": overrides.git_branch,
        "DBT_CLOUD_GIT_SHA": overrides.git_sha,
        "DBT_CLOUD_PR_ID": pull_request,
    }
    cloud = {name: str(value) for name, value in told.items() if value is not None}
    # dbt writes variables with this prefix into its artifacts, and dbt Cloud uses it.
    recorded = {f"DBT_ENV_CUSTOM_ENV_{name}": value for name, value in cloud.items()}
    return {**job_environment(job), **cloud, **recorded}


def job_environment(job: DBTJob) -> dict[str, str]:
    """Build what the environments of a job's steps have in common."""
    inherited = job.profiles.env
    return {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        **{name: inherited[name] for name in inherited if not name.startswith(_NOT_INHERITED)},
        "DBT_USE_COLORS": "false",
        "DBT_PROJECT_DIR": str(job.project_dir),
        "PYTHONUNBUFFERED": "1",
    }


def _pull_request(overrides: Overrides) -> tuple[str, int | None]:
    """Returns what kind of pull request a trigger is for, and its number."""
    numbers = {
        "github_pull_request": overrides.github_pull_request_id,
        "gitlab_merge_request": overrides.gitlab_merge_request_id,
        "azure_pull_request": overrides.azure_pull_request_id,
        "other": overrides.non_native_pull_request_id,
    }
    known = (kind for kind, number in numbers.items() if number is not None)
    kind = next(known, "other")
    return kind, numbers[kind]
