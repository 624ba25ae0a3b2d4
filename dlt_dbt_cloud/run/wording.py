"""What people are told about a run: its text, its page and its Markdown share these functions."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._values import clock, str_of
from dlt_dbt_cloud.run.fields import RunFields, step_name
from dlt_dbt_cloud.run.log import log_tail
from dlt_dbt_cloud.run.status import DBTCloudRunStatus

MAX_STEPS: Final = 50
MAX_NODES: Final = 10
"""Number of nodes of a kind that are shown, except on a page of its own."""

TONES: Final = {10: "good", 20: "bad", 30: "bad"}
"""The tone of a status: `good`, `bad`, or `open` for a run in progress."""


class StepLine(NamedTuple):
    """A step as people see it."""

    name: str
    status: str
    duration: str
    tone: str
    log: list[str]
    """The end of its log if it failed."""


def title(run: RunFields) -> str:
    """Returns which run of which job it is."""
    return f"dbt Cloud {'' if run.is_skipped else f'run {run.id} of '}job {run.job_name}"


def outcome(run: RunFields) -> str:
    """Returns the status in a word. If nothing was triggered, also the reason."""
    if run.is_skipped:
        return f"Skipped. {str_of(run.get('status_message'))}"
    return "Timed out" if run.is_timed_out else run.status_name


def times(run: RunFields) -> str:
    """Returns how long a run ran and waited, an empty text if the API doesn't say."""
    queued, ran = str_of(run.get("queued_duration")), str_of(run.get("run_duration"))
    if not queued or not ran:
        return ""
    is_slow = run.usual is not None and run.usual.is_much_exceeded_by(run.run_seconds)
    usually = f" (usually {clock(run.usual.ran)})" if run.usual and is_slow else ""
    return f"{ran}{usually} after {queued} in the queue"


def headline(run: RunFields) -> str:
    """Returns run, outcome and times in a line."""
    return f"{title(run)}: {', '.join(filter(None, [outcome(run), times(run)]))}"


def tone(run: RunFields) -> str:
    """Returns the tone in which the outcome is shown."""
    return "good" if run.is_success else TONES.get(run.status or 0, "open")


def notes(run: RunFields) -> list[str]:
    """Returns dbt Cloud's message, and who triggered and who cancelled the run."""
    message = str_of(run.get("status_message"))
    is_said = message == "Cancelled by user." and run.cancelled_by  # the next note says by whom
    told = [message] if message and not run.is_success and not is_said else []
    told += [f"Cancelled by {run.cancelled_by}"] if run.cancelled_by else []
    return told + ([f"Triggered by {run.triggered_by}"] if run.triggered_by else [])


def counted(run: RunFields) -> str:
    """Returns the number of nodes by outcome, as dbt writes them."""
    return " ".join(f"{name}={number}" for name, number in run.counts.items())


def reason(run: RunFields) -> str:
    """Returns in a line why a run did not succeed."""
    reasons = [f"{node.name}: {gist(node.message)}" for node in run.failed_nodes]
    reasons += [gist(error.message) for error in run.errors]
    others = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{others}" if reasons else next(iter(notes(run)), "")


def steps(run: RunFields) -> list[StepLine]:
    """Returns the steps of a run."""
    return [_step(step, run) for step in run.steps[:MAX_STEPS]]


def _step(step: dict[str, Any], run: RunFields) -> StepLine:
    status = step.get("status")
    is_failed = status == DBTCloudRunStatus.ERROR
    return StepLine(
        name=step_name(step),
        status=str_of(step.get("status_humanized")) or str_of(status),
        duration=str_of(step.get("duration")) or "?",
        tone=TONES.get(status, "open") if isinstance(status, int) else "open",
        log=log_tail(step, has_failures=not run.failed_nodes) if is_failed else [],
    )


def more(items: Sequence[object], shown: int = MAX_NODES) -> str:
    """Returns how many items are not shown, nothing if all are."""
    return f"and {len(items) - shown} more" if len(items) > shown else ""


def details(message: str) -> list[str]:
    """Returns the lines of a message of dbt that are not blank."""
    return [line.rstrip() for line in message.splitlines() if line.strip()]


def gist(message: str) -> str:
    """Returns the line of a message that says why: the first often names only the kind."""
    first, *rest = [line.strip() for line in details(message)] or ["no message"]
    is_kind = " Error" in first and ": " not in first
    return rest[0] if rest and is_kind else first
