"""Trigger exactly once, through an API that has no idempotency key.

Each trigger carries a tag in its `cause`. Where an answer does not tell whether the API has acted,
the job's newest runs are searched for the tag: a run that has it is adopted, and only where none
has it the trigger is sent again.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from dlt.common.exceptions import SignalReceivedException

from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudNotTriggeredException,
    DBTCloudResponseException,
    DBTCloudTriggerException,
    DBTCloudTriggerOutcomeUnknownException,
)
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.timing import Timer, backoff, ride_out

MAX_CAUSE: Final = 255
"""Characters of a `cause` that the API accepts (apache/airflow#34676)."""

LOOK_PAUSES: Final = (1.0, 2.0, 3.0)
"""Seconds before each of the looks that must find nothing before a trigger is sent again. The list
of runs may lag behind the runs, so one look is not enough."""


@dataclass(frozen=True)
class Trigger:
    """A run to create exactly once.

    Attributes:
        job_id: The job.
        mark: What tells the run from other runs of the job, in words.
        url: Where the runs of the job are seen.
        send: Creates a run, in one request.
        find: Returns the runs that `send` has created, in one request.
        cancel: Cancels the run of an id.
    """

    job_id: int
    mark: str
    url: str
    send: Callable[[], DBTCloudRun]
    find: Callable[[], Iterable[DBTCloudRun]]
    cancel: Callable[[int], Any]


def new_tag() -> str:
    """Returns a tag for one trigger."""
    return f"dlt:{secrets.token_hex(8)}"


def tagged(cause: str, tag: str) -> str:
    """Returns the cause with the tag at its end, in at most 255 characters."""
    mark = f"[{tag}]"
    room = MAX_CAUSE - len(mark) - 1
    text = cause.strip()
    text = text if len(text) <= room else text[: room - 1] + "…"
    return f"{text} {mark}".lstrip()


def has_tag(run: DBTCloudRun, tag: str) -> bool:
    """Tells whether a run that was read with its trigger carries the tag."""
    return f"[{tag}]" in run.cause


def trigger_once(trigger: Trigger, *, timer: Timer, patience: float) -> DBTCloudRun:
    """Creates one run, whatever happens on the way to the API and back.

    Args:
        trigger: The run to create.
        timer: Clock and sleep.
        patience: Seconds after which an API that stays down is given up on.

    Returns:
        The run, also where only a look showed that it had been created.

    Raises:
        DBTCloudHTTPException: The API refused. No run was created.
        DBTCloudNotTriggeredException: The API stayed down. No run was created.
        DBTCloudTriggerOutcomeUnknownException: The API may have created a run, and did not tell.
    """
    try:
        return _trigger_once(trigger, timer, timer.now() + patience)
    except KeyboardInterrupt:
        logger.warning("Interrupted. A run with %s may exist, see %s", trigger.mark, trigger.url)
        raise


def _trigger_once(trigger: Trigger, timer: Timer, deadline: float) -> DBTCloudRun:
    in_doubt = False  # whether an earlier request may yet turn out to have created a run
    for pause in backoff():
        try:
            run: DBTCloudRun | None = trigger.send()
        except DBTCloudAPIException as error:
            run = _look(trigger, timer, deadline) if error.may_have_acted else None
            if run is None:
                in_doubt = in_doubt or error.may_have_acted
                _sleep_before_resend(trigger, error, pause, timer, deadline, in_doubt=in_doubt)
        if run is not None:
            return _oldest(trigger, run, timer) if in_doubt else run
    raise AssertionError  # backoff() never ends


def _look(trigger: Trigger, timer: Timer, deadline: float) -> DBTCloudRun | None:
    """Returns the run that an unanswered request has created, None if several looks show none."""
    unreadable: DBTCloudAPIException | None = None
    for pause in LOOK_PAUSES:
        timer.sleep(pause)
        try:
            runs = ride_out(lambda: list(trigger.find()), timer, deadline)
        except DBTCloudResponseException as error:
            unreadable = error
        except DBTCloudAPIException as error:
            raise _given_up(trigger, error, in_doubt=True) from error
        else:
            if runs:
                return min(runs, key=lambda run: run.id)
    if unreadable:
        raise _given_up(trigger, unreadable, in_doubt=True) from unreadable
    return None


def _sleep_before_resend(
    trigger: Trigger,
    error: DBTCloudAPIException,
    pause: float,
    timer: Timer,
    deadline: float,
    *,
    in_doubt: bool,
) -> None:
    is_refused = not (error.is_transient or error.may_have_acted)
    if is_refused and not in_doubt:
        raise error
    pause = max(pause, error.retry_after or 0)
    if is_refused or timer.now() + pause > deadline:
        raise _given_up(trigger, error, in_doubt=in_doubt) from error
    logger.warning("%s No run was created. The trigger is sent again in %d s.", error, pause)
    timer.sleep(pause)


def _given_up(
    trigger: Trigger, error: DBTCloudAPIException, *, in_doubt: bool
) -> DBTCloudTriggerException:
    if in_doubt:
        kind: type[DBTCloudTriggerException] = DBTCloudTriggerOutcomeUnknownException
        outcome = (
            f"Whether job {trigger.job_id} was triggered is unknown. Before you trigger it again,"
            f" look for a run with {trigger.mark} at {trigger.url}"
        )
    else:
        kind = DBTCloudNotTriggeredException
        outcome = f"Job {trigger.job_id} was not triggered."
    return kind(f"{outcome} {error}", job_id=trigger.job_id, mark=trigger.mark, url=trigger.url)


def _oldest(trigger: Trigger, run: DBTCloudRun, timer: Timer) -> DBTCloudRun:
    """Returns the oldest run of a trigger that was sent again, and cancels later ones in the queue.

    The first request's run may show up only now, where the list of runs lagged behind.
    """
    runs = {run.id: run}
    for pause in LOOK_PAUSES:
        try:
            timer.sleep(pause)
            runs.update({run.id: run for run in trigger.find()})
        except SignalReceivedException:
            return run  # what watches it ends at once, and tells where it is
        except DBTCloudAPIException as error:
            logger.warning("%s Whether run %d is the only one was not seen.", error, run.id)
    oldest, *later = (runs[run_id] for run_id in sorted(runs))
    for duplicate in later:
        _cancel_duplicate(trigger, duplicate, oldest)
    return oldest


def _cancel_duplicate(trigger: Trigger, duplicate: DBTCloudRun, oldest: DBTCloudRun) -> None:
    text = f"Run {duplicate.id} of job {trigger.job_id} was created beside run {oldest.id}"
    try:
        if not duplicate.is_queued:
            logger.error("%s, and has started: the job runs twice. %s", text, duplicate.url)
        else:
            trigger.cancel(duplicate.id)
            logger.warning("%s, and was cancelled in the queue.", text)
    except DBTCloudAPIException as error:
        logger.error("%s, and could not be cancelled: %s", text, error)  # no traceback
