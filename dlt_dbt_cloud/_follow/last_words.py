"""Ends a call that is aborted: cancels its run if that is wanted, and tells where it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._follow.watch import Watch
from dlt_dbt_cloud._io import IO, Patience, logger
from dlt_dbt_cloud._start.search import search
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudException,
    DBTCloudStoppedException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud.run import DBTCloudRun

MAX_SECONDS: Final = 5.0
"""How long cancelling takes at most."""

PAUSE: Final = 0.5
"""Seconds between two attempts."""


@asynccontextmanager
async def last_words(
    io: IO, api: RunsApi, watch: Watch, *, cancel_on_abort: bool
) -> AsyncIterator[None]:
    """Lets no call end without a word about a run that is, or may be, in progress.

    Args:
        io: The world.
        api: The API.
        watch: The run of the call, as far as it is known.
        cancel_on_abort: Whether a signal, a time limit of others, the caller's `stop` and the
            deadline cancel a run of the call.
    """
    try:
        yield
    except GeneratorExit:  # nobody waits for an answer, and nothing may be awaited
        raise
    except BaseException as error:
        try:
            if cancel_on_abort and _is_abort(error):
                await _cancel(io.last(MAX_SECONDS), api, watch)
        finally:  # a second signal ends the cancelling
            if text := watch.last_words():
                logger.warning("%s", text)
        raise


def _is_abort(error: BaseException) -> bool:
    """Returns True unless the API or the run is the reason why the call ends."""
    is_ours = isinstance(error, DBTCloudException)
    return not is_ours or isinstance(error, DBTCloudStoppedException | DBTCloudWaitTimeoutException)


async def _cancel(io: IO, api: RunsApi, watch: Watch) -> None:
    """Cancels the run of the call, also one of which the answer is still on its way."""
    for _ in range(round(MAX_SECONDS / PAUSE)):
        if not watch.may_be_cancelled or io.now() >= io.deadline:
            return
        try:
            run = watch.run or await _find(io, api, watch)
            if run:
                watch.saw(await io.call(api.cancel_run, run.id))
                logger.warning("Cancelled dbt Cloud run %d.", run.id)
                watch.is_own = False  # no second cancellation
        except DBTCloudAPIException as error:
            logger.error("Couldn't cancel the run. %s", error)
        await io.sleep(PAUSE)


async def _find(io: IO, api: RunsApi, watch: Watch) -> DBTCloudRun | None:
    """Returns the run that an unanswered trigger has created."""
    if watch.order is None:
        return None
    found = await search(io, api, watch.order, Patience(0.0))
    return next((run for run in found.own if run.in_progress), None)
