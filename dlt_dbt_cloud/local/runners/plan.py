"""The steps of a run of dbt, before any of them runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.jobs import DBTJob
from dlt_dbt_cloud.local.runners.commands import Command
from dlt_dbt_cloud.local.runners.packages import has_packages
from dlt_dbt_cloud.local.state.records import Run

_DOCS: Final = "dbt docs generate"
_DEPS: Final = "dbt deps"
_RETRY: Final = "dbt retry"


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

    @classmethod
    def invoke(cls, text: str, **more: object) -> Planned:
        """Plan to call dbt."""
        return cls(f"Invoke dbt with `{text}`", Command.parse(text), **more)  # type: ignore[arg-type]


def plan(run: Run, job: DBTJob) -> Iterator[Planned]:
    """Say what the steps of a run are. The first ones are those that dbt Cloud prepares it with."""
    overrides = run.trigger.overrides
    schema = overrides.schema_override
    profile = f"Create profile from connection {job.profile().connection}"
    yield Planned("Clone git repository", note=f"Using the dbt project in {job.project_dir}")
    yield Planned(f"{profile} (override schema to '{schema}')" if schema else profile)
    if has_packages(Path(job.project_dir)):
        yield Planned.invoke(_DEPS)
    else:
        yield Planned(f"Invoke dbt with `{_DEPS}`", note="This project has no packages")
    yield from _retried(run.retried_run) if run.retried_run else _commands(run, job)
    docs = overrides.generate_docs_override
    if job.generate_docs if docs is None else docs:
        yield Planned.invoke(_DOCS, is_decisive=False)


def _commands(run: Run, job: DBTJob) -> Iterator[Planned]:
    for text in run.trigger.overrides.steps_override or job.steps:
        yield Planned.invoke(text)


def _retried(failed: Run) -> Iterator[Planned]:
    step = failed.failed_step
    yield Planned.invoke(_RETRY, state=step.target_path if step else None)
    for text in failed.skipped:
        yield Planned.invoke(text)
