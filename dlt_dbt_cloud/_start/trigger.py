"""Creates a run exactly once, whatever is lost on the way to the API and back."""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud._io.retry import RetryPolicy, backoff
from dlt_dbt_cloud._start.order import Order
from dlt_dbt_cloud._start.search import search
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudNotTriggeredException,
    DBTCloudResponseException,
    DBTCloudRunKeyException,
    DBTCloudTriggerOutcomeUnknownException,
)
from dlt_dbt_cloud.run import DBTCloudRun

MAX_SENDS: Final = 3
"""Maximum number of times that a trigger is sent."""

QUIET: Final = 30.0
"""Seconds of lookups without a run before a trigger is sent again."""

LAST_QUIET: Final = 65.0
"""Seconds of lookups after the last trigger. Gateways commit late: up to 60 s were seen."""

PAUSES: Final = (1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 10.0)
"""Seconds before each lookup; the last pause repeats."""


@dataclass(frozen=True)
class Trigger:
    """The creation of a run. `known` are the ids of earlier runs: none is the new one."""

    io: IO
    api: RunsApi
    order: Order
    outage_timeout: float
    known: frozenset[int] = frozenset()

    async def once(self) -> DBTCloudRun:
        """Returns the created run. If the answer is lost, lookups find the run."""
        order, io = self.order, self.io
        order.sent_at, order.is_open = io.now(), True
        lost, end = 0, io.now() + self.outage_timeout
        for pause in backoff():
            try:
                return await self._sent()
            except DBTCloudAPIException as error:
                if error.may_have_acted:
                    order.is_ambiguous = True
                    lost, end = lost + 1, io.now() + self.outage_timeout
                    is_over, quiet = lost == MAX_SENDS, QUIET
                else:
                    is_over = not error.is_transient or io.now() >= min(end, io.deadline)
                    quiet = 0.0
                    if is_over and not order.is_ambiguous:
                        refuse(self.api, order, error)
                    if not is_over:
                        pause = max(pause, error.retry_after or 0.0)  # noqa: PLW2901
                        await io.sleep(min(pause, end - io.now()))
                if order.is_ambiguous:
                    run = await self._found(error, LAST_QUIET if is_over else quiet)
                    if run or is_over:
                        return run or self._give_up(error)
                seconds = max(0.0, end - io.now())
                logger.warning("%s Retrying the trigger, for up to %.0f s.", error, seconds)
        raise AssertionError  # backoff() never ends

    async def _sent(self) -> DBTCloudRun:
        """Sends the trigger once, and returns the created run."""
        run = await self.io.call(self.order.post, self.api)
        is_new = run.in_progress and run.id not in self.known
        if run.job_id != self.order.job_id or not is_new or self.order.owns(run) is False:
            answer = f"dbt Cloud answered the trigger with run {run.id} of job {run.job_id}"
            raise DBTCloudResponseException(f"{answer}, which is not the new run.", url="")
        return run  # most likely the right one also if its cause does not show

    async def _found(self, error: DBTCloudAPIException, seconds: float) -> DBTCloudRun | None:
        """Returns the run that an ambiguous request created, None if lookups show none."""
        logger.warning("%s Looking for the run.", error)
        policy = RetryPolicy(self.outage_timeout, refusal=60.0, garbage=60.0)
        end = math.inf  # counts from the first list
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            await self.io.sleep(min(pause, seconds))
            asked = self.io.now()  # a list is as old as its first page
            try:
                found = await search(self.io, self.api, self.order, policy)
            except DBTCloudAPIException as unreadable:
                self._give_up(error, unreadable)
            own = [run for run in found.own if run.id not in self.known]
            if own:
                return own[0]
            end = min(end, self.io.now() + seconds)
            if asked >= end:
                return self._give_up(error) if found.is_unclear else None
        raise AssertionError  # the pauses never end

    def _give_up(self, *errors: DBTCloudAPIException) -> NoReturn:
        """Raises for a request that may have created a run."""
        unknown = outcome_unknown(self.api, self.order, " ".join(map(str, errors)))
        raise unknown from errors[-1]


def refuse(api: RunsApi, order: Order, error: DBTCloudAPIException) -> NoReturn:
    """Raises for an order that certainly has no run."""
    order.is_open = False
    if not error.is_transient:
        raise error
    message = f"Job {order.job_id} was not triggered. {error}"
    raise DBTCloudNotTriggeredException(message, **_facts(api, order)) from error


def check_overrides(api: RunsApi, order: Order, run: DBTCloudRun) -> None:
    """Raises if an earlier run of the order was triggered with other overrides."""
    if difference := order.difference(run):
        raise DBTCloudRunKeyException(
            f"Run {run.id} of job {order.job_id} has the same `run_key` but other overrides:"
            f" {difference}. Pass another key for another piece of work. See {run.url}",
            **_facts(api, order),
        )


def outcome_unknown(
    api: RunsApi, order: Order, reason: str
) -> DBTCloudTriggerOutcomeUnknownException:
    """Returns the exception for an order that may have a run."""
    facts = _facts(api, order)
    return DBTCloudTriggerOutcomeUnknownException(
        f"Couldn't confirm whether job {order.job_id} was triggered. {reason} Before you trigger it"
        f" again, look for a run with {order.mark}, in dbt Cloud or with the token at"
        f" {facts['url']}",
        **facts,
    )


def _facts(api: RunsApi, order: Order) -> dict[str, Any]:
    return {"job_id": order.job_id, "mark": order.mark, "url": api.runs_url(order.job_id)}
