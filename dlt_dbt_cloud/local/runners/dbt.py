"""A run of real dbt: its steps, one after the other, each a process with folders of its own."""

import math
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.api.bodies import humanized
from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.jobs import DBTJob
from dlt_dbt_cloud.local.runners.advice import explain, is_locked
from dlt_dbt_cloud.local.runners.commands import RETRYABLE, Command
from dlt_dbt_cloud.local.runners.installed import Call, ColdProcess, Process
from dlt_dbt_cloud.local.runners.plan import Planned, job_environment, plan, step_environment
from dlt_dbt_cloud.local.runners.project import Packages, keep, kept, version_of
from dlt_dbt_cloud.local.runners.warm import ColdError
from dlt_dbt_cloud.local.state.records import Execution, Run
from dlt_dbt_cloud.local.state.world import World
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

FAILED: Final = "dbt command failed"
_PAUSE: Final = 0.1
_LOCK_PATIENCE: Final = 5.0
"""Seconds to wait for another process to close the database."""


@dataclass
class DBTExecution(Execution):
    """Carries out one run of a `DBTJob` in a thread of its own."""

    world: World
    run: Run
    job: DBTJob
    _thread: threading.Thread | None = None
    _ending: tuple[Status, str] | None = None
    """How the run ends if dbt doesn't decide it: cancelled by a user, timed out."""
    _deadline: float = math.inf

    def begin(self) -> None:
        """Start the run."""
        self._thread = threading.Thread(
            target=self._execute, name=f"dbt-run-{self.run.id}", daemon=True
        )
        self._thread.start()

    def cancel(self, status_message: str) -> None:
        """Ask the thread to end the running step, and then the run."""
        self._ending = self._ending or (Status.CANCELLED, status_message)

    def retry_refusal(self) -> str | None:
        """Say why `dbt retry` can't retry the run."""
        step = self.run.failed_step
        if step is None or step.command is None or step.target_path is None:
            return "RETRY_NO_RUN_RESULTS"
        if Command.parse(step.command).name not in RETRYABLE:
            return "RETRY_UNSUPPORTED_CMD"
        has_results = (step.target_path / "run_results.json").is_file()
        return None if has_results else "RETRY_NO_RUN_RESULTS"

    def join(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    def _execute(self) -> None:
        ending: tuple[Status, str | None] = (Status.ERROR, "Internal error")
        try:
            ending = self._steps()
        except (OSError, LocalDBTCloudException) as e:  # the project was moved, its profile broken
            ending = (Status.ERROR, str(e))
        finally:
            self.world.finish(self.run, *ending)

    def _steps(self) -> tuple[Status, str | None]:
        self.run.version = version_of(Path(self.job.project_dir))
        self.world.start(self.run)
        if self._timeout > 0:
            self._deadline = time.monotonic() + self._timeout
        planned = list(plan(self.run, self.job))
        profiles_dir = self._profiles_dir()
        for position, step in enumerate(planned):
            succeeded = self._step(step, profiles_dir)
            if self._ending:
                return self._ending
            if not succeeded and step.is_decisive:
                later = planned[position + 1 :]
                self.run.skipped = [p.command.text for p in later if p.command and p.is_decisive]
                return Status.ERROR, FAILED
        return Status.SUCCESS, None

    @property
    def _timeout(self) -> int:
        override = self.run.trigger.overrides.timeout_seconds_override
        return self.job.timeout_seconds if override is None else override

    def _step(self, planned: Planned, profiles_dir: Path) -> bool:
        step = self.world.start_step(self.run, planned.name)
        if planned.command is None:
            self.world.finish_step(step, Status.SUCCESS, note=planned.note)
            return True
        folder = self.run.folder / f"step_{step.index}"
        folder.mkdir(parents=True)
        step.command = planned.command.text
        step.logs_path = folder / "stdout.log"
        step.logs_path.touch()  # a step may end before dbt writes its first line
        step.debug_logs_path = folder / "dbt.log"
        step.target_path = folder / "target"
        call = self._planned_call(planned.command, planned.state, folder, profiles_dir)
        code = self._with_packages(planned.command, call)
        self.run.job.parsed = keep(self.job, step.target_path) or self.run.job.parsed
        self.world.dbt.prepare(call.dbt, call.env, self.run.job.parsed)
        status = Status.ERROR if code else Status.SUCCESS
        self.world.finish_step(step, self._ending[0] if self._ending else status)
        return status == Status.SUCCESS

    def _planned_call(
        self, command: Command, state: Path | None, folder: Path, profiles_dir: Path
    ) -> Call:
        overrides = self.run.trigger.overrides
        parsed = self.run.job.parsed
        if not parsed or not parsed.is_file():
            parsed = kept(self.job)
        more = {
            "DBT_LOG_PATH": folder,
            "DBT_TARGET_PATH": folder / "target",
            "DBT_PROFILES_DIR": profiles_dir,
            "DBT_TARGET": overrides.target_name_override or self.job.target,
            "DBT_STATE": state,
            # dbt parses what has changed since the job's last run, as in a folder that it knows.
            "DBT_PARTIAL_PARSE_FILE_PATH": parsed,
        }
        env = step_environment(self.world, self.run, self.job)
        env |= {name: str(value) for name, value in more.items() if value}
        arguments = command.arguments(overrides.threads_override or self.job.threads)
        return Call(self.job.installed(), arguments, Path(self.job.cwd), env, folder / "stdout.log")

    def _with_packages(self, command: Command, call: Call) -> int:
        packages, is_deps = Packages(Path(self.job.project_dir)), command.name == "deps"
        while not self._is_over():
            with packages.locked(is_install=is_deps or command.name == "clean") as is_free:
                if is_free:
                    code = self._with_database(call)
                    if is_deps and not code:
                        packages.installed()
                    return code
            if is_deps and packages.are_installed:
                call.log.write_text("Other runs use the packages, which are up to date.\n")
                return 0
            time.sleep(_PAUSE)
        return 1

    def _with_database(self, call: Call) -> int:
        give_up = time.monotonic() + _LOCK_PATIENCE
        while (code := self._call(call)) and is_locked(call.log):
            if self._is_over() or time.monotonic() >= give_up:
                break
            time.sleep(_PAUSE)
        if code:
            explain(call.log, self.job)
        return code

    def _is_over(self) -> bool:
        if time.monotonic() >= self._deadline and not self._ending:
            self._ending = Status.CANCELLED, timed_out(self._timeout)
        return self._ending is not None

    def _call(self, call: Call) -> int:
        try:
            return self._wait(self.world.dbt.start(call))
        except ColdError as e:
            self.world.dbt.give_up(str(e))
            return self._wait(ColdProcess(call))

    def _profiles_dir(self) -> Path:
        """Write a profile for this run alone if an override asks for one."""
        profile = self.job.profile()
        overrides = self.run.trigger.overrides
        target = overrides.target_name_override
        if not overrides.schema_override and (not target or target in profile.outputs):
            return profile.path.parent
        profile.derive(self.run.folder, overrides.schema_override, target)
        return self.run.folder

    def _wait(self, process: Process) -> int:
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(timeout=_PAUSE)
                if self._is_over():
                    return _end(process, self.world.cancel_grace)
        finally:
            process.signal_group(signal.SIGKILL)  # whatever dbt left behind


def timed_out(seconds: int) -> str:
    """Say what dbt Cloud says of a run that took too long."""
    return (
        f"This run timed out after running for {humanized(timedelta(seconds=seconds))}, "
        f"which exceeded the configured timeout of {seconds} seconds."
    )


def warm_up(world: World) -> None:
    """Import dbt and load the parsed project before a run needs them."""
    described = [job.described for job in world.jobs.values()]
    jobs = [job for job in described if isinstance(job, DBTJob)]
    world.dbt.adapters |= {a for job in jobs for a in job.profile().adapters}
    for job in jobs[:1]:
        world.dbt.prepare(job.installed(), job_environment(job), kept(job))


def _end(process: Process, grace: float) -> int:
    """End dbt and its children: ask it as Ctrl-C does, then more firmly, then by force."""
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process.signal_group(how)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=grace)
    return process.wait()
