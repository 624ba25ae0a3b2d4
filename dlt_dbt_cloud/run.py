"""A run: the API's dict, and what a person or a script asks of it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from statistics import median, pstdev
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._values import clock, dict_of, int_of, list_of, moment, seconds, str_of, text
from dlt_dbt_cloud.exceptions import (
    DBTCloudResponseException,
    DBTCloudRunCancelledException,
    DBTCloudRunException,
    DBTCloudRunFailedException,
    DBTCloudRunOutcomeUnknownException,
    DBTCloudRunTimedOutException,
)


class DBTCloudRunStatus(IntEnum):
    """The statuses that dbt Labs' OpenAPI spec lists. A run may come with another number."""

    QUEUED = 1
    STARTING = 2
    RUNNING = 3
    SUCCESS = 10
    ERROR = 20
    CANCELLED = 30


class DBTCloudNode(NamedTuple):
    """A model, test, seed or snapshot as a run left it: an entry of `run_results.json`."""

    unique_id: str
    status: str
    """An open set: success, error, skipped, pass, fail, warn, reused, …"""
    message: str
    execution_time: float

    @classmethod
    def from_results(cls, entry: Mapping[str, Any]) -> "DBTCloudNode":
        """Returns the node of an entry of `run_results.json`."""
        seconds = entry.get("execution_time")
        return cls(
            unique_id=str_of(entry.get("unique_id")),
            status=str_of(entry.get("status")),
            message=str_of(entry.get("message")),
            execution_time=float(seconds) if isinstance(seconds, int | float) else 0.0,
        )

    @property
    def is_failed(self) -> bool:
        """Whether the node makes its run fail."""
        return str_of(self.status) in {"error", "fail", "runtime error", "partial success"}


STATUSES: Final = frozenset(map(int, DBTCloudRunStatus))


class UsualTimes(NamedTuple):
    """How long a job's last successful runs waited in the queue and ran, in seconds.

    Attributes:
        queued: Median time in the queue.
        ran: Median run time.
        spread: Standard deviation of the run time, at least 5 % of it and half a second.
    """

    queued: float
    ran: float
    spread: float

    @classmethod
    def of(cls, queued: Sequence[float], ran: Sequence[float]) -> "UsualTimes | None":
        """Returns the usual times of these runs, None if there are too few of them."""
        if len(ran) < 3:  # noqa: PLR2004  # two can't tell a usual time from a chance
            return None
        usual = median(ran)
        return cls(median(queued), usual, max(pstdev(ran), usual / 20, 0.5))

    def is_much_exceeded_by(self, ran: float) -> bool:
        """Returns True if a run took far longer than usual."""
        return ran > max(1.5 * self.ran, self.ran + 4 * self.spread)


class DBTCloudRun(dict[str, Any]):
    """A run of a dbt Cloud job: the API's dict, with answers to what one asks of it.

    `print(run)` tells a person what happened. As a dict it loads with `pipeline.run([run])`.
    Whatever the API has put into a field, no property raises.

    Attributes:
        failed_nodes: The models and tests that failed, once the run has failed and as far as its
            `run_results.json` lists them.
        usual: How long the job's runs usually take, if that was read.
    """

    failed_nodes: tuple[DBTCloudNode, ...] = ()
    usual: UsualTimes | None = None

    @classmethod
    def from_api(cls, data: Any, url: str) -> "DBTCloudRun":
        """Returns the run in an answer of the API.

        Raises:
            DBTCloudResponseException: If the answer holds no run.
        """
        run = cls(dict_of(data))
        if not isinstance(run.get("id"), int) or run.id <= 0:
            kind = type(data).__name__
            raise DBTCloudResponseException(f"{url} answered without a run: {kind}", url=url)
        return run

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DBTCloudRun":
        """Returns the run that was turned into a dict: `json.loads(json.dumps(run))`."""
        return cls.from_api(data, "from_dict")

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
        """Whether the run has ended, well or not."""
        if self.status not in STATUSES:
            return self.get("is_complete") is True
        return (self.status or 0) >= DBTCloudRunStatus.SUCCESS

    @property
    def in_progress(self) -> bool:
        """Whether the run has not ended."""
        return not self.is_complete

    @property
    def is_success(self) -> bool:
        """Whether the run has ended well."""
        return self.status == DBTCloudRunStatus.SUCCESS

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
        return f"Run {self.id} ({self.status_name}) can't be retried: {reason}. {self.url}"

    @property
    def queued_seconds(self) -> float:
        """Seconds in the queue, up to now while it is queued."""
        return seconds(self.get("queued_duration"))

    @property
    def run_seconds(self) -> float:
        """Seconds since the run has started, or in all when it has ended."""
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
        """Why the run was triggered, if the trigger was requested."""
        cause = dict_of(self.get("trigger")).get("cause")
        return cause if isinstance(cause, str) else ""

    @property
    def job_name(self) -> str:
        """The name of the job if the job was requested, else its id."""
        name = str_of(dict_of(self.get("job")).get("name"))
        return name or str_of(self.get("job_definition_id")) or "unknown"

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps that have started, if they were requested."""
        return [step for step in list_of(self.get("run_steps")) if isinstance(step, dict)]

    @property
    def activity(self) -> str:
        """What the run is doing, in words: its current step, what it is queued behind."""
        ahead = [str_of(run_id) for run_id in list_of(self.get("blocked_by"))[: text.MAX_NODES]]
        if self.is_queued and ahead:
            return f"{self.status_name} behind run {', '.join(ahead)}"
        if self.is_complete or not self.steps:
            return self.status_name
        return text.step_name(self.steps[-1])

    @property
    def failed_steps(self) -> list[dict[str, Any]]:
        """The steps that failed. One of a run that succeeded failed without consequence."""
        return [
            step for step in self.steps if int_of(step.get("status")) == DBTCloudRunStatus.ERROR
        ]

    def may_have_results(self, step: Mapping[str, Any]) -> bool:
        """Returns False if a failed step ended before the first node, so left no results.

        dbt writes `run_results.json` after its summary, which is in the log before the file can be
        downloaded.
        """
        return self.get("artifacts_saved") is True or "Done. PASS=" in str(step.get("logs"))

    def raise_on_failure(self) -> None:
        """Raises an exception unless the run has succeeded, or still goes on.

        Raises:
            DBTCloudRunException: It did not succeed. The subclass says how it ended.
        """
        if self.is_complete and not self.is_success:
            raise self._exception_type()(str(self), run=self)

    def _exception_type(self) -> type[DBTCloudRunException]:
        if self.is_error:
            return DBTCloudRunFailedException
        if self.is_timed_out:
            return DBTCloudRunTimedOutException
        if self.is_cancelled:
            return DBTCloudRunCancelledException
        return DBTCloudRunOutcomeUnknownException

    def __str__(self) -> str:
        """Tells a person what `print(load_info)` tells of a load."""
        return "\n".join(_text(self))


def _text(run: DBTCloudRun) -> Iterator[str]:
    yield f"dbt Cloud run {run.id} of job {run.job_name}: {_outcome(run)}"
    message = str_of(run.get("status_message"))
    if message and not run.is_success:
        yield message
    for step in run.steps[: text.MAX_STEPS]:
        yield f"  {text.step_text(step)}"
    if run.failed_nodes:
        yield from text.nodes_text(run.failed_nodes)
    for step in run.failed_steps[: text.MAX_NODES]:
        yield from text.log_text(step)
    if run.url:
        yield f"See {run.url}"


def _outcome(run: DBTCloudRun) -> str:
    outcome = "Timed out" if run.is_timed_out else run.status_name
    queued, ran = str_of(run.get("queued_duration")), str_of(run.get("run_duration"))
    if not queued or not ran:
        return outcome
    is_slow = run.usual is not None and run.usual.is_much_exceeded_by(run.run_seconds)
    usually = f" (usually {clock(run.usual.ran)})" if run.usual and is_slow else ""
    return f"{outcome}, {ran}{usually} after {queued} in the queue"
