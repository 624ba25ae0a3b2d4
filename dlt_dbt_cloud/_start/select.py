"""Narrows an order to what is downstream of the tables that loads have changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final, NamedTuple

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud._api import PAGE, RunsApi
from dlt_dbt_cloud._io import IO, ask, logger
from dlt_dbt_cloud._io.retry import RetryPolicy, retry
from dlt_dbt_cloud._start.order import Narrowing, Order, overrides
from dlt_dbt_cloud._start.select_coverage import History, history, uncovered
from dlt_dbt_cloud._start.select_destination import WHEN, Dataset, Loaded, asking, datasets_of
from dlt_dbt_cloud._start.select_sources import Place, Source, Sources
from dlt_dbt_cloud._start.select_steps import UnsureError, narrow, sources_in
from dlt_dbt_cloud._start.select_tables import Family, changed_families
from dlt_dbt_cloud._values import dict_of, list_of, str_of
from dlt_dbt_cloud._values.load import CLOCK_SKEW, Load
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.run import DBTCloudRun

SELECT_SECONDS: Final = 60.0
"""How long errors are retried at most. Then everything is built."""

MAX_RUNS: Final = 500
"""Maximum number of runs that are searched for a full one."""

RESULTS: Final = "dbt_cloud"
"""The dlt schema of the results of runs."""

MAX_NAMED: Final = 10
"""Number of names in a line of the log."""


class Selection(NamedTuple):
    """What to build.

    Attributes:
        why: The reason, as a sentence.
        steps: The steps of the job, narrowed. None if they stay as they are.
        is_empty: Whether no table has changed.
        load_ids: The loads that the run will be the first to transform, the newest first.
    """

    why: str
    steps: list[str] | None = None
    is_empty: bool = False
    load_ids: Sequence[str] = ()


class Change(NamedTuple):
    """What has changed since the runs that succeeded.

    Attributes:
        loads: The loads that no run has transformed.
        tables: The tables, each with those nested in it, and where they are.
    """

    loads: list[Loaded]
    tables: set[tuple[Family, frozenset[Place]]]


async def select(
    io: IO, api: RunsApi, order: Order, narrowing: Narrowing, outage_timeout: float
) -> str:
    """Narrows an order to what loads have changed. If anything is uncertain, everything is built.

    Returns:
        Why nothing is to be triggered, empty if the order is to run.
    """
    job = Job(io, api, order, RetryPolicy(min(outage_timeout, SELECT_SECONDS)))
    try:
        selection = await _selection(job, narrowing)
    except (UnsureError, DBTCloudAPIException) as why:
        selection = Selection(f"Building everything: {str_of(str(why)).rstrip('.')}.")
        logger.warning("%s", selection.why)
    else:
        logger.info("%s", selection.why)
    if selection.is_empty and narrowing.skips:
        return selection.why
    steps = {"steps_override": selection.steps} if selection.steps else {}
    order.narrowed = {"cause": _cause(order, narrowing.load, selection.load_ids), **steps}
    return ""


def _cause(order: Order, load: Load | None, load_ids: Sequence[str]) -> str:
    """Returns the cause of a run, with the loads that it is the first to transform."""
    own = str(order.request.get("cause") or "")
    if load is None or not (load.load_ids or load_ids):
        return own
    known = dict.fromkeys([*load.load_ids, *load_ids])
    cause = load._replace(load_ids=[*known]).cause()
    return cause if own in ("", load.cause()) else f"{own} ({cause})"


@dataclass(frozen=True)
class Job:
    """The job of an order, as the API knows it.

    Attributes:
        io: The world.
        api: The API.
        order: What is to run, as a whole.
        policy: How long errors are retried.
    """

    io: IO
    api: RunsApi
    order: Order
    policy: RetryPolicy

    async def history(self) -> History:
        """Returns the runs that show which loads are covered.

        Raises:
            UnsureError: No full run is among the last runs.
        """
        runs: list[DBTCloudRun] = []
        while len(runs) < MAX_RUNS:
            page = await retry(
                self.io,
                self.policy,
                self.api.get_runs,
                job_definition_id=self.order.job_id,
                order_by="-id",
                include_related=["trigger"],
                limit=PAGE,
                offset=len(runs),
            )
            runs += page.items
            if sorted(runs, key=lambda run: -run.id) != runs:
                raise UnsureError("the list of runs is not in order")
            if past := history(runs, self.order.request):
                past.check_project()
                return past
            if not page.items or len(runs) == page.total:
                break
        raise UnsureError(f"none of the last {len(runs)} runs built everything and succeeded")

    async def steps(self, past: History) -> list[str]:
        """Returns the steps of the job.

        Raises:
            UnsureError: They are not those of its last full run.
        """
        if given := overrides(self.order.request).get("steps_override"):
            return [str(step) for step in given]
        get, related = self.api.get_run_status, ("job", "run_steps")
        full = await retry(self.io, self.policy, get, past.full.id, include_related=related)
        steps = list_of(dict_of(full.get("job")).get("execute_steps"))
        names = [str(step.get("name")) for step in full.steps]
        if not steps or not all(any(f"`{it}`" in name for name in names) for it in steps):
            raise UnsureError(f"run {full.id}, the last full one, had other steps")
        return [str(step) for step in steps]

    async def sources(self, past: History) -> Sources:
        """Returns the sources of the project as the last successful run read them."""
        get = self.api.get_artifact
        return Sources(await retry(self.io, self.policy, get, past.last.id, "manifest.json"))


async def _selection(job: Job, narrowing: Narrowing) -> Selection:
    load, known = narrowing.load, narrowing.known
    if load is None or known is None:
        raise UnsureError(
            "no destination is known: pass `load_info` from `pipeline.run`, or `pipeline`"
        )
    load_info = known if isinstance(known, LoadInfo) else _last_load_info(known, load)
    datasets = datasets_of(known.pipeline if isinstance(known, LoadInfo) else known)
    past = await job.history()
    steps = await job.steps(past)
    own = changed_families(load_info) if load_info else {}
    change = await ask(job.io, "the destination", _change, own, datasets, past, steps)
    load_ids = [loaded.load_id for loaded in sorted(change.loads, key=WHEN, reverse=True)]
    sources = await job.sources(past)
    changed = _sources(sources, change)
    if not changed:
        what = "Nothing to build" if narrowing.skips else "Building everything"
        why = f"{what}: no table has changed since run {past.last.id}."
        return Selection(why, is_empty=True, load_ids=load_ids)
    if not narrowing.narrows:
        why = f"Building everything: {len(changed)} source tables have changed."
        return Selection(why, load_ids=load_ids)
    narrowed = _narrowed(steps, sources, changed)
    return Selection(_why(narrowed, changed, load_ids), narrowed, load_ids=load_ids)


def _last_load_info(pipeline: Pipeline, load: Load) -> LoadInfo | None:
    """Returns the last load of a pipeline with its packages, if that is the load."""
    trace = pipeline.last_trace
    info: LoadInfo | None = trace.last_load_info if trace else None
    return info if info and info.loads_ids == load.load_ids else None


def _why(steps: Sequence[str], changed: Collection[Source], load_ids: Sequence[str]) -> str:
    terms = sources_in(steps)
    more = f" and {len(terms) - MAX_NAMED} more" if len(terms) > MAX_NAMED else ""
    return (
        f"Building what is downstream of {' '.join(terms[:MAX_NAMED])}{more}:"
        f" {len(changed)} source tables have changed with {len(load_ids)} loads."
    )


@asking(Exception)  # of any driver of a database
def _change(
    own: Mapping[str, set[Family]],
    datasets: Mapping[str, Dataset],
    past: History,
    steps: Sequence[str],
) -> Change:
    """Returns what has changed, as the destination knows it. It may take a while."""
    since = (past.full.created_at or datetime.now(timezone.utc)) - CLOCK_SKEW
    pending: list[Loaded] = []
    tables: set[tuple[Family, frozenset[Place]]] = set()
    found: set[str] = set()
    for dataset in {dataset.name: dataset for dataset in datasets.values()}.values():
        loads = dataset.loads(since)
        found.update(loaded.load_id for loaded in loads)
        left = uncovered(loads, past, steps)
        others = [loaded for loaded in left if loaded.load_id not in own]
        changed = dataset.changed_by(others) if others else set[Family]()
        changed.update(*(own[loaded.load_id] for loaded in left if loaded.load_id in own))
        tables |= {(it, frozenset(map(dataset.place, it.tables))) for it in changed}
        pending += left
    if unknown := [it for it in own if it not in found and float(it) > since.timestamp()]:
        raise UnsureError(f"the destination has no load {unknown[0]}")
    return Change(pending, tables)


def _sources(sources: Sources, change: Change) -> set[Source]:
    """Returns the sources that have changed.

    The tables of `dbt_cloud_source` count only if they are sources of the project.

    Raises:
        UnsureError: A table is no source, nor is one of those nested in it.
    """
    changed: set[Source] = set()
    for family, places in change.tables:
        found = set[Source]().union(*map(sources.at, places))
        if not found and family.schema_name != RESULTS:
            raise UnsureError(f"the table {family.tables[0]} is not a source of the project")
        changed |= found
    return changed


def _narrowed(steps: Sequence[str], sources: Sources, changed: Collection[Source]) -> list[str]:
    """Returns the steps, narrowed to the tables, or to whole sources if that is too long."""
    try:
        return narrow(steps, sources.terms(changed), has_default=sources.has_default)
    except UnsureError:
        terms = sources.terms(changed, are_grouped=True)
        return narrow(steps, terms, has_default=sources.has_default)
