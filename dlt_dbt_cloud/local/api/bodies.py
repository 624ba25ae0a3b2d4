"""The JSON of the API: envelopes, errors, runs, steps and jobs. Pure functions of the records.

Fields, formats and nulls follow recorded bodies of dbt Cloud, see `tests/samples/local`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from dlt_dbt_cloud.local.state.records import Job, Run, Step, Trigger
from dlt_dbt_cloud.run import DBTCloudRunStatus as Status

NOT_FOUND: Final = (
    "The requested resource was not found. Please check that you have the proper permissions. "
    "If you are seeing this in error, please contact support!"
)
INVALID: Final = "The request was invalid. Please double check the provided data and try again."
SERVER_ERROR: Final = "There was a server error. Please contact support!"

TRUNCATED_LINES: Final = 1000
TRUNCATED: Final = (
    "This log output is truncated. You can download the full log from the dbt Cloud UI.\n...\n\n"
)
_COLORS: Final = {Status.SUCCESS: "#43a047", Status.ERROR: "#e53935"}
_UNITS: Final = (
    ("year", 365 * 86400),
    ("month", 30 * 86400),
    ("week", 7 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


def success(data: Any, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Envelope an answer. Lists have an `extra`."""
    body = {"status": _status(200, "Success!", ""), "data": data}
    return body if extra is None else {**body, "extra": extra}


def error(
    code: int, user_message: str, data: Any = None, developer_message: str | None = ""
) -> dict[str, Any]:
    """Envelope a refusal. Its `developer_message` is empty or null, it depends on the error."""
    body = {"status": _status(code, user_message, developer_message), "data": data}
    return body if data is None else {**body, "extra": {}, "error_code": None}


def _status(code: int, user_message: str, developer_message: str | None) -> dict[str, Any]:
    return {
        "code": code,
        "is_success": code == 200,  # noqa: PLR2004  # a status code
        "user_message": user_message,
        "developer_message": developer_message,
    }


def timestamp(moment: datetime | None) -> str | None:
    """Write a moment as runs do, `2022-08-31 02:18:57.855152+00:00`."""
    return None if moment is None else str(moment)


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


@dataclass(frozen=True)
class Writer:
    """Writes the records of one account as JSON.

    Attributes:
        url: Where the account is served, for the links.
        account_id: The account.
        dbt_version: The version of dbt that runs.
        now: The moment that ages are counted to.
    """

    url: str
    account_id: int
    dbt_version: str
    now: datetime

    def run(
        self, run: Run, retry_refusal: str | None, include: Collection[str] = ()
    ) -> dict[str, Any]:
        """Write a run, and why it can't be retried.

        Related objects are null, steps empty, unless they are included.
        """
        return {
            **self._run_head(run),
            **self._run_times(run),
            "trigger": self.trigger(run.trigger, run.job) if "trigger" in include else None,
            "job": self.embedded_job(run.job) if "job" in include else None,
            "environment": self.environment(run.job) if "environment" in include else None,
            "run_steps": self._run_steps(run, include),
            **self._run_state(run),
            **self._run_durations(run),
            "retrying_run_id": run.retried_run.id if run.retried_run else None,
            "can_retry": retry_refusal is None,
            "retry_not_supported_reason": retry_refusal,
            "used_repo_cache": None,
            "audit": None,
        }

    def _run_head(self, run: Run) -> dict[str, Any]:
        overrides = run.trigger.overrides
        return {
            "id": run.id,
            "trigger_id": run.trigger.id,
            "account_id": self.account_id,
            "environment_id": run.job.environment_id,
            "project_id": run.job.project_id,
            "job_definition_id": run.job.id,
            "status": int(run.status),
            "dbt_version": overrides.dbt_version_override or self.dbt_version,
            "git_branch": overrides.git_branch,
            "git_sha": overrides.git_sha,
            "status_message": run.status_message,
            "owner_thread_id": None,
            "executed_by_thread_id": f"dbt-run-{run.id}" if run.started_at else None,
            "deferring_run_id": None,
            "artifacts_saved": run.artifacts_saved,
            "artifact_s3_path": (
                f"local/runs/{run.id}/artifacts/target" if run.artifacts_saved else None
            ),
            "has_docs_generated": _has_docs(run),
            "has_sources_generated": _has_sources(run),
            "notifications_sent": False,
            "blocked_by": [ahead.id for ahead in _ahead(run)],
            "deprecation": None,
        }

    def _run_times(self, run: Run) -> dict[str, Any]:
        beat = (run.finished_at or self.now) if run.started_at else None
        return {
            "created_at": timestamp(run.created_at),
            "updated_at": timestamp(run.updated_at),
            "dequeued_at": timestamp(run.dequeued_at),
            "started_at": timestamp(run.started_at),
            "finished_at": timestamp(run.finished_at),
            "last_checked_at": timestamp(beat),
            "last_heartbeat_at": timestamp(beat),
            "should_start_at": None,
        }

    def _run_state(self, run: Run) -> dict[str, Any]:
        return {
            "status_humanized": run.status.name.capitalize(),
            "in_progress": not run.is_complete,
            "is_complete": run.is_complete,
            "is_success": run.status == Status.SUCCESS,
            "is_error": run.status == Status.ERROR,
            "is_cancelled": run.status == Status.CANCELLED,
            "is_running": None,  # null in every recording
            "href": f"{self.url}/deploy/{self.account_id}/projects/{run.job.project_id}"
            f"/runs/{run.id}/",
            "job_id": run.job.id,
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

    def _run_steps(self, run: Run, include: Collection[str]) -> list[dict[str, Any]]:
        if "run_steps" not in include:
            return []
        return [self.step(run, step, debug="debug_logs" in include) for step in run.steps]

    def trigger(self, trigger: Trigger, job: Job) -> dict[str, Any]:
        """Write the trigger of a run."""
        return {
            "id": trigger.id,
            "cause": trigger.cause,
            "job_definition_id": job.id,
            **asdict(trigger.overrides),
            "created_at": timestamp(trigger.created_at),
            "cause_humanized": trigger.cause,
            "job": None,
            "cause_category": trigger.cause_category,
        }

    def step(self, run: Run, step: Step, *, debug: bool) -> dict[str, Any]:
        """Write a step of a run with its logs, which grow while it runs."""
        duration = (step.finished_at or self.now) - step.created_at
        debug_logs = _read(step.debug_logs_path)
        return {
            "id": step.id,
            "run_id": run.id,
            "account_id": self.account_id,
            "index": step.index,
            "status": int(step.status),
            "name": step.name,
            "logs": _read(step.logs_path) or step.note,
            "debug_logs": debug_logs if debug else None,
            "log_path": None,
            "debug_log_path": None,
            "truncated_debug_logs": truncated(debug_logs),
            "created_at": timestamp(step.created_at),
            "updated_at": timestamp(step.finished_at or step.created_at),
            "started_at": timestamp(step.created_at),
            "finished_at": timestamp(step.finished_at),
            "status_humanized": step.status.name.capitalize(),
            "status_color": _COLORS.get(step.status, "#9e9e9e"),
            "duration": clock(duration),
            "duration_humanized": humanized(duration),
            "run_step_command": None,
            "run_step_invocation": None,
        }

    def job(self, job: Job) -> dict[str, Any]:
        """Write a job as the jobs endpoints do."""
        return {
            **self._job(job),
            "created_at": job.created_at.isoformat(),
            "updated_at": job.created_at.isoformat(),
            "raw_dbt_version": None,
            "job_completion_trigger_condition": None,
            "account": None,
            "project": None,
            "environment": None,
            "fusion_readiness": None,
            "schedule": {
                "cron": "0 * * * *",
                "date": {"type": "every_day"},
                "time": {"type": "every_hour", "interval": 1},
            },
        }

    def embedded_job(self, job: Job) -> dict[str, Any]:
        """Write a job as a run embeds it: other timestamps, another schedule."""
        moment = job.created_at.isoformat().replace("+00:00", "Z")
        return {
            **self._job(job),
            "created_at": moment,
            "updated_at": moment,
            "schedule": {"cron": "0 * * * *", "date": "every_day", "time": "every_hour"},
        }

    def _job(self, job: Job) -> dict[str, Any]:
        described = job.described
        return {
            "execution": {"timeout_seconds": described.timeout_seconds},
            "generate_docs": described.generate_docs,
            "run_generate_sources": False,
            "id": job.id,
            "account_id": self.account_id,
            "project_id": job.project_id,
            "environment_id": job.environment_id,
            "name": job.name,
            "description": "",
            "dbt_version": None,
            "execute_steps": list(described.steps),
            "state": 1,
            "deactivated": False,
            "run_failure_count": job.failure_count,
            "deferring_job_definition_id": None,
            "deferring_environment_id": None,
            "lifecycle_webhooks": False,
            "lifecycle_webhooks_url": None,
            "job_type": "other",
            "triggers_on_draft_pr": False,
            "run_compare_changes": False,
            "compare_changes_flags": "--select state:modified",
            "run_lint": False,
            "errors_on_lint_failure": True,
            "triggers": {
                "github_webhook": False,
                "git_provider_webhook": False,
                "custom_branch_only": False,
                "schedule": False,
                "on_merge": False,
            },
            "settings": {
                "threads": described.threads or 1,
                "target_name": described.target or "default",
            },
            "is_deferrable": False,
            "generate_sources": False,
        }

    def environment(self, job: Job) -> dict[str, Any]:
        """Write the environment that a job runs in."""
        return {
            "id": job.environment_id,
            "account_id": self.account_id,
            "project_id": job.project_id,
            "name": "Local",
            "connection_id": None,
            "credentials_id": None,
            "repository_id": None,
            "extended_attributes_id": None,
            "custom_branch": None,
            "use_custom_branch": False,
            "dbt_project_subdirectory": None,
            "dbt_version": self.dbt_version,
            "supports_docs": False,
            "deployment_type": None,
            "type": "deployment",
            "created_by_id": None,
            "state": 1,
        }


def truncated(log: str | None) -> str | None:
    """Leave the last lines of a debug log, and say so where something is left out."""
    lines = (log or "").splitlines(keepends=True)
    if len(lines) <= TRUNCATED_LINES:
        return log
    return TRUNCATED + "".join(lines[-TRUNCATED_LINES:])


def _read(path: Any) -> str | None:
    if path is None or not path.exists():
        return None
    # A log that is being written may end within a character.
    return str(path.read_text(encoding="utf-8", errors="replace"))


def _ahead(run: Run) -> list[Run]:
    queue = run.job.queue
    # A queued run names the one that runs, not every run before it.
    return queue[:1] if run in queue[1:] else []


def _has_docs(run: Run) -> bool:
    return any(_has(step, "catalog.json") for step in run.steps)


def _has_sources(run: Run) -> bool:
    return any(_has(step, "sources.json") for step in run.steps)


def _has(step: Step, name: str) -> bool:
    return step.target_path is not None and (step.target_path / name).is_file()
