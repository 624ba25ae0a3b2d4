"""The one reading of a run that its text, its page and its Markdown share."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._values import clock, str_of
from dlt_dbt_cloud.run.fields import RunFields, step_name
from dlt_dbt_cloud.run.log import DBTCloudRunError, log_tail
from dlt_dbt_cloud.run.node import DBTCloudNode
from dlt_dbt_cloud.run.status import DBTCloudRunStatus

MAX_STEPS: Final = 50
MAX_NODES: Final = 10
"""Number of nodes of a kind that are told, except on a page of their own."""

TONES: Final = {10: "good", 20: "bad", 30: "bad"}
"""How a status is to be taken: `good`, `bad`, or `open` for a run in progress."""


class StepLine(NamedTuple):
    """A step as people see it."""

    name: str
    status: str
    duration: str
    tone: str
    log: tuple[str, ...]
    """The end of its log if it failed."""


class Reading(NamedTuple):
    """What is told of a run, in the order in which it is told.

    Attributes:
        title: Which run of which job.
        outcome: Its status in a word.
        times: How long it ran and waited, empty if the API doesn't say.
        tone: How the outcome is to be taken.
        notes: dbt Cloud's message, who triggered and who cancelled it, its load.
        steps: Its steps.
        counts: Number of nodes by outcome.
        errors: Why it failed before the first node.
        failed: Failed nodes.
        warned: Nodes with a warning.
        slowest: The slowest nodes.
        url: Its page in dbt Cloud.
    """

    title: str
    outcome: str
    times: str
    tone: str
    notes: tuple[str, ...]
    steps: tuple[StepLine, ...]
    counts: dict[str, int]
    errors: tuple[DBTCloudRunError, ...]
    failed: tuple[DBTCloudNode, ...]
    warned: tuple[DBTCloudNode, ...]
    slowest: tuple[DBTCloudNode, ...]
    url: str

    @property
    def headline(self) -> str:
        """Run, outcome and times in a line."""
        return f"{self.title}: {', '.join(filter(None, [self.outcome, self.times]))}"

    @property
    def counted(self) -> str:
        """The number of nodes by outcome, as dbt writes them."""
        return " ".join(f"{name}={number}" for name, number in self.counts.items())

    @property
    def reason(self) -> str:
        """Why the run did not succeed, in a line."""
        reasons = [f"{node.name}: {gist(node.message)}" for node in self.failed]
        reasons += [gist(error.message) for error in self.errors]
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return f"{reasons[0]}{more}" if reasons else next(iter(self.notes), "")


def read(run: RunFields) -> Reading:
    """Returns what is told of a run."""
    return Reading(
        title=f"dbt Cloud {'' if run.is_skipped else f'run {run.id} of '}job {run.job_name}",
        outcome=_outcome(run),
        times=_times(run),
        tone="good" if run.is_success else TONES.get(run.status or 0, "open"),
        notes=tuple(_notes(run)),
        steps=tuple(_step(step, run) for step in run.steps[:MAX_STEPS]),
        counts=run.counts,
        errors=run.errors,
        failed=run.failed_nodes,
        warned=run.warned_nodes,
        slowest=run.slowest_nodes,
        url=run.url,
    )


def more(items: Sequence[object], shown: int = MAX_NODES) -> str:
    """Returns how many items are not shown, nothing if all are."""
    return f"and {len(items) - shown} more" if len(items) > shown else ""


def details(message: str) -> list[str]:
    """Returns the lines of a message of dbt that are not blank."""
    return [line.rstrip() for line in message.splitlines() if line.strip()]


def gist(message: str) -> str:
    """Returns the line of a message that says why: the first often says of what kind it is."""
    first, *rest = [line.strip() for line in details(message)] or ["no message"]
    is_kind = " Error" in first and ": " not in first
    return rest[0] if rest and is_kind else first


def _outcome(run: RunFields) -> str:
    if run.is_skipped:
        return f"Skipped. {str_of(run.get('status_message'))}"
    return "Timed out" if run.is_timed_out else run.status_name


def _notes(run: RunFields) -> Iterator[str]:
    message = str_of(run.get("status_message"))
    is_said = message == "Cancelled by user." and run.cancelled_by  # the next note says by whom
    if message and not run.is_success and not is_said:
        yield message
    if run.cancelled_by:
        yield f"Cancelled by {run.cancelled_by}"
    if run.triggered_by:
        yield f"Triggered by {run.triggered_by}"


def _step(step: dict[str, Any], run: RunFields) -> StepLine:
    status = step.get("status")
    is_failed = status == DBTCloudRunStatus.ERROR
    return StepLine(
        name=step_name(step),
        status=str_of(step.get("status_humanized")) or str_of(status),
        duration=str_of(step.get("duration")) or "?",
        tone=TONES.get(status, "open") if isinstance(status, int) else "open",
        log=tuple(log_tail(step, has_failures=not run.failed_nodes)) if is_failed else (),
    )


def _times(run: RunFields) -> str:
    queued, ran = str_of(run.get("queued_duration")), str_of(run.get("run_duration"))
    if not queued or not ran:
        return ""
    is_slow = run.usual is not None and run.usual.is_much_exceeded_by(run.run_seconds)
    usually = f" (usually {clock(run.usual.ran)})" if run.usual and is_slow else ""
    return f"{ran}{usually} after {queued} in the queue"
