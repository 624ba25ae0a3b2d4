"""The JSON of what runs belong to: jobs, environments, projects and the account.

Fields, formats and nulls follow recorded bodies of dbt Cloud and dbt Labs' description.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dlt_dbt_cloud.local.state.records import Job

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


@dataclass(frozen=True)
class Objects:
    """Writes the objects of one account as JSON.

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

    def job(self, job: Job, include: Collection[str] = ()) -> dict[str, Any]:
        """Write a job as the jobs endpoints do."""
        return {
            **self._job(job),
            "created_at": job.created_at.isoformat(),
            "updated_at": job.created_at.isoformat(),
            "raw_dbt_version": None,
            "job_completion_trigger_condition": None,
            "account": None,
            "project": None,
            "environment": self.environment(job) if "environment" in include else None,
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
            "deactivated": job.deactivated,
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
            "raw_dbt_version": self.dbt_version,
            "created_at": job.created_at.isoformat(),
            "updated_at": job.created_at.isoformat(),
            "repository": None,
            "connection": None,
            "jobs": None,
            "custom_environment_variables": None,
        }

    def project(self, job: Job) -> dict[str, Any]:
        """Write the project of a job."""
        return {
            **dict.fromkeys(_PROJECT.split()),
            "id": job.project_id,
            "account_id": self.account_id,
            "name": job.described.project or job.name,
            "environments": [],
            "state": 1,
            "type": 0,
            "created_at": job.created_at.isoformat(),
            "updated_at": job.created_at.isoformat(),
        }

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
