"""A run: the API's dict, and what a person or a script asks of it."""

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._follow.schedule import UsualTimes
from dlt_dbt_cloud.exceptions import (
    DBTCloudResponseException,
    DBTCloudRunCancelledException,
    DBTCloudRunException,
    DBTCloudRunFailedException,
    DBTCloudRunOutcomeUnknownException,
    DBTCloudRunTimedOutException,
)

MAX_NODES: Final = 10
"""Failed nodes that the text of a run shows at most."""
MAX_MESSAGE: Final = 400
"""Characters of a node's message that the text of a run shows at most."""
MAX_LOG_LINES: Final = 20
"""Lines from the end of the failed step's log that the text of a run shows at most."""


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

    @property
    def is_failed(self) -> bool:
        """Whether the node makes its run fail."""
        return self.status in {"error", "fail", "runtime error", "partial success"}


class DBTCloudRun(dict[str, Any]):
    """A run of a dbt Cloud job: the API's dict, with answers to what one asks of it.

    `print(run)` tells a person what happened. As a dict it loads with `pipeline.run([run])`.

    Attributes:
        failed_nodes: The models and tests that failed, once the run has ended with an error and
            as far as its `run_results.json` tells.
    """

    failed_nodes: tuple[DBTCloudNode, ...] = ()
    usual: UsualTimes | None = None

    @classmethod
    def from_api(cls, data: Any, url: str) -> "DBTCloudRun":
        """Returns the run in an answer of the API.

        Raises:
            DBTCloudResponseException: If the answer holds no run.
        """
        if not isinstance(data, dict) or not isinstance(data.get("id"), int):
            kind = type(data).__name__
            raise DBTCloudResponseException(f"{url} answered without a run: {kind}", url=url)
        return cls(data)

    @property
    def id(self) -> int:
        """The id of the run."""
        return int(self["id"])

    @property
    def job_id(self) -> int:
        """The id of the job."""
        return int(self.get("job_definition_id") or 0)

    @property
    def status(self) -> int | None:
        """The number of the status, see `DBTCloudRunStatus`. None where the API gave none."""
        status = self.get("status")
        return status if isinstance(status, int) else None

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
        if self.status_name.startswith("Unknown"):
            return bool(self.get("is_complete"))
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
        message = str(self.get("status_message") or "")
        return self.status == DBTCloudRunStatus.CANCELLED and "timed out" in message

    @property
    def is_cancelled(self) -> bool:
        """Whether a person or dbt Cloud cancelled the run."""
        return self.status == DBTCloudRunStatus.CANCELLED and not self.is_timed_out

    @property
    def queued_seconds(self) -> float:
        """Seconds in the queue, up to now while it is queued."""
        return seconds(self.get("queued_duration"))

    @property
    def run_seconds(self) -> float:
        """Seconds since the run has started, or in all when it has ended."""
        return seconds(self.get("run_duration"))

    @property
    def url(self) -> str:
        """The page of the run in dbt Cloud."""
        return str(self.get("href") or "")

    @property
    def cause(self) -> str:
        """Why the run was triggered, where the API was asked for it."""
        return str((self.get("trigger") or {}).get("cause") or "")

    @property
    def job_name(self) -> str:
        """The name of the job, where the API was asked for it, else its id."""
        job = self.get("job") or {}
        return str(job.get("name") or self.get("job_definition_id") or "unknown")

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps that have started, where the API was asked for them."""
        return [step for step in self.get("run_steps") or [] if isinstance(step, dict)]

    @property
    def activity(self) -> str:
        """What the run is doing, in words: the step under way, what it is queued behind."""
        ahead = self.get("blocked_by") or []
        if self.is_queued and ahead:
            return f"{self.status_name} behind run {', '.join(map(str, ahead))}"
        if self.is_complete or not self.steps:
            return self.status_name
        return f"{self.steps[-1].get('index')}. {self.steps[-1].get('name')}"

    @property
    def failed_steps(self) -> list[dict[str, Any]]:
        """The steps that failed. One of a run that succeeded failed without consequence."""
        return [step for step in self.steps if step.get("status") == DBTCloudRunStatus.ERROR]

    def raise_on_failure(self) -> None:
        """Raises an exception unless the run has succeeded, or still goes on.

        Raises:
            DBTCloudRunFailedException: A step failed, or dbt Cloud failed before the first.
            DBTCloudRunTimedOutException: The run exceeded the timeout of the job.
            DBTCloudRunCancelledException: A person or dbt Cloud cancelled it.
            DBTCloudRunOutcomeUnknownException: It ended with an unknown status.
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


def seconds(duration: Any) -> float:
    """Returns the seconds in a duration of the API: `HH:MM:SS`, also with more than 23 hours."""
    parts = re.fullmatch(r"(\d+):(\d\d):(\d\d)", str(duration))
    return 3600.0 * int(parts[1]) + 60 * int(parts[2]) + int(parts[3]) if parts else 0.0


def clock(duration: float) -> str:
    """Returns seconds as the API writes durations."""
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


def _text(run: DBTCloudRun) -> Iterator[str]:
    yield f"dbt Cloud run {run.id} of job {run.job_name}: {_outcome(run)}"
    if run.get("status_message") and not run.is_success:
        yield f"{run['status_message']}"
    for step in run.steps:
        yield f"  {_step_text(step)}"
    if run.failed_nodes:
        yield from _nodes_text(run.failed_nodes)
    for step in run.failed_steps:
        yield from _log_text(step)
    if run.url:
        yield f"See {run.url}"


def _outcome(run: DBTCloudRun) -> str:
    outcome = "Timed out" if run.is_timed_out else run.status_name
    queued, ran = run.get("queued_duration"), run.get("run_duration")
    if not queued or not ran:
        return outcome
    is_slow = run.usual is not None and run.usual.is_much_exceeded_by(run.run_seconds)
    usually = f" (usually {clock(run.usual.ran)})" if run.usual and is_slow else ""
    return f"{outcome}, {ran}{usually} after {queued} in the queue"


def _step_text(step: dict[str, Any]) -> str:
    status = step.get("status_humanized") or step.get("status")
    return f"{step.get('index')}. {step.get('name')}: {status}, {step.get('duration') or '?'}"


def _nodes_text(nodes: tuple[DBTCloudNode, ...]) -> Iterator[str]:
    yield f"Failed: {len(nodes)} node(s)"
    for node in nodes[:MAX_NODES]:
        yield f"  {node.unique_id} ({node.status})"
        yield from _indented(_shortened(node.message).splitlines())
    if len(nodes) > MAX_NODES:
        yield f"  and {len(nodes) - MAX_NODES} more"


def _log_text(step: dict[str, Any]) -> Iterator[str]:
    lines = log_tail(step)
    if lines:
        yield f"End of the log of step {step.get('index')}"
        yield from _indented(lines)


def log_tail(step: dict[str, Any]) -> list[str]:
    """Returns the last lines of a step's log that say more than the time, without colours."""
    # Enough characters for the lines that are kept: a log may have many megabytes.
    end = str(step.get("logs") or "")[-MAX_LOG_LINES * MAX_MESSAGE :]
    lines = re.sub(r"\x1b\[[0-9;]*m", "", end).splitlines()
    telling = [line.rstrip() for line in lines if re.search(r"[^\d\s:.]", line)]
    return [_shortened(line) for line in telling][-MAX_LOG_LINES:]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"
