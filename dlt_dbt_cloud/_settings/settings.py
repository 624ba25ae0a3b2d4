"""The settings: each name, default, meaning and check in one place."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, List  # noqa: UP035  # dlt reads it

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue
from typing_extensions import Self

from dlt_dbt_cloud._api import TRIGGER_FIELDS
from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud._settings.checks import checked
from dlt_dbt_cloud._settings.lookup import SECTION
from dlt_dbt_cloud._settings.messages import malformed, nearest, redacted
from dlt_dbt_cloud.exceptions import InvalidCredentialsException


def _setting(default: Any, doc: str) -> Any:
    return dataclasses.field(default=default, metadata={"doc": doc})


@configspec
class DBTCloudConfiguration(BaseConfiguration):
    """Settings of a dbt Cloud job and of the wait for its runs, all of them in `[dbt_cloud]`.

    An instance is what `credentials=` takes: its fields then win over those in the files and the
    environment, and the fields that it leaves out are looked up there.
    """

    # Without a section of its own a bare `PROJECT_ID` in the environment would be taken for ours.
    __section__: ClassVar[str] = SECTION

    api_token: TSecretStrValue = _setting(
        "",
        'Service token or personal access token. To run a job it needs the permission "Job'
        ' runner".',
    )
    account_id: str | None = _setting(None, "Id of the account, digits.")
    job_id: str | None = _setting(None, "Id of the job to run, digits.")
    project_id: str | None = _setting(None, "Id of the project to look for jobs in.")
    environment_id: str | None = _setting(None, "Id of the environment to look for jobs in.")
    run_id: str | None = _setting(None, "Id of the run that `get_dbt_cloud_run_status` reads.")

    cause: str = _setting(
        "Triggered via API",
        "Why the job runs: shown in dbt Cloud and passed into the run as `DBT_CLOUD_RUN_REASON`.",
    )
    git_sha: str | None = _setting(None, "Commit to check out. Wins over `git_branch`.")
    git_branch: str | None = _setting(None, "Branch to check out.")
    schema_override: str | None = _setting(
        None, "Schema to build into instead of the environment's."
    )
    dbt_version_override: str | None = _setting(None, "dbt version to run with.")
    target_name_override: str | None = _setting(None, "`target.name` that the models see.")
    threads_override: int | None = _setting(None, "Threads that dbt runs with.")
    generate_docs_override: bool | None = _setting(
        None, "Whether the run generates the documentation."
    )
    timeout_seconds_override: int | None = _setting(
        None, "Seconds after which dbt Cloud ends the run."
    )
    steps_override: List[str] | None = _setting(  # noqa: UP006
        None, 'dbt commands to run instead of the job\'s, e.g. `["dbt build --select flights"]`.'
    )
    azure_pull_request_id: int | None = _setting(None, "Pull request that the run belongs to.")
    github_pull_request_id: int | None = _setting(None, "Pull request that the run belongs to.")
    gitlab_merge_request_id: int | None = _setting(None, "Merge request that the run belongs to.")
    non_native_pull_request_id: int | None = _setting(
        None, "Pull request that the run belongs to, of another git provider."
    )

    base_api_url: str = _setting(
        "https://cloud.getdbt.com/api",
        "Access URL of the account: host or URL, with or without `/api`, `/api/v2`.",
    )
    job_name: str | None = _setting(None, "Exact name of the job to run, instead of `job_id`.")
    wait_for_outcome: bool = _setting(True, "Whether to wait until the run has finished.")
    wait_seconds: float = _setting(10, "Maximum polling interval in seconds.")
    wait_timeout: float = _setting(
        24 * 60 * 60, "Maximum wait in seconds, by default dbt Cloud's own limit on a run."
    )
    raise_on_failure: bool = _setting(
        False, "Whether a run that did not succeed raises an exception."
    )
    retry_failed: int = _setting(0, "How many times a failed run is retried from its failed step.")
    cancel_on_abort: bool = _setting(
        False,
        "Whether Ctrl-C, SIGTERM, `stop`, the caller's time limit or `wait_timeout` cancels the"
        " run that belongs to this call, load or key.",
    )
    reuse_queued: bool = _setting(
        False,
        "Whether to reuse a queued run of the job with the same overrides instead of triggering"
        " one. It has not started yet, so it will read this load too.",
    )
    run_key: str | None = _setting(
        None,
        "Names the piece of work: calls with the same key and job share one run. `auto` takes the"
        " name from the orchestrator.",
    )
    run_key_window: float = _setting(
        24 * 60 * 60, "Maximum age of a run with the same `run_key`, in seconds, at most a year."
    )
    progress: str = _setting(
        "auto",
        "`off` shows nothing. `auto` uses the pipeline's `progress=`, or else one line in a"
        " terminal.",
    )
    logs: bool = _setting(False, "Whether the log of each step is shown as it is written.")
    notify: bool = _setting(
        False,
        "Whether to report a run that does not succeed to Slack, through"
        " `runtime.slack_incoming_hook`.",
    )
    select_loaded: bool = _setting(
        False,
        "Whether to build only what is downstream of the tables that loads have changed since the"
        " job's last successful runs.",
    )
    skip_unchanged: bool = _setting(
        False,
        "Whether to trigger nothing if no table has changed since the job's last successful runs.",
    )
    outage_timeout: float = _setting(
        10 * 60,
        "How long to retry while the API is unavailable, in seconds. The default outlasts the"
        " five minutes for which dbt Cloud blocks an account over its rate limit.",
    )
    request_timeout: float = _setting(60.0, "Maximum total time of a request in seconds.")
    max_artifact_bytes: int = _setting(256 * 1024 * 1024, "Maximum size of an artifact in bytes.")

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remembers what was passed, so that a passed default wins too."""
        self = super().__new__(cls)
        names = (field.name for field in dataclasses.fields(cls) if field.init)
        # Not as a field of the dataclass: it is no setting.
        self.__dict__["_passed"] = {*dict(zip(names, args, strict=False)), *kwargs}
        return self

    def explicit(self) -> dict[str, Any]:
        """Returns the fields that were passed or set, and all fields once they are resolved.

        None resets a setting whose default is None. For any other, it counts as not passed.
        """
        names = {*self.__dict__.get("_passed", ()), *self.as_dict_nondefault()}
        if self.is_resolved():
            return dict(self)
        kept = (n for n in names if self[n] is not None or getattr(type(self), n) is None)
        return {name: self[name] for name in kept}

    def on_resolved(self) -> None:
        """Checks all settings and brings them to one form."""
        problems = []
        for name, hint in self.get_resolvable_fields().items():
            try:
                self[name] = checked(name, hint, self[name])
            except InvalidCredentialsException as error:
                problems.append(str(error))
        if self._redacted(str(self.base_api_url)) != str(self.base_api_url):
            problems.append("Invalid `base_api_url`: it contains a token.")
        if problems:
            raise InvalidCredentialsException(self._redacted("\n".join(problems)))

    def _redacted(self, text: str) -> str:
        return redacted(text, [str(self.api_token)])

    def trigger_request(self, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns the body of the trigger request: the configured overrides, then `data` as given.

        A key of `data` that the API does not know is sent, with a warning: the API ignores it
        silently, and a run with a misspelt `schema_override` builds into the wrong schema.
        """
        if data is not None and not isinstance(data, Mapping):
            raise malformed("data", "a dict of overrides", data)
        request = {name: self[name] for name in TRIGGER_FIELDS if self[name] not in (None, "", [])}
        if "git_sha" in request:
            request.pop("git_branch", None)
        if (data or {}).get("git_branch"):
            request.pop("git_sha", None)  # what is passed wins over a configured commit
        for key in set(data or {}).difference(TRIGGER_FIELDS):
            known = f" It knows {', '.join(TRIGGER_FIELDS)}."
            hint = nearest(str(key), TRIGGER_FIELDS) or known
            logger.warning("dbt Cloud ignores `%s` in `data`.%s", key, hint)
        return {**request, **(data or {})}
