"""Reads the details of runs that a list lacks, as far as the API shows them."""

import math
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, ParamSpec, TypeVar

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, Blocking, Inline, in_thread, logger, run
from dlt_dbt_cloud._report import LATE_PAUSES, are_own, may_build, run_results
from dlt_dbt_cloud._values import dict_of, int_of, str_of
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRunStatus
from dlt_dbt_cloud.sources.manifests import Manifests
from dlt_dbt_cloud.sources.rows import RunRow, freshness_in, nodes_in, run_row, step_row
from dlt_dbt_cloud.sources.schema import FRESHNESS, NODE_RESULTS, OF_MANIFEST, RUN_STEPS
from dlt_dbt_cloud.sources.tables import Row

P = ParamSpec("P")
T = TypeVar("T")

RELATED: Final = ("trigger", "job")
OF_RUN: Final = (*RELATED, "run_steps", "environment")

DETAILS: Final = frozenset(it.name for it in (*OF_MANIFEST, RUN_STEPS, NODE_RESULTS, FRESHNESS))
"""The tables that need details of a run."""

WORKERS: Final = 5
"""Number of runs that are read at the same time."""

MAX_SECONDS: Final = 10.0
"""How long reading one run is retried: it may be broken for good."""

RECENT: Final = timedelta(minutes=10)
"""How long after a step dbt Cloud may still store its artifacts. Clocks may differ."""


class Reader:
    """Reads runs.

    Attributes:
        client: Retries as long as the settings say.
        brief: Gives up soon, in favour of the other runs.
    """

    def __init__(self, config: DBTCloudConfiguration) -> None:
        self._io = Inline(config.request_timeout)
        seconds = min(config.outage_timeout, MAX_SECONDS)
        self.client = DBTCloudClientV2(credentials=config)
        self.brief = DBTCloudClientV2(credentials=config, outage_timeout=seconds, io=self._io)
        self._manifests = Manifests()

    def known(
        self, known: Mapping[str, Any], load: Load | None, tables: Collection[str]
    ) -> list[RunRow]:
        """Returns the row of a run. If that was in progress or lacks its job, it is read again."""
        run, error = DBTCloudRun(known), None
        if run.in_progress or not (run.get("trigger") and run.get("job")):
            try:
                run = watched(self.brief.get_run_status, run.id, include_related=RELATED)
            except DBTCloudAPIException as failure:
                self._check_api()
                error = failure
        if run.in_progress:
            logger.warning("Run %d is in progress. Load it again later. %s", run.id, run.url)
        rows = self.rows([run], tables, load)
        if error:
            rows[0].lacks("Trigger and job", error)
        return rows

    def rows(
        self, runs: list[DBTCloudRun], tables: Collection[str], load: Load | None = None
    ) -> list[RunRow]:
        """Returns the rows of runs, with the details that the tables need."""
        causes = load_causes(self.client, runs)
        rows = [run_row(run, [cause, load]) for run, cause in zip(runs, causes, strict=True)]
        self._complete(rows, tables)
        if failed := [row for row in rows if row.is_refused]:
            self._check_api()
            self._complete(failed, tables)
        return rows

    def _check_api(self) -> None:
        """Waits while the API is unavailable, and raises if it stays so."""
        self.client.get_runs(limit=1)

    def _complete(self, rows: list[RunRow], tables: Collection[str]) -> None:
        """Reads the steps and nodes of runs, if they have finished and a table needs them."""
        if not DETAILS.intersection(tables):
            return
        ended = [row for row in rows if row.has_ended]
        waiting = iter(ended)

        def work() -> None:
            for row in waiting:
                run(read_details(self._io, self.brief, row, tables, self._manifests))

        workers = [in_thread(work) for _ in ended[:WORKERS]]
        try:
            for worker in workers:
                watched(worker.result)
        finally:
            ended.clear()  # the workers end, too


def watched(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns what a function returns in a thread of its own. A signal ends the wait."""
    return run(Blocking(math.inf).call(function, *args, **kwargs))


async def read_details(
    io: IO, api: RunsApi, row: RunRow, tables: Collection[str], manifests: Manifests
) -> None:
    """Reads the steps of a run, and what else the tables need."""
    row.forget_details()
    try:
        run = await io.call(api.get_run_status, row["run_id"], include_related=OF_RUN)
    except DBTCloudAPIException as error:
        row.lacks("Steps", error)
        return
    row["environment_name"] = str_of(dict_of(run.get("environment")).get("name")) or None
    if why := run.error:
        row.update(error_kind=why.kind, error_file=why.file or None, error_line=why.line)
    row.steps = [step_row(run.id, place, step) for place, step in enumerate(run.steps, start=1)]
    if NODE_RESULTS.name in tables:
        await read_nodes(io, api, run, row)
        errors = (step["error"] for step in row.steps if step["error"])
        row["error"] = None if row.nodes else next(errors, None)
    if FRESHNESS.name in tables:
        await read_freshness(io, api, row)
    if any(table.name in tables for table in OF_MANIFEST):
        await read_manifest(io, api, run, row, manifests)


async def read_freshness(io: IO, api: RunsApi, row: RunRow) -> None:
    """Reads the freshness of sources from the steps of a run."""
    for step in row.steps:
        index = step["step_index"]
        if "source freshness" in (step["command"] or ""):
            try:
                found = await io.call(api.get_artifact, row["run_id"], "sources.json", step=index)
                row.freshness += freshness_in(dict_of(found), step)
            except DBTCloudAPIException as error:
                row.lacks(f"Freshness of step {index}", error)


async def read_manifest(
    io: IO, api: RunsApi, run: DBTCloudRun, row: RunRow, manifests: Manifests
) -> None:
    """Reads the manifest of a run, and adds what the results of its nodes lack."""
    try:
        row.manifest = await manifests.of(io, api, run)
    except DBTCloudAPIException as error:
        row.lacks("Manifest", error)
    if row.manifest:
        row["manifest_id"] = row.manifest.id
        row["project_name"] = row["project_name"] or row.manifest.project_name
        for node in row.nodes:
            node.update(row.manifest.about(node["unique_id"]))


async def read_nodes(io: IO, api: RunsApi, run: DBTCloudRun, row: RunRow) -> None:
    """Reads the results of the nodes of each step."""
    pauses = iter(LATE_PAUSES)
    known: set[str] = set()
    for step, values in zip(run.steps, row.steps, strict=True):
        if not may_build(values):
            continue
        index = values["step_index"]
        is_expected = values["status"] == DBTCloudRunStatus.SUCCESS or run.may_have_results(step)
        waits = pauses if is_expected and is_recent(values) else iter(())
        try:
            results = dict_of(await run_results(io, api, run.id, index, waits))
        except DBTCloudAPIException as error:
            row.lacks(f"Nodes of step {index}", error)
            continue
        if results and are_own(results, known):
            row.nodes += nodes_in(results, values)
        elif is_expected:
            row.lacks(f"Nodes of step {index}", "no readable run_results.json of its own")


def is_recent(step: Row) -> bool:
    """Returns True if dbt Cloud may still be storing the artifacts of a step."""
    finished_at = step["finished_at"]
    return finished_at is not None and datetime.now(timezone.utc) - finished_at < RECENT


def load_causes(client: DBTCloudClientV2, runs: list[DBTCloudRun]) -> list[Load | None]:
    """Returns the loads of runs. A retry has the loads of the run that failed."""
    causes = [Load.of_cause(run.cause) for run in runs]
    unknown = [run for run, cause in zip(runs, causes, strict=True) if cause is None]
    wanted = sorted({continued_id(run) for run in unknown} - {0})
    if not wanted:
        return causes
    failed = list(client.list_runs(pk__in=wanted, include_related=("trigger",)))
    ids = [run.id for run in failed]
    earlier = dict(zip(ids, load_causes(client, failed), strict=True))
    known = zip(runs, causes, strict=True)
    return [cause or earlier.get(continued_id(run)) for run, cause in known]


def continued_id(run: DBTCloudRun) -> int:
    """Returns the id of the failed run that a run continues, or 0. It is lower, so chains end."""
    run_id = int_of(run.get("retrying_run_id")) or 0
    return run_id if run_id < run.id else 0
