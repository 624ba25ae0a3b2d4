"""A job without dbt: its runs follow a script, for tests of what pipelines do with a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.records import Run
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

if TYPE_CHECKING:
    from dlt_dbt_cloud.local.world import World

NO_RESULTS: Final[Mapping[str, Any]] = {"results": []}
_STATUSES: Final = frozenset(Status)
_STARTED: Final = (Status.RUNNING, Status.SUCCESS, Status.ERROR)


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
            a `run_results.json` without results. With none, `{}`, a run has no artifacts,
            `data: null`, and a client that explains a failure waits some seconds for them.
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
            if status not in _STATUSES:
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

    def execution(self, world: World, run: Run) -> ScriptedExecution:
        """Prepare to carry out a run."""
        return ScriptedExecution(world, run, self)

    def retry_refusal(self, run: Run) -> str | None:
        """Say why a failed run can't be retried."""
        del run
        return self.retry_not_supported_reason


@dataclass
class ScriptedExecution:
    """Carries out one run of a `ScriptedJob`, whenever a client looks at it."""

    world: World
    run: Run
    job: ScriptedJob
    _looks: int = 0
    _began_at: float = 0.0

    def begin(self) -> None:
        """Count the time from here."""
        self._began_at = self.world.clock()

    def looked_at(self) -> None:
        """Go on in the script."""
        self._looks += 1
        passed = self.world.clock() - self._began_at if self.job.is_timed else self._looks
        reached = [status for start, status in self.job.script() if start <= passed]
        if reached:
            self._become(Status(reached[-1]))

    def cancel(self, status_message: str) -> None:
        """End the run at once."""
        self.world.finish(self.run, Status.CANCELLED, status_message)

    def join(self) -> None:
        """There is nothing to wait for."""

    def _become(self, status: Status) -> None:
        if status in _STARTED and self.run.started_at is None:
            self.world.start(self.run)
            self._start_steps()
        if status < Status.SUCCESS:
            self.world.set_status(self.run, status)
            return
        self._finish_steps()
        self.world.finish(self.run, status, self.job.status_message)

    def _start_steps(self) -> None:
        for command in self.job.steps:
            step = self.world.start_step(self.run, f"Invoke dbt with `{command}`")
            step.command = command
        if self.run.steps:
            self.run.steps[-1].note = self.job.logs

    def _finish_steps(self) -> None:
        for step in self.run.steps[:-1]:
            self.world.finish_step(step, Status.SUCCESS, step.note)
        if self.run.steps and self.job.artifacts:  # else it ended before it started
            self._write_artifacts()

    def _write_artifacts(self) -> None:
        target = self.run.folder / "target"
        self.run.steps[-1].target_path = target
        for name, content in self.job.artifacts.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_bytes(content))


def _bytes(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()
