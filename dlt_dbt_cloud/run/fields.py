"""The fields of a run as the API sends them, and what follows from them. No property raises."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._values import dict_of, int_of, list_of, moment, seconds, str_of
from dlt_dbt_cloud.run.log import DBTCloudRunError, error_in, logged_counts
from dlt_dbt_cloud.run.node import DBTCloudNode, counts_of
from dlt_dbt_cloud.run.status import STATUSES, DBTCloudRunStatus, UsualTimes

MAX_AHEAD: Final = 10
"""Number of runs ahead in the queue that are named."""

SLOWEST: Final = 10
"""Number of nodes in `slowest_nodes`."""

REFUSALS: Final = {
    "RETRY_NOT_FAILED_RUN": "only a failed run can be retried",
    "RETRY_NOT_LATEST_RUN": "the job has a newer run, and dbt Cloud retries only the latest",
    "RETRY_UNSUPPORTED_VERSION": "its dbt is older than 1.6, the first with `dbt retry`",
    "RETRY_UNSUPPORTED_CMD": "`dbt retry` can't continue the command that failed",
    "RETRY_NO_RUN_RESULTS": "it failed before its first node, so there is nothing to continue",
}


class LoadedTables(NamedTuple):
    """The load that a run was triggered for.

    Attributes:
        pipeline_name: The pipeline.
        dataset_name: The dataset that it loaded, None if its destination has none.
        load_ids: The ids of the load packages.
        rows: Number of rows by table, as far as the pipeline knows them.
    """

    pipeline_name: str
    dataset_name: str | None
    load_ids: Sequence[str]
    rows: Mapping[str, int]


class RunFields(dict[str, Any]):
    """The base of `DBTCloudRun`: everything but rendering."""

    nodes: tuple[DBTCloudNode, ...] = ()
    usual: UsualTimes | None = None
    load: LoadedTables | None = None

    @property
    def is_skipped(self) -> bool:
        """Whether nothing was triggered, because there was nothing to build."""
        return self.get("is_skipped") is True

    @property
    def id(self) -> int:
        """The id of the run."""
        return int_of(self.get("id")) or 0

    @property
    def job_id(self) -> int:
        """The id of the job."""
        return int_of(self.get("job_definition_id")) or 0

    @property
    def status(self) -> int | None:
        """The number of the status, see `DBTCloudRunStatus`. None if the API gave none."""
        return int_of(self.get("status"))

    @property
    def status_name(self) -> str:
        """The status in a word."""
        if self.is_skipped:
            return "Skipped"
        try:
            return DBTCloudRunStatus(self.status or 0).name.capitalize()
        except ValueError:
            return f"Unknown status {self.status}"

    @property
    def is_queued(self) -> bool:
        """Whether the run waits for its turn."""
        return self.status == DBTCloudRunStatus.QUEUED

    @property
    def is_complete(self) -> bool:
        """Whether the run has finished, successfully or not."""
        if self.status not in STATUSES:
            return self.is_skipped or self.get("is_complete") is True
        return (self.status or 0) >= DBTCloudRunStatus.SUCCESS

    @property
    def in_progress(self) -> bool:
        """Whether the run is queued, starting or running."""
        return not self.is_complete

    @property
    def is_success(self) -> bool:
        """Whether the run succeeded, or was not needed."""
        return self.is_skipped or self.status == DBTCloudRunStatus.SUCCESS

    @property
    def is_error(self) -> bool:
        """Whether the run has failed."""
        return self.status == DBTCloudRunStatus.ERROR

    @property
    def is_timed_out(self) -> bool:
        """Whether dbt Cloud ended the run at the job's timeout, which the API calls cancelled."""
        message = str_of(self.get("status_message"))
        return self.status == DBTCloudRunStatus.CANCELLED and "timed out" in message

    @property
    def is_cancelled(self) -> bool:
        """Whether a person or dbt Cloud cancelled the run."""
        return self.status == DBTCloudRunStatus.CANCELLED and not self.is_timed_out

    @property
    def can_retry(self) -> bool:
        """Whether the run failed and can be retried from its failed step."""
        return self.get("can_retry") is True

    @property
    def retry_refusal(self) -> str:
        """Why the run can't be retried from its failed step, empty if it can."""
        if self.can_retry:
            return ""
        reason = str_of(self.get("retry_not_supported_reason")) or "the API gives no reason"
        if explained := REFUSALS.get(reason):
            reason = f"{reason}, {explained}"
        return f"Run {self.id} ({self.status_name}) can't be retried: {reason}. {self.url}"

    @property
    def queued_seconds(self) -> float:
        """Seconds in the queue, up to now while it is queued."""
        return seconds(self.get("queued_duration"))

    @property
    def run_seconds(self) -> float:
        """Seconds since the run started, up to now while it is in progress."""
        return seconds(self.get("run_duration"))

    @property
    def created_at(self) -> datetime | None:
        """When the run was created, None if the API doesn't say."""
        return moment(self.get("created_at"))

    @property
    def url(self) -> str:
        """The page of the run in dbt Cloud."""
        return str_of(self.get("href"))

    @property
    def cause(self) -> str:
        """Why the run was triggered, if the answer includes `trigger`."""
        cause = dict_of(self.get("trigger")).get("cause")
        return cause if isinstance(cause, str) else ""

    @property
    def job_name(self) -> str:
        """The name of the job if the answer includes `job`, else its id."""
        name = str_of(dict_of(self.get("job")).get("name"))
        return name or str_of(self.get("job_definition_id")) or "unknown"

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps that have started, if the answer includes them."""
        return [step for step in list_of(self.get("run_steps")) if isinstance(step, dict)]

    @property
    def activity(self) -> str:
        """What the run is doing, in words: its current step, what it is queued behind."""
        ahead = [str_of(run_id) for run_id in list_of(self.get("blocked_by"))[:MAX_AHEAD]]
        if self.is_queued and ahead:
            return f"{self.status_name} behind run {', '.join(ahead)}"
        if self.is_complete or not self.steps:
            return self.status_name
        return step_name(self.steps[-1])

    @property
    def failed_steps(self) -> list[dict[str, Any]]:
        """The steps that failed. In a run that succeeded, their failures had no consequence."""
        return [
            step for step in self.steps if int_of(step.get("status")) == DBTCloudRunStatus.ERROR
        ]

    def may_have_results(self, step: Mapping[str, Any]) -> bool:
        """Returns False if a failed step ended before the first node: it left no results.

        dbt writes `run_results.json` after its summary, which is in the log before the file can be
        downloaded.
        """
        return self.get("artifacts_saved") is True or "Done. PASS=" in str(step.get("logs"))

    @property
    def failed_nodes(self) -> tuple[DBTCloudNode, ...]:
        """The nodes that made the run fail, with message, file and line."""
        return tuple(node for node in self.nodes if node.is_failed) if self.is_error else ()

    @property
    def warned_nodes(self) -> tuple[DBTCloudNode, ...]:
        """The nodes that dbt warned of, also in a run that succeeded."""
        return tuple(node for node in self.nodes if node.is_warned)

    @property
    def slowest_nodes(self) -> tuple[DBTCloudNode, ...]:
        """The nodes that took longest, the slowest first."""
        timed = sorted(self.nodes, key=lambda node: -node.execution_time)
        return tuple(node for node in timed if node.execution_time > 0)[:SLOWEST]

    @property
    def counts(self) -> dict[str, int]:
        """Number of nodes by outcome, `PASS`, `WARN`, `ERROR`, `SKIP`. Empty if it is not known."""
        if self.nodes:
            return counts_of(self.nodes)
        logged = [logged_counts(step) for step in self.steps]
        names = {name: None for counts in logged for name in counts}
        return {name: sum(counts.get(name, 0) for counts in logged) for name in names}

    @property
    def errors(self) -> tuple[DBTCloudRunError, ...]:
        """Why steps failed before their first node. dbt Cloud's own message if no step failed."""
        if not self.is_error or self.failed_nodes:
            return ()
        if self.failed_steps:
            return tuple(filter(None, map(error_in, self.failed_steps)))
        message = str_of(self.get("status_message"))
        return (DBTCloudRunError("platform", message),) if message else ()

    @property
    def error(self) -> DBTCloudRunError | None:
        """Why the run failed before the first node: the first of `errors`, None if it did not."""
        return next(iter(self.errors), None)

    def keep(self, before: "RunFields") -> None:
        """Keeps what an earlier answer had and this one leaves out: polls ask for less."""
        known = {"job": before.get("job")}
        if self.status == before.status:
            known["run_steps"] = before.get("run_steps")
        self.update({name: value for name, value in known.items() if value and not self.get(name)})

    @property
    def triggered_by(self) -> str:
        """Who triggered the run, empty if the API doesn't say."""
        return self._actor("trigger")

    @property
    def cancelled_by(self) -> str:
        """Who cancelled the run, empty if the API doesn't say."""
        return self._actor("cancellation")

    def _actor(self, event: str) -> str:
        about = dict_of(dict_of(self.get("audit")).get(event))
        return str_of(dict_of(about.get("actor")).get("name"))


def step_name(step: Mapping[str, Any]) -> str:
    """Returns the index and the name of a step."""
    return f"{str_of(step.get('index'))}. {str_of(step.get('name'))}"
