"""A call that is aborted cancels its run if that is wanted, and says where it is."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._follow.watch import Watch
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud._io.retry import RetryPolicy
from dlt_dbt_cloud._start.search import search
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudException,
    DBTCloudStoppedException,
    DBTCloudWaitException,
    DBTCloudWaitTimeoutException,
)

MAX_SECONDS: Final = 5.0
"""How long cancelling takes at most."""

PAUSE: Final = 0.5
"""Seconds between two attempts."""

ABORTS: Final = (DBTCloudStoppedException, DBTCloudWaitTimeoutException)
"""Our exceptions that count as an abort by the caller."""


@asynccontextmanager
async def abortable(
    io: IO, api: RunsApi, watch: Watch, *, cancel_on_abort: bool
) -> AsyncIterator[None]:
    """Says where a run is that is, or may be, in progress when a call ends early.

    With `cancel_on_abort`, a signal, an engine's time limit, `stop` or the deadline first cancels
    the run, if it belongs to the call.
    """
    try:
        yield
    except GeneratorExit:  # nobody waits for an answer, and nothing may be awaited
        raise
    except BaseException as error:
        try:
            # An error of the API or of the run is no abort.
            if cancel_on_abort and (
                isinstance(error, ABORTS) or not isinstance(error, DBTCloudException)
            ):
                await _cancel(io.last(MAX_SECONDS), api, watch)
        finally:  # a second signal ends the cancelling
            if text := watch.summary():
                end_with(error, text)
        raise


def end_with(error: BaseException, text: str) -> None:
    """Ends the log and the exception with a text: in its message if it is ours, else in a note."""
    logger.warning("%s", text)
    if isinstance(error, DBTCloudWaitException | DBTCloudStoppedException):
        error.args = (f"{error}\n{text}",)
    elif isinstance(error, DBTCloudException):
        pass  # it is about a request or a finished run
    elif sys.version_info >= (3, 11):
        error.add_note(text)
    elif isinstance(error, KeyboardInterrupt):  # it has nothing else to say
        error.args = (f"{error}\n{text}",)


async def _cancel(io: IO, api: RunsApi, watch: Watch) -> None:
    """Cancels the run of the call, also if the answer to its trigger has not arrived yet."""
    for _ in range(round(MAX_SECONDS / PAUSE)):
        if not watch.may_be_cancelled or io.now() >= io.deadline:
            return
        try:
            run = watch.run
            if run is None and watch.order:
                found = await search(io, api, watch.order, RetryPolicy(0.0))
                run = next((run for run in found.own if run.in_progress), None)
            if run:
                watch.saw(await io.call(api.cancel_run, run.id))
                watch.is_cancelled = True
        except DBTCloudAPIException as error:
            logger.error("Couldn't cancel the run. %s", error)
        await io.sleep(PAUSE)
