"""The JSON of what runs belong to: jobs, environments, projects and the account.

Fields, formats and nulls follow recorded bodies of dbt Cloud and dbt Labs' description.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dlt_dbt_cloud.local.state.records import Job

_ENVIRONMENT: Final = """
connection connection_id created_by_id credentials_id custom_branch custom_environment_variables
dbt_project_subdirectory deployment_type extended_attributes_id jobs repository repository_id
"""
_JOB: Final = """
dbt_version deferring_environment_id deferring_job_definition_id lifecycle_webhooks_url
"""
_LISTED_JOB: Final = """
account fusion_readiness job_completion_trigger_condition project raw_dbt_version
"""
_PROJECT: Final = """
description connection_id connection repository_id repository semantic_layer_config_id
dbt_project_subdirectory docs_job_id docs_job freshness_job_id freshness_job fusion_readiness
group_permissions default_version
"""
_ACCOUNT: Final = """
agent_credit_locked analyst_seats billing_email_address business_critical copilot_locked_until
created_at develop_pod_memory_request_mebibytes developer_seats docs_job_id enterprise_login_slug
explorer_seats freshness_job_id git_auth_level identifier it_seats lock_cause lock_reason locked
pending_cancel pod_memory_request_mebibytes queue_limit read_only_seats run_duration_limit_seconds
run_locked_until run_slots starter_repo_url static_subdomain trial_end_date unlocked_at updated_at
vanity_subdomain
"""
"""Fields that are null here."""

_FLAGS: Final = """
generate_sources is_deferrable lifecycle_webhooks run_compare_changes run_generate_sources run_lint
triggers_on_draft_pr
"""
_TRIGGERS: Final = """
custom_branch_only git_provider_webhook github_webhook on_merge schedule
"""
"""Fields that are false here."""


@dataclass(frozen=True)
class Objects:
    """Writes the objects of the account that is served at a URL. Ages are counted up to `now`."""

    url: str
    account_id: int
    dbt_version: str
    now: datetime

    def job(self, job: Job, include: Collection[str] = ()) -> dict[str, Any]:
        """Write a job as the jobs endpoints do."""
        return {
            **dict.fromkeys(_LISTED_JOB.split()),
            **self._job(job),
            "environment": self.environment(job) if "environment" in include else None,
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
            **dict.fromkeys(_JOB.split()),
            **dict.fromkeys(_FLAGS.split(), False),
            **self._common(job),
            "id": job.id,
            "project_id": job.project_id,
            "environment_id": job.environment_id,
            "name": job.name,
            "description": "",
            "execution": {"timeout_seconds": described.timeout_seconds},
            "execute_steps": list(described.steps),
            "generate_docs": described.generate_docs,
            "deactivated": job.deactivated,
            "run_failure_count": job.failure_count,
            "job_type": "other",
            "compare_changes_flags": "--select state:modified",
            "errors_on_lint_failure": True,
            "triggers": dict.fromkeys(_TRIGGERS.split(), False),
            "settings": {
                "threads": described.threads or 1,
                "target_name": described.target or "default",
            },
        }

    def environment(self, job: Job) -> dict[str, Any]:
        """Write the environment that a job runs in."""
        return {
            **dict.fromkeys(_ENVIRONMENT.split()),
            **self._common(job),
            "id": job.environment_id,
            "project_id": job.project_id,
            "name": "Local",
            "use_custom_branch": False,
            "dbt_version": self.dbt_version,
            "raw_dbt_version": self.dbt_version,
            "supports_docs": False,
            "type": "deployment",
        }

    def project(self, job: Job) -> dict[str, Any]:
        """Write the project of a job."""
        return {
            **dict.fromkeys(_PROJECT.split()),
            **self._common(job),
            "id": job.project_id,
            "name": job.described.project or job.name,
            "environments": [],
            "type": 0,
        }

    def _common(self, job: Job) -> dict[str, Any]:
        moment = job.created_at.isoformat()
        common = {"account_id": self.account_id, "created_at": moment, "updated_at": moment}
        return {**common, "state": 1}

    def account(self) -> dict[str, Any]:
        """Write the account."""
        return {
            **dict.fromkeys(_ACCOUNT.split()),
            "id": self.account_id,
            "name": "Local",
            "plan": "enterprise",
            "state": 1,
            "groups": [],
            "account_migration_events": [],
        }
