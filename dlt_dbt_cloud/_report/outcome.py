"""What a run that has ended tells: its job and steps, and where it failed, which nodes and why."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
)
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudNode, DBTCloudRun

RELATED: Final = ("trigger", "job", "run_steps")

LATE_PAUSES: Final = (1.0, 2.0, 3.0)
"""Seconds before each further look for logs and artifacts, which dbt Cloud stores after the status.
All looks at one run share them."""


def with_outcome(client: DBTCloudClientV2, run: DBTCloudRun) -> DBTCloudRun:
    """Returns a run that has ended, read again with its job, its steps and its failed nodes.

    What can't be read is left out with a warning: the outcome of the run is known already.
    """
    usual = run.usual
    pauses = iter(LATE_PAUSES)
    try:
        related = client.get_run_status(run.id, include_related=RELATED)
        # A reading that lags behind does not take the outcome back.
        run = related if related.is_complete else run
        if run.is_error:
            run = _with_logs(client, run, pauses)
            run.failed_nodes = tuple(_failed_nodes(client, run, pauses))
    except DBTCloudAPIException as error:
        logger.warning("Of run %d not all is known: %s", run.id, error)
    run.usual = usual
    return run


def _with_logs(client: DBTCloudClientV2, run: DBTCloudRun, pauses: Iterator[float]) -> DBTCloudRun:
    while not all(step.get("logs") for step in run.failed_steps) and _pauses(client, pauses):
        run = client.get_run_status(run.id, include_related=RELATED)
    return run


def _failed_nodes(
    client: DBTCloudClientV2, run: DBTCloudRun, pauses: Iterator[float]
) -> Iterator[DBTCloudNode]:
    for step in run.failed_steps:
        if "dbt" in str(step.get("name")):  # cloning a repository has no results
            results = run_results(client, run.id, step.get("index"), pauses)
            yield from (node for node in nodes(results) if node.is_failed)


def run_results(
    client: DBTCloudClientV2, run_id: int, step: int | None, pauses: Iterator[float]
) -> Any:
    """Returns a step's `run_results.json`, None where it has no readable one even after a while."""
    while True:
        try:
            return client.get_artifact(run_id, "run_results.json", step=step)
        except DBTCloudResponseException:  # it is not JSON
            return None
        except DBTCloudHTTPException as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
        if not _pauses(client, pauses):
            return None


def _pauses(client: DBTCloudClientV2, pauses: Iterator[float]) -> bool:
    """Makes the next pause, and tells whether there was one left."""
    pause = next(pauses, None)
    if pause is not None:
        client.timer.sleep(pause)
    return pause is not None


def nodes(run_results: Any) -> Iterator[DBTCloudNode]:
    """Yields the entries of a `run_results.json`, of whatever schema version, as far as they go."""
    results = run_results.get("results") if isinstance(run_results, dict) else None
    for result in _dicts(results):
        yield DBTCloudNode(
            unique_id=str(result.get("unique_id")),
            status=str(result.get("status")),
            message=str(result.get("message") or ""),
            execution_time=float(result.get("execution_time") or 0),
        )


def _dicts(items: Any) -> Iterable[dict[str, Any]]:
    return (item for item in items or [] if isinstance(item, dict))
