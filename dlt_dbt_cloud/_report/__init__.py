"""How a finished run is read out: its job, its steps, its nodes, and who triggered it."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud._io.retry import Patience, retry
from dlt_dbt_cloud._values import dict_of, list_of, str_of
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)
from dlt_dbt_cloud.run import DBTCloudNode, DBTCloudRun
from dlt_dbt_cloud.run.log import DONE, places_in, text_of_log

RELATED: Final = ("trigger", "job", "run_steps", "audit")

WITHOUT_RESULTS: Final = re.compile(r"`dbt (clean|compile|debug|deps|docs|list|ls|parse|source)\b")
"""Steps that build and test nothing."""

COMPILE_ONLY: Final = frozenset({"compile", "generate", "list", "show"})
"""The commands whose `run_results.json` calls nodes a success that were compiled, not built."""

MAX_SECONDS: Final = 30.0
"""How long reading a failed run takes at most."""

MAX_SECONDS_OF_OTHERS: Final = 10.0
"""How long reading another run takes at most: its outcome is told already."""

LATE_PAUSES: Final = (1.0, 2.0, 3.0)
"""Seconds before each further attempt at logs and artifacts, which dbt Cloud stores after the
status. All attempts for one run share them."""


class HasArtifacts(Protocol):
    """The one operation that reading nodes takes."""

    def get_artifact(self, run_id: int, path: str, *, step: int | None = None) -> Any:
        """Returns an artifact."""
        ...


async def report(io: IO, api: RunsApi, run: DBTCloudRun) -> DBTCloudRun:
    """Returns a finished run, read again with its job, its steps and its nodes.

    What can't be read is left out with a warning: the outcome of the run is known already.
    """
    seconds = MAX_SECONDS if run.is_error else MAX_SECONDS_OF_OTHERS
    io = io.until(io.now() + seconds)
    usual, load, pauses = run.usual, run.load, iter(LATE_PAUSES)
    try:
        # A reading that lags behind does not take the outcome back.
        related = await _related(io, api, run, seconds)
        run = related if related.status == run.status else run
        if run.is_error:
            run = await _with_logs(io, api, run, pauses)
        await read_nodes(io, api, run, pauses)
    except DBTCloudAPIException as error:
        logger.warning("Couldn't load all details of run %d: %s", run.id, error)
    run.usual, run.load = usual, load
    return run


async def run_results(
    io: IO, api: HasArtifacts, run_id: int, step: int | None, pauses: Iterator[float]
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


def nodes(
    results: Any, places: Mapping[str, tuple[str, str]] | None = None
) -> Iterator[DBTCloudNode]:
    """Yields the entries of a `run_results.json`, of whatever schema version, as far as they go."""
    for entry in list_of(dict_of(results).get("results")):
        if isinstance(entry, dict):
            yield DBTCloudNode.from_results(entry, places)


def may_build(step: Mapping[str, Any]) -> bool:
    """Returns True if a step may have built or tested nodes, by its name."""
    name = str_of(step.get("name"))
    return "Invoke dbt" in name and not WITHOUT_RESULTS.search(name)


def only_compiles(results: Mapping[str, Any]) -> bool:
    """Returns True if the nodes of a `run_results.json` were compiled, not built."""
    return str_of(dict_of(results.get("args")).get("which")) in COMPILE_ONLY


def are_own(results: Mapping[str, Any], known: set[str]) -> bool:
    """Returns False if a `run_results.json` is that of an earlier step.

    A step that fails before dbt does anything is left with the results of the one before. The ids
    of the calls of dbt that wrote results are in `known`, to which this one is added.
    """
    invocation = str_of(dict_of(results.get("metadata")).get("invocation_id"))
    is_new = not invocation or invocation not in known
    known.add(invocation)
    return is_new


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


async def read_nodes(io: IO, api: HasArtifacts, run: DBTCloudRun, pauses: Iterator[float]) -> None:
    """Reads the nodes of all steps. Those of the steps before one that can't be read are kept."""
    known: set[str] = set()
    for step in run.steps:
        if not may_build(step):
            continue
        waits = pauses if _is_worth_waiting(run, step) else iter(())
        results = dict_of(await run_results(io, api, run.id, step.get("index"), waits))
        if not are_own(results, known) or only_compiles(results):
            continue
        run.nodes += tuple(nodes(results, places_in(step)))


def _is_worth_waiting(run: DBTCloudRun, step: Mapping[str, Any]) -> bool:
    """Returns True if a step that has no results yet should have some.

    How a success came about is worth a wait only if dbt has certainly written results.
    """
    if run.is_error:
        return step in run.failed_steps and run.may_have_results(step)
    return bool(DONE.search(text_of_log(step, 2000)))
