"""Reads the details of a finished run: its job, its steps, its nodes, and who triggered it."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, logger
from dlt_dbt_cloud._io.retry import RetryPolicy, retry
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
"""The commands that only compile nodes: their `run_results.json` calls that a success."""

MAX_SECONDS: Final = 30.0
"""How long reading the details of a failed run may take."""

MAX_SECONDS_OF_OTHERS: Final = 10.0
"""The same for other runs, whose outcome needs no explanation."""

LATE_PAUSES: Final = (1.0, 2.0, 3.0)
"""Seconds before each further attempt to read logs and artifacts: dbt Cloud stores them later than
the status. All attempts for one run share these pauses."""


class HasArtifacts(Protocol):
    """The one operation that reading nodes needs."""

    def get_artifact(self, run_id: int, path: str, *, step: int | None = None) -> Any:
        """Returns an artifact."""
        ...


async def report(io: IO, api: RunsApi, run: DBTCloudRun) -> DBTCloudRun:
    """Returns a finished run, read again with its job, its steps and its nodes.

    Details that can't be read are left out with a warning: the outcome is known already.
    """
    seconds = MAX_SECONDS if run.is_error else MAX_SECONDS_OF_OTHERS
    io = io.until(io.now() + seconds)
    usual, load, pauses = run.usual, run.load, iter(LATE_PAUSES)
    try:
        # A stale answer must not take back the outcome.
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
    """Returns a step's `run_results.json`, None if it has no readable one.

    While it is not found, it is read again after each of the pauses.
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
    """Yields the readable entries of a `run_results.json`, whatever its schema version."""
    for entry in list_of(dict_of(results).get("results")):
        if isinstance(entry, dict):
            yield DBTCloudNode.from_results(entry, places)


def may_build(step: Mapping[str, Any]) -> bool:
    """Returns True if a step may have built or tested nodes, judging by its name."""
    name = str_of(step.get("name"))
    return "Invoke dbt" in name and not WITHOUT_RESULTS.search(name)


def only_compiles(results: Mapping[str, Any]) -> bool:
    """Returns True if the nodes of a `run_results.json` were compiled, not built."""
    return str_of(dict_of(results.get("args")).get("which")) in COMPILE_ONLY


def are_own(results: Mapping[str, Any], known: set[str]) -> bool:
    """Returns False if a `run_results.json` is that of an earlier step.

    If a step fails before dbt starts, the API returns the results of the step before. `known` holds
    the ids of the dbt calls whose results were read, and gets that of this one.
    """
    invocation = str_of(dict_of(results.get("metadata")).get("invocation_id"))
    is_new = not invocation or invocation not in known
    known.add(invocation)
    return is_new


async def _related(io: IO, api: RunsApi, run: DBTCloudRun, seconds: float) -> DBTCloudRun:
    policy = RetryPolicy(seconds, refusal=seconds, garbage=seconds)
    return await retry(io, policy, api.get_run_status, run.id, include_related=RELATED)


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
    """Reads the nodes of all steps. If one can't be read, those of the steps before it are kept."""
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
    """Returns True if a step without results should have some soon.

    If the run succeeded, they are worth a wait only if dbt has certainly written them.
    """
    if run.is_error:
        return step in run.failed_steps and run.may_have_results(step)
    return bool(DONE.search(text_of_log(step, 2000)))
