"""A run without dbt: it follows the script of its job, poll by poll or by the clock."""

import json
from dataclasses import dataclass
from typing import Any, Final

from dlt_dbt_cloud.local.jobs import NOTHING_BUILT, ScriptedJob
from dlt_dbt_cloud.local.state.records import Execution, Run
from dlt_dbt_cloud.local.state.world import World
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

_STARTED: Final = (Status.RUNNING, Status.SUCCESS, Status.ERROR)


@dataclass
class ScriptedExecution(Execution):
    """Carries out one run of a `ScriptedJob`: it moves on whenever a client reads it."""

    world: World
    run: Run
    job: ScriptedJob
    _looks: int = 0
    _began_at: float = 0.0

    def begin(self) -> None:
        """Count the time from here."""
        self._began_at = self.world.clock()

    def looked_at(self) -> None:
        """Move on in the script."""
        self._looks += 1
        passed = self.world.clock() - self._began_at if self.job.is_timed else self._looks
        reached = [status for start, status in self.job.script() if start <= passed]
        if reached:
            self._become(Status(reached[-1]))

    def cancel(self, status_message: str) -> None:
        """End the run at once."""
        self.world.finish(self.run, Status.CANCELLED, status_message)

    def retry_refusal(self) -> str | None:
        """Say why a failed run can't be retried."""
        return self.job.retry_not_supported_reason

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
            self.world.start_step(self.run, f"Invoke dbt with `{command}`", command)
        if self.run.steps:
            self.run.steps[-1].note = self.job.logs

    def _finish_steps(self) -> None:
        for step in self.run.steps[:-1]:
            self.world.finish_step(step, Status.SUCCESS, step.note)
        if self.run.steps and self.job.artifacts:  # else it ended before it started
            self._write_artifacts()

    def _write_artifacts(self) -> None:
        for step in self.run.steps:
            step.target_path = self.run.folder / f"step_{step.index}"
            is_last = step is self.run.steps[-1]
            for name, content in (self.job.artifacts if is_last else NOTHING_BUILT).items():
                path = step.target_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_bytes(content))


def _bytes(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()
