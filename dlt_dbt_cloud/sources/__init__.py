"""A dlt source: runs of dbt Cloud, their steps and the results of each node, as tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

import dlt
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltResource

from dlt_dbt_cloud import _io
from dlt_dbt_cloud._api import PAGE
from dlt_dbt_cloud._call import Call
from dlt_dbt_cloud._values import moment
from dlt_dbt_cloud._values.load import Load
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    malformed,
    with_dbt_cloud_configuration,
)
from dlt_dbt_cloud.exceptions import InvalidCredentialsException
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.sources.cursor import Cursor
from dlt_dbt_cloud.sources.reading import DETAILS, RELATED, Reader
from dlt_dbt_cloud.sources.rows import RunRow
from dlt_dbt_cloud.sources.schema import (
    FRESHNESS,
    NODE_RESULTS,
    OF_MANIFEST,
    RUN_LOADS,
    RUN_STEPS,
    RUNS,
)
from dlt_dbt_cloud.sources.tables import Table

PART: Final = 25
"""Maximum number of runs whose nodes are in memory at the same time."""

PARTS: Final = (
    (RUN_LOADS, "loads"),
    (RUN_STEPS, "steps"),
    (NODE_RESULTS, "nodes"),
    (FRESHNESS, "freshness"),
)
"""The tables that belong to runs, each with the attribute of `RunRow` that holds its rows."""

MAX_MANIFESTS: Final = 1000
"""Number of loaded manifests whose ids are remembered."""

FOREVER: Final = "9999-01-01T00:00:00+00:00"
"""The end of a range of time without end: the API requires one."""


# Settings are injected by our decorator. dlt's would take a bare `JOB_ID` for `job_id`.
@dlt.source(name="dbt_cloud", section="dbt_cloud", spec=BaseConfiguration)
@with_dbt_cloud_configuration(requires=("account_id",))
def dbt_cloud_source(
    run: Mapping[str, Any] | None = None,
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    job_id: int | str | None = None,
    *,
    load_info: LoadInfo | Mapping[str, Any] | str | None = None,
    all_jobs: bool = False,
    since: datetime | str | None = None,
) -> Sequence[DltResource]:
    """Loads runs of dbt Cloud, their steps, and the result of each model, test, seed and snapshot.

    With `run` it loads this one, right after the job, failed or not. Without it, it loads all runs
    that have finished since the last load. Rows are merged by primary key, so none is there twice.
    A long history can be loaded in parts: `source.dbt_cloud_runs.add_limit(40)` takes 40 pages of
    25 runs, or of 100 if only the tables of runs and their loads are selected.

    If the API refuses some details of a run, the rest is loaded, and `load_error` of its row says
    what is missing. Later loads of the history read such runs again, for some hours.

    Args:
        run: A run, as `run_dbt_cloud_job` returns it.
        credentials: Settings that win over what dlt's providers have in `[dbt_cloud]`.
        job_id: The job whose runs are loaded, by default the one that `job_id` or `job_name`
            configures. If no job is configured, the runs of all jobs of the account are loaded.
        load_info: The load that `run` transforms, as `run_dbt_cloud_job` takes it. Pass it if the
            cause of the run does not name the load: the cause is your own or was cut, or the run
            was triggered for another load.
        all_jobs: Whether the runs of all jobs are loaded, even if a job is configured.
        since: On the first load, leaves out runs that finished before this time.

    Raises:
        InvalidCredentialsException: A setting or an argument is missing or malformed.
        DBTCloudHTTPException: The API refused, see its message. It is in the chain of causes of the
            `PipelineStepFailed` that dlt raises while it extracts.
    """
    del job_id  # the decorator has put it into the credentials
    load = Load.of(load_info) if load_info is not None else None
    check_run(run, load)
    begin = moment_of(since)
    reader = Reader(credentials)

    def rows_of_runs() -> Iterator[list[RunRow]]:
        tables = dlt.current.source().resources.selected.keys()
        if run is not None:
            skipped = DBTCloudRun(run).is_skipped
            yield [] if skipped else reader.known(run, load, tables)
            return
        job = None if all_jobs else configured_job(reader.client, credentials)
        cursor = Cursor(state_of(f"account {credentials.account_id} job {job or 'any'}"))
        new = history(reader.client, job, cursor, begin)
        while part := list(islice(new, PART if DETAILS.intersection(tables) else PAGE)):
            yield cursor.advance(reader.rows(part, tables))

    runs = RUNS.resource(rows_of_runs)
    return (
        runs,
        *(table.resource(of_runs(table, part), runs) for table, part in PARTS),
        *(table.resource(of_manifests(table), runs) for table in OF_MANIFEST),
    )


def of_runs(table: Table, part: str) -> Callable[[list[RunRow]], Iterator[Any]]:
    """Returns a function that yields the rows of a table that belong to runs."""

    def rows_of_part(runs: list[RunRow]) -> Iterator[Any]:
        return table.items([row for run in runs for row in run.take(part)])

    return rows_of_part


def of_manifests(table: Table) -> Callable[[list[RunRow]], Iterator[Any]]:
    """Returns a function that yields the rows of a table from manifests that are not loaded yet."""

    def rows_of_manifests(runs: list[RunRow]) -> Iterator[Any]:
        loaded = state_of("manifests", table).setdefault("loaded", [])
        manifests = {row.manifest.id: row.manifest for row in runs if row.manifest}
        new = [manifest for key, manifest in manifests.items() if key not in loaded]
        loaded[:] = [*dict.fromkeys([*loaded, *manifests])][-MAX_MANIFESTS:]
        return table.items([row for it in new for row in it.table_rows(table.name)])

    return rows_of_manifests


def check_run(run: Any, load: Load | None) -> None:
    """Raises if `run` is no run, before any request."""
    if run is None and load is not None:
        text = "`load_info` needs `run`: pass the run that transforms the load."
        raise InvalidCredentialsException(text)
    if run is not None and not (isinstance(run, Mapping) and isinstance(run.get("id"), int)):
        raise malformed("run", "a run as `run_dbt_cloud_job` returns it", type(run))


def moment_of(since: datetime | str | None) -> datetime | None:
    """Returns the point in time that `since` names."""
    begin = moment(str(since)) if since is not None else None
    if since is not None and begin is None:
        raise malformed("since", "a datetime or an ISO 8601 date", since)
    return begin


def configured_job(client: DBTCloudClientV2, config: DBTCloudConfiguration) -> int | None:
    """Returns the id of the configured job, None if there is none."""
    if not (config.job_id or config.job_name):
        return None
    return _io.run(Call(_io.Blocking(config.request_timeout), client, config).job_id())


def state_of(key: str, table: Table = RUNS) -> dict[str, Any]:
    """Returns a part of the state of a table's resource."""
    state: dict[str, Any] = dlt.current.resource_state(table.name).setdefault(key, {})
    return state


def history(
    client: DBTCloudClientV2, job: int | None, cursor: Cursor, since: datetime | None
) -> Iterator[DBTCloudRun]:
    """Yields the runs that have finished since the last time. Reads each page when it is needed."""
    runs = client.list_runs(
        job_definition_id=job,
        finished_at__range=[cursor.begin(since).isoformat(), FOREVER],
        id__gt=cursor.after_id,
        order_by="finished_at",
        include_related=RELATED,
    )
    return (run for run in runs if run.is_complete and cursor.is_new(run.id))
