"""The seam: what the program needs of dbt Cloud's API. Each method is one request, sent once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import (  # noqa: UP035  # the settings have these
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    List,
    Protocol,
    TypeVar,
)

from typing_extensions import NamedTuple, TypedDict  # generic ones, before Python 3.11 too

if TYPE_CHECKING:  # settings need this module, and nothing of a run
    from dlt_dbt_cloud.run import DBTCloudRun

T = TypeVar("T")

PAGE: Final = 100
"""Maximum number of items on a page."""


class TriggerOverrides(TypedDict, total=False):
    """The fields of a trigger request (`TriggerRunRequestRequest` of dbt Labs' OpenAPI spec)."""

    cause: str
    git_sha: str | None
    git_branch: str | None
    schema_override: str | None
    dbt_version_override: str | None
    target_name_override: str | None
    threads_override: int | None
    generate_docs_override: bool | None
    timeout_seconds_override: int | None
    steps_override: List[str] | None  # noqa: UP006
    azure_pull_request_id: int | None
    github_pull_request_id: int | None
    gitlab_merge_request_id: int | None
    non_native_pull_request_id: int | None


TRIGGER_FIELDS: Final = tuple(TriggerOverrides.__annotations__)
"""Their names."""


class Page(NamedTuple, Generic[T]):
    """A part of a list.

    Attributes:
        items: What the page holds.
        total: Number of items on all pages, None if the API doesn't say.
        now: When the API answered, on its own clock, None if it doesn't say.
    """

    items: Sequence[T]
    total: int | None = None
    now: datetime | None = None


class RunsApi(Protocol):
    """Operations of the API v2. All raise a `DBTCloudAPIException` without a usable answer."""

    def post_run(self, job_id: int, body: Mapping[str, Any]) -> "DBTCloudRun":
        """Creates a run of a job."""
        ...

    def post_retry(self, run_id: int) -> "DBTCloudRun":
        """Creates a run that continues a failed one."""
        ...

    def get_run_status(self, run_id: int, *, include_related: Sequence[str] = ()) -> "DBTCloudRun":
        """Returns a run."""
        ...

    def get_runs(self, **query: Any) -> "Page[DBTCloudRun]":
        """Returns a page of the account's runs, e.g. `job_definition_id=1, order_by="-id"`."""
        ...

    def cancel_run(self, run_id: int) -> "DBTCloudRun":
        """Cancels a run. A running one stops shortly afterwards."""
        ...

    def get_artifact(self, run_id: int, path: str, *, step: int | None = None) -> Any:
        """Returns an artifact, parsed if it is JSON."""
        ...

    def get_step(self, step_id: int) -> Mapping[str, Any]:
        """Returns a step of a run, also while it runs."""
        ...

    def get_jobs(self, **query: Any) -> Page[dict[str, Any]]:
        """Returns a page of the account's jobs."""
        ...

    def runs_url(self, job_id: int) -> str:
        """Returns where a person finds the runs of a job."""
        ...
