"""A dlt source: runs of dbt Cloud, their steps and what these did to each node, as tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import dlt
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltResource

from dlt_dbt_cloud._report.outcome import LATE_PAUSES, run_results
from dlt_dbt_cloud._start.begin import find_job_id
from dlt_dbt_cloud._start.load import LoadCause, parse_load_cause
from dlt_dbt_cloud.client import PAGE, DBTCloudClientV2
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    malformed,
    required_id,
    with_dbt_cloud_configuration,
)
from dlt_dbt_cloud.exceptions import InvalidCredentialsException
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.sources.rows import (
    has_ended,
    is_recent,
    load_rows,
    may_have_results,
    nodes_in,
    run_row,
    step_row,
    warn,
)
from dlt_dbt_cloud.sources.tables import NODE_RESULTS, RUN_LOADS, RUN_STEPS, RUNS, Row, as_dict

T = TypeVar("T")


# Settings are injected by our decorator. dlt's would take a bare `JOB_ID` for `job_id`.
@dlt.source(name="dbt_cloud", section="dbt_cloud", spec=BaseConfiguration)
@with_dbt_cloud_configuration
def dbt_cloud_source(
    run: Mapping[str, Any] | None = None,
    credentials: DBTCloudConfiguration = dlt.secrets.value,
    job_id: int | str | None = None,
    *,
    load_info: LoadInfo | None = None,
    all_jobs: bool = False,
) -> Sequence[DltResource]:
    """Loads runs of dbt Cloud, their steps, and what they did to each model, test, seed, snapshot.

    With `run` it loads this one, right after the job. Without, it loads all runs that have ended
    since the last time, and one that goes on as soon as it has ended. Rows are merged by primary
    key: what is loaded twice is there once. A long history can be loaded in parts, by so many pages
    of a hundred runs: `source.dbt_cloud_runs.add_limit(10)`.

    Args:
        run: A run, as `run_dbt_cloud_job` returns it.
        credentials: Settings that win over what dlt's providers have in `[dbt_cloud]`.
        job_id: The job whose runs are loaded, by default the configured one, also by `job_name`.
            Where no job is configured, the runs of all jobs of the account are loaded.
        load_info: The load that `run` transforms. It is needed where the cause of the run does not
            name the load: the cause is your own, was cut, or the run was triggered for another.
        all_jobs: Whether the runs of all jobs are loaded, also where a job is configured.

    Raises:
        InvalidCredentialsException: A setting or `run` is missing or malformed.
        DBTCloudHTTPException: The API refused, see its message. It is in the chain of causes of the
            `PipelineStepFailed` that dlt raises while it extracts.
    """
    del job_id  # it has come back in the credentials
    required_id("account_id", credentials.account_id)
    check_run(run, load_info)
    client = DBTCloudClientV2(credentials=credentials)

    def rows_of_runs() -> Iterator[list[Row]]:
        if run is not None:
            pages = iter([[known_run(client, run)]])
        else:
            pages = history(client, None if all_jobs else configured_job(client, credentials))
        return (run_rows(client, page) for page in pages if page)

    def rows_of_loads(runs: list[Row]) -> list[Row]:
        return materialized([load for row in runs for load in load_rows(row, load_info)])

    def rows_of_steps(runs: list[Row]) -> Iterator[Any]:
        yield materialized([])
        yield from (step_rows(client, row["run_id"]) for row in runs if has_ended(row))

    def rows_of_nodes(steps: list[Row]) -> Callable[[], list[Row]]:
        return node_rows(client, steps)

    runs = RUNS.resource(rows_of_runs)
    loads = RUN_LOADS.resource(rows_of_loads, runs)
    steps = RUN_STEPS.resource(rows_of_steps, runs)
    return runs, loads, steps, NODE_RESULTS.resource(rows_of_nodes, steps)


def check_run(run: Any, load_info: LoadInfo | None) -> None:
    """Refuses what is no run, before anything is sent."""
    if run is None and load_info is not None:
        raise InvalidCredentialsException("`load_info` goes with `run`, which transforms the load.")
    if run is not None and not (isinstance(run, Mapping) and isinstance(run.get("id"), int)):
        raise malformed("run", "a run as `run_dbt_cloud_job` returns it", type(run))


def configured_job(client: DBTCloudClientV2, config: DBTCloudConfiguration) -> int | None:
    """Returns the id of the configured job, None if there is none."""
    return find_job_id(client, config) if config.job_id or config.job_name else None


def materialized(rows: list[Row]) -> list[Row]:
    """Returns the rows. Where there are none, the table is created all the same, to be joined."""
    return rows or dlt.mark.materialize_table_schema()


class Bookmark:
    """Which runs have been taken, in the state of a resource.

    Ids grow from run to run, but a run may end after one with a higher id, and even appear in the
    list after it: a greatest id alone would skip runs. So the ids of the runs that go on are kept,
    and the newest hundred are listed again each time, to see what has appeared among them.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    @property
    def after_id(self) -> int:
        """The id up to which all runs are taken, or among those that go on."""
        return int(self._state.get("after_id", 0))

    @property
    def left_behind(self) -> list[int]:
        """The runs that went on when last seen, and that a list after `after_id` does not show."""
        return sorted(run_id for run_id in self._ids("going") if run_id <= self.after_id)

    def take(self, runs: Iterable[DBTCloudRun]) -> list[DBTCloudRun]:
        """Returns the runs that have ended and were not taken before, and remembers all."""
        going, newest, taken = self._ids("going"), self._ids("newest"), []
        for run in runs:
            if run.is_complete and (run.id in going or run.id not in newest):
                taken.append(run)
            (going.discard if run.is_complete else going.add)(run.id)
            newest.add(run.id)
        self._remember(going, newest)
        return taken

    def forget(self, run_ids: Iterable[int]) -> None:
        """Gives up runs that do not exist any more."""
        self._remember(self._ids("going").difference(run_ids), self._ids("newest"))

    def _ids(self, name: str) -> set[int]:
        return set(self._state.get(name, ()))

    def _remember(self, going: set[int], newest: set[int]) -> None:
        ids = sorted(run_id for run_id in newest if run_id > self.after_id)
        passed = ids[:-PAGE]
        after_id = passed[-1] if passed else self.after_id
        self._state.update(after_id=after_id, newest=ids[-PAGE:], going=sorted(going))


def history(client: DBTCloudClientV2, job: int | None) -> Iterator[list[DBTCloudRun]]:
    """Yields the runs that have ended since the last time, page by page."""
    state = dlt.current.resource_state(RUNS.name)
    bookmark = Bookmark(state.setdefault(f"account {client.account_id} job {job or 'any'}", {}))
    related = {"include_related": ("trigger", "job")}
    for ids in pages_of(iter(bookmark.left_behind)):
        found = list(client.list_runs(pk__in=ids, **related))
        if gone := set(ids).difference(run.id for run in found):
            logger.warning("Runs that went on do not exist any more: %s", sorted(gone))
            bookmark.forget(gone)
        yield bookmark.take(found)
    after_id = bookmark.after_id or None
    runs = client.list_runs(job_definition_id=job, id__gt=after_id, order_by="id", **related)
    for page in pages_of(runs):
        yield bookmark.take(page)


def pages_of(items: Iterator[T]) -> Iterator[list[T]]:
    """Yields the items in lists as long as a page of the API."""
    while page := list(islice(items, PAGE)):
        yield page


def known_run(client: DBTCloudClientV2, run: Mapping[str, Any]) -> DBTCloudRun:
    """Returns a run with its trigger and its job, read again if it lacks them or went on."""
    known = DBTCloudRun(run)
    if known.in_progress or not (known.get("trigger") and known.get("job")):
        known = client.get_run_status(known.id, include_related=("trigger", "job"))
    if known.in_progress:
        logger.warning("Run %d goes on. Load it again when it has ended. %s", known.id, known.url)
    return known


def run_rows(client: DBTCloudClientV2, runs: list[DBTCloudRun]) -> list[Row]:
    """Returns runs as rows."""
    return [run_row(run, cause) for run, cause in zip(runs, load_causes(client, runs), strict=True)]


def load_causes(client: DBTCloudClientV2, runs: list[DBTCloudRun]) -> list[LoadCause | None]:
    """Returns the loads of runs. One that continues a failed run was triggered for its loads."""
    causes = [parse_load_cause(run.cause) for run in runs]
    continued = [cause or continued_id(run) for run, cause in zip(runs, causes, strict=True)]
    wanted = sorted({run_id for run_id in continued if isinstance(run_id, int)})
    if not wanted:
        return causes
    failed = list(client.list_runs(pk__in=wanted, include_related=("trigger",)))
    ids = [run.id for run in failed]
    earlier = dict(zip(ids, load_causes(client, failed), strict=True))
    return [earlier.get(known) if isinstance(known, int) else known for known in continued]


def continued_id(run: DBTCloudRun) -> int | None:
    """Returns the id of the failed run that a run continues. It is lower, so a chain ends."""
    run_id = run.get("retrying_run_id")
    return run_id if isinstance(run_id, int) and run_id < run.id else None


@dlt.defer
def step_rows(client: DBTCloudClientV2, run_id: int) -> list[Row]:
    """Returns the steps of a run, which a list of runs does not have. Their logs are left out."""
    run = client.get_run_status(run_id, include_related=("run_steps",))
    return [step_row(run_id, index, step) for index, step in enumerate(run.steps, start=1)]


@dlt.defer
def node_rows(client: DBTCloudClientV2, steps: list[Row]) -> list[Row]:
    """Returns what the steps of one run did to each node."""
    rows: list[Row] = []
    known: set[str] = set()
    pauses = iter(LATE_PAUSES if any(map(is_recent, steps)) else ())
    for step in filter(may_have_results, steps):
        results = as_dict(run_results(client, step["run_id"], step["step_index"], pauses))
        invocation_id = as_dict(results.get("metadata")).get("invocation_id")
        # A step that fails before dbt does anything is left with the results of the one before.
        if not results or invocation_id in known:
            warn(step, "has no readable run_results.json of its own: no nodes are loaded.")
        else:
            rows += nodes_in(results, step)
        known.update([invocation_id] if invocation_id else [])
    return materialized(rows)
