"""The steps of a run of dbt, before any of them runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dlt_dbt_cloud.local.jobs import DBTJob
from dlt_dbt_cloud.local.runners.commands import Command
from dlt_dbt_cloud.local.runners.project import has_packages
from dlt_dbt_cloud.local.state.records import Run


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
