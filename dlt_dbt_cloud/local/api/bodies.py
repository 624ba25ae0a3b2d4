"""The JSON of runs, their steps and triggers. Pure functions of the records.

Fields, formats and nulls follow recorded bodies of dbt Cloud, see `tests/samples/local`.
"""

from collections.abc import Collection
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from dlt_dbt_cloud.local.api.objects import Objects
from dlt_dbt_cloud.local.state.records import CANCELLED_BY_USER, Job, Run, Step, Trigger
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

TRUNCATED_LINES: Final = 1000
TRUNCATED: Final = (
    "This log output is truncated. You can download the full log from the dbt Cloud UI.\n...\n\n"
)
_RUN: Final = """
deferring_run_id deprecation is_running owner_thread_id should_start_at used_repo_cache
"""
_STEP: Final = "debug_log_path log_path run_step_command run_step_invocation"
"""Fields that are null here, as in every recording."""

_TIMES: Final = "created_at updated_at dequeued_at started_at finished_at"
_COLORS: Final = {Status.SUCCESS: "#43a047", Status.ERROR: "#e53935"}
_ACTOR: Final = {"id": "1", "type": "service_token", "name": "Local token"}
_UNITS: Final = (
    ("year", 365 * 86400),
    ("month", 30 * 86400),
    ("week", 7 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


def clock(duration: timedelta) -> str:
    """Write a duration as `HH:MM:SS`, floored. The hours may exceed 23."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def humanized(duration: timedelta) -> str:
    """Write a duration as people read it, `1 minute, 50 seconds`: at most two adjacent units."""
    rest, parts = int(duration.total_seconds()), list[str]()
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
        if len(parts) == 2 or (parts and not count):  # noqa: PLR2004  # two units
            break
    return ", ".join(parts) or "0 minutes"


class Writer(Objects):
    """Writes the runs of one account as JSON, and what they embed."""

    def run(
        self, run: Run, retry_refusal: str | None, include: Collection[str] = ()
    ) -> dict[str, Any]:
        """Write a run, and why it can't be retried.

        Related objects are null, steps empty, unless they are included.
        """
        steps, debug = run.steps if "run_steps" in include else (), "debug_logs" in include
        return {
            **dict.fromkeys(_RUN.split()),
            **self._run_head(run),
            **self._run_times(run),
            "trigger": self.trigger(run.trigger, run.job) if "trigger" in include else None,
            "job": self.embedded_job(run.job) if "job" in include else None,
            "environment": self.environment(run.job) if "environment" in include else None,
            "run_steps": [self.step(run, step, debug=debug) for step in steps],
            **self._run_durations(run),
            "retrying_run_id": run.retried_run.id if run.retried_run else None,
            "can_retry": retry_refusal is None,
            "retry_not_supported_reason": retry_refusal,
            "audit": _audit(run) if "audit" in include else None,
            **(_retries(run) if "run_retries" in include else {}),
        }

    def _run_head(self, run: Run) -> dict[str, Any]:
        overrides = run.trigger.overrides
        saved_at = f"local/runs/{run.id}/artifacts/target"
        return {
            "id": run.id,
            "trigger_id": run.trigger.id,
            "account_id": self.account_id,
            "environment_id": run.environment_id,
            "project_id": run.project_id,
            "job_definition_id": run.job.id,
            "status": int(run.status),
            "dbt_version": overrides.dbt_version_override or self.dbt_version,
            "git_branch": overrides.git_branch,
            "git_sha": overrides.git_sha or run.version,
            "status_message": run.status_message,
            "executed_by_thread_id": f"dbt-run-{run.id}" if run.started_at else None,
            "artifacts_saved": run.artifacts_saved,
            "artifact_s3_path": saved_at if run.artifacts_saved else None,
            "has_docs_generated": _has(run, "catalog.json"),
            "has_sources_generated": _has(run, "sources.json"),
            "notifications_sent": False,
            "blocked_by": _blocked_by(run),
            "status_humanized": run.status.name.capitalize(),
            "in_progress": not run.is_complete,
            "is_complete": run.is_complete,
            "is_success": run.status == Status.SUCCESS,
            "is_error": run.status == Status.ERROR,
            "is_cancelled": run.status == Status.CANCELLED,
            "href": f"{self.url}/deploy/{self.account_id}/projects/{run.project_id}/runs/{run.id}/",
            "job_id": run.job.id,
        }

    def _run_times(self, run: Run) -> dict[str, Any]:
        beat = (run.finished_at or self.now) if run.started_at else None
        return {
            **{name: getattr(run, name) for name in _TIMES.split()},
            "last_checked_at": beat,
            "last_heartbeat_at": beat,
        }

    def _run_durations(self, run: Run) -> dict[str, Any]:
        end = run.finished_at or self.now
        started = run.started_at or end
        durations = {
            "duration": end - run.created_at,
            "queued_duration": started - run.created_at,
            "run_duration": end - started,
        }
        finished = f"{humanized(self.now - end)} ago" if run.finished_at else "0 minutes from now"
        return {
            **{name: clock(duration) for name, duration in durations.items()},
            **{f"{name}_humanized": humanized(length) for name, length in durations.items()},
            "created_at_humanized": f"{humanized(self.now - run.created_at)} ago",
            "finished_at_humanized": finished,
        }

    def trigger(self, trigger: Trigger, job: Job) -> dict[str, Any]:
        """Write the trigger of a run."""
        return {
            "id": trigger.id,
            "cause": trigger.cause,
            "job_definition_id": job.id,
            **asdict(trigger.overrides),
            "created_at": trigger.created_at,
            "cause_humanized": trigger.cause,
            "job": None,
            "cause_category": trigger.cause_category,
        }

    def step(self, run: Run, step: Step, *, debug: bool) -> dict[str, Any]:
        """Write a step of a run with its logs, which grow while it runs."""
        duration = (step.finished_at or self.now) - step.created_at
        debug_logs = _read(step.debug_logs_path)
        return {
            **dict.fromkeys(_STEP.split()),
            "id": step.id,
            "run_id": run.id,
            "account_id": self.account_id,
            "index": step.index,
            "status": int(step.status),
            "name": step.name,
            "logs": _read(step.logs_path) or step.note,
            "debug_logs": debug_logs if debug else None,
            "truncated_debug_logs": truncated(debug_logs),
            "created_at": step.created_at,
            "updated_at": step.finished_at or step.created_at,
            "started_at": step.created_at,
            "finished_at": step.finished_at,
            "status_humanized": step.status.name.capitalize(),
            "status_color": _COLORS.get(step.status, "#9e9e9e"),
            "duration": clock(duration),
            "duration_humanized": humanized(duration),
        }


def truncated(log: str | None) -> str | None:
    """Keep the last lines of a debug log, and say so if lines are left out."""
    lines = (log or "").splitlines(keepends=True)
    if len(lines) <= TRUNCATED_LINES:
        return log
    return TRUNCATED + "".join(lines[-TRUNCATED_LINES:])


def _read(path: Path | None) -> str | None:
    if path is None or not path.exists():
        return None
    # A log that is being written may end within a character.
    return path.read_text(encoding="utf-8", errors="replace")


def _blocked_by(run: Run) -> list[int]:
    # A queued run names the one that runs, not every run before it.
    return [ahead.id for ahead in run.job.queue[:1] if not run.is_complete and ahead is not run]


def _audit(run: Run) -> dict[str, Any]:
    is_cancelled = run.status_message == CANCELLED_BY_USER
    return {
        "trigger": {"actor": _ACTOR},
        "cancellation": {"actor": _ACTOR} if is_cancelled else None,
    }


def _retries(run: Run) -> dict[str, list[int]]:
    return {"run_retries": [later.id for later in run.job.runs if later.retried_run is run]}


def _has(run: Run, name: str) -> bool:
    return any(step.target_path and (step.target_path / name).is_file() for step in run.steps)
