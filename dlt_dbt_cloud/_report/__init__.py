"""How a finished run is read out: its job, its steps, and which nodes failed and why."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, Patience, logger, retry
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)
from dlt_dbt_cloud.run import DBTCloudNode, DBTCloudRun

RELATED: Final = ("trigger", "job", "run_steps")

MAX_SECONDS: Final = 30.0
"""How long reading a failed run takes at most."""

MAX_SECONDS_OF_OTHERS: Final = 10.0
"""How long reading another run takes at most: its outcome is told already."""

LATE_PAUSES: Final = (1.0, 2.0, 3.0)
"""Seconds before each further attempt at logs and artifacts, which dbt Cloud stores after the
status. All attempts for one run share them."""


async def report(io: IO, api: RunsApi, run: DBTCloudRun) -> DBTCloudRun:
    """Returns a finished run, read again with its job, its steps and its failed nodes.

    What can't be read is left out with a warning: the outcome of the run is known already.
    """
    seconds = MAX_SECONDS if run.is_error else MAX_SECONDS_OF_OTHERS
    io = io.until(io.now() + seconds)
    usual, pauses = run.usual, iter(LATE_PAUSES)
    try:
        # A reading that lags behind does not take the outcome back.
        related = await _related(io, api, run, seconds)
        run = related if related.status == run.status else run
        if run.is_error:
            run = await _with_logs(io, api, run, pauses)
            run.failed_nodes = tuple(await _failed_nodes(io, api, run, pauses))
    except DBTCloudAPIException as error:
        logger.warning("Couldn't load all details of run %d: %s", run.id, error)
    run.usual = usual
    return run


async def run_results(
    io: IO, api: RunsApi, run_id: int, step: int | None, pauses: Iterator[float]
) -> Any:
    """Returns a step's `run_results.json`, None if it has no readable one even after a while.

    Args:
        io: The world.
        api: The API.
        run_id: The run.
        step: Index of the step, from 1.
        pauses: Seconds before each further attempt while the artifact is not found.
    """
    while True:
        try:
            return await io.call(api.get_artifact, run_id, "run_results.json", step=step)
        except DBTCloudResponseException:  # it is not JSON
            return None
        except DBTCloudHTTPException as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
        pause = next(pauses, None)
        if pause is None:
            return None
        await io.sleep(pause)


def nodes(results: Any) -> Iterator[DBTCloudNode]:
    """Yields the entries of a `run_results.json`, of whatever schema version, as far as they go."""
    entries = results.get("results") if isinstance(results, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield DBTCloudNode.from_results(entry)


async def _related(io: IO, api: RunsApi, run: DBTCloudRun, seconds: float) -> DBTCloudRun:
    patience = Patience(seconds, refusal=seconds, garbage=seconds)
    return await retry(io, patience, api.get_run_status, run.id, include_related=RELATED)


async def _with_logs(
    io: IO, api: RunsApi, run: DBTCloudRun, pauses: Iterator[float]
) -> DBTCloudRun:
    while not all(step.get("logs") for step in run.failed_steps):
        pause = next(pauses, None)
        if pause is None:
            break
        await io.sleep(pause)
        run = await io.call(api.get_run_status, run.id, include_related=RELATED)
    return run


async def _failed_nodes(
    io: IO, api: RunsApi, run: DBTCloudRun, pauses: Iterator[float]
) -> list[DBTCloudNode]:
    failed: list[DBTCloudNode] = []
    for step in run.failed_steps:
        if "dbt" not in str(step.get("name")):  # cloning a repository has no results
            continue
        waits = pauses if run.may_have_results(step) else iter(())
        results = await run_results(io, api, run.id, step.get("index"), waits)
        failed += (node for node in nodes(results) if node.is_failed)
    return failed
