"""A dlt source: runs of dbt Cloud, their steps and what these did to each node, as tables."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, Final, TypeVar

import dlt
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltResource

from dlt_dbt_cloud.client import PAGE, DBTCloudClientV2
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    malformed,
    required_id,
    with_dbt_cloud_configuration,
)
from dlt_dbt_cloud.exceptions import (
    InvalidCredentialsException,
)
from dlt_dbt_cloud.load import LoadCause, parse_load_cause
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.outcome import LATE_PAUSES, run_results
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRunStatus
from dlt_dbt_cloud.start import find_job_id
from dlt_dbt_cloud.tables import (
    NODE_RESULTS,
    RUN_LOADS,
    RUN_STEPS,
    RUNS,
    Row,
    as_dict,
    as_dicts,
    seconds_between,
)

T = TypeVar("T")

RECENT: Final = timedelta(minutes=10)
"""How long after a step its artifacts may still be on their way, with room for unequal clocks."""

KNOWN_SCHEMAS: Final = re.compile(r"/run-results/v[1-6]\.json$")
"""The schema versions of `run_results.json`, dbt 0.19 and later, that have what is read here."""

WITHOUT_RESULTS: Final = re.compile(r"`dbt (clean|compile|debug|deps|docs|list|ls|parse|source)\b")
"""Steps that build and test nothing."""

COMPILE_ONLY: Final = frozenset({"compile", "generate", "list", "show"})
"""The commands whose `run_results.json` calls nodes a success that were compiled, not built."""


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


# Runs


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


def run_row(run: DBTCloudRun, cause: LoadCause | None) -> Row:
    """Returns a run as a row.

    Left out is what changes after a run has ended, such as `can_retry` or "2 weeks ago".
    """
    trigger = as_dict(run.get("trigger"))
    values = {
        "run_id": run.id,
        "job_id": run.get("job_definition_id"),
        "job_name": as_dict(run.get("job")).get("name"),
        "status_name": run.status_name,
        "queued_seconds": seconds_between(run.get("created_at"), run.get("started_at")),
        "run_seconds": seconds_between(run.get("started_at"), run.get("finished_at")),
        "cause": trigger.get("cause"),
        "cause_category": trigger.get("cause_category"),
        "url": run.get("href"),
    }
    return RUNS.row({**run, **values, **(cause._asdict() if cause else {})})


def has_ended(row: Row) -> bool:
    """Tells whether a run, as a row, has its steps and results."""
    going = (DBTCloudRunStatus.QUEUED, DBTCloudRunStatus.STARTING, DBTCloudRunStatus.RUNNING)
    return row["status"] not in going


# Loads


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


def load_rows(run: Row, load_info: LoadInfo | None = None) -> list[Row]:
    """Returns the loads that a run, as a row, was triggered for or is said to transform."""
    loads = dict.fromkeys(run["load_ids"] or (), run)
    if load_info is not None:
        given = {
            "pipeline_name": load_info.pipeline.pipeline_name,
            "dataset_name": load_info.dataset_name,
        }
        loads.update(dict.fromkeys(load_info.loads_ids, given))
    return [
        RUN_LOADS.row({**load, "run_id": run["run_id"], "load_id": load_id})
        for load_id, load in loads.items()
    ]


# Steps


@dlt.defer
def step_rows(client: DBTCloudClientV2, run_id: int) -> list[Row]:
    """Returns the steps of a run, which a list of runs does not have. Their logs are left out."""
    run = client.get_run_status(run_id, include_related=("run_steps",))
    return [step_row(run_id, index, step) for index, step in enumerate(run.steps, start=1)]


def step_row(run_id: int, index: int, step: Mapping[str, Any]) -> Row:
    """Returns a step as a row."""
    values = {
        "run_id": run_id,
        "step_index": step.get("index") or index,
        "step_id": step.get("id"),
        "status_name": step.get("status_humanized"),
        "step_seconds": seconds_between(step.get("started_at"), step.get("finished_at")),
    }
    return RUN_STEPS.row({**step, **values})


# Nodes


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


def may_have_results(step: Row) -> bool:
    """Tells whether a step may have built or tested nodes, by its name."""
    name = step["name"] or ""
    return "Invoke dbt" in name and not WITHOUT_RESULTS.search(name)


def is_recent(step: Row) -> bool:
    """Tells whether dbt Cloud may still be storing the artifacts of a step."""
    finished_at = step["finished_at"]
    return finished_at is not None and datetime.now(timezone.utc) - finished_at < RECENT


def nodes_in(results: Mapping[str, Any], step: Row) -> list[Row]:
    """Returns the nodes in a `run_results.json`, of whatever schema version, as far as they go."""
    metadata, args = as_dict(results.get("metadata")), as_dict(results.get("args"))
    if args.get("which") in COMPILE_ONLY:
        return []
    if not KNOWN_SCHEMAS.search(str(metadata.get("dbt_schema_version"))):
        version = metadata.get("dbt_schema_version")
        warn(step, f"has a run_results.json of schema {version}: it is loaded as far as it goes.")
    common = {
        "run_id": step["run_id"],
        "step_index": step["step_index"],
        "command": args.get("which"),
        "invocation_id": metadata.get("invocation_id"),
    }
    nodes = [node for node in as_dicts(results.get("results")) if node.get("unique_id")]
    return [NODE_RESULTS.row({**node_values(node), **common}) for node in nodes]


def node_values(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an entry of a `run_results.json` with what is written in it further down."""
    resource_type, *rest = str(result["unique_id"]).split(".", maxsplit=2)
    name = rest[-1] if rest else ""
    timing = as_dicts(result.get("timing")) or [{}]
    return {
        **result,
        "resource_type": resource_type,
        # Of a test it is followed by a hash.
        "name": name.partition(".")[0] if resource_type == "test" else name,
        "rows_affected": as_dict(result.get("adapter_response")).get("rows_affected"),
        "started_at": timing[0].get("started_at"),
        "finished_at": timing[-1].get("completed_at"),
    }


def warn(step: Row, what: str) -> None:
    """Logs what is missing of a step."""
    logger.warning("Step %s of run %s %s", step["step_index"], step["run_id"], what)
