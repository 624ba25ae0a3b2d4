"""One call of a user: `start`, `follow`, `report`, on any IO and any implementation of the seam."""

import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._call.outcome import loaded_tables, log_outcome, publish, slack_hook
from dlt_dbt_cloud._follow.abort import abortable, end_with
from dlt_dbt_cloud._follow.first import first_read, first_reads
from dlt_dbt_cloud._follow.logs import StepLogs
from dlt_dbt_cloud._follow.many import FollowMany
from dlt_dbt_cloud._follow.progress import Display, display_of, shown_many
from dlt_dbt_cloud._follow.screen import Screen
from dlt_dbt_cloud._follow.wait import LAST_POLL, Follow, Limits
from dlt_dbt_cloud._follow.watch import Watch
from dlt_dbt_cloud._io import IO, ask, logger
from dlt_dbt_cloud._io.retry import RetryPolicy
from dlt_dbt_cloud._report import report
from dlt_dbt_cloud._start import start
from dlt_dbt_cloud._start.duplicates import settled
from dlt_dbt_cloud._start.engines import key_of
from dlt_dbt_cloud._start.job import find_job
from dlt_dbt_cloud._start.order import Narrowing, Order, RetryOrder, overrides
from dlt_dbt_cloud._start.trigger import Trigger
from dlt_dbt_cloud._values.load import Load, tag_of
from dlt_dbt_cloud.configuration import DBTCloudConfiguration, required_id
from dlt_dbt_cloud.exceptions import DBTCloudHTTPException
from dlt_dbt_cloud.run import DBTCloudRun, DBTCloudRuns


class Call:
    """One call: its settings, its deadline and its run. A display, if any, shows the progress."""

    def __init__(
        self,
        io: IO,
        api: RunsApi,
        config: DBTCloudConfiguration,
        display: Display | None = None,
        polls: RunsApi | None = None,
    ) -> None:
        deadline = io.now() + config.wait_timeout
        self.limits = Limits(deadline, config.wait_seconds, config.outage_timeout)
        self.io = io.until(deadline + LAST_POLL)
        self.api, self.config, self.display = api, config, display
        self.polls = polls or api  # may share requests with the polls of other calls
        self.watch = Watch(io, display, StepLogs(Screen(sys.stderr)) if config.logs else None)

    def abortable(self) -> AbstractAsyncContextManager[None]:
        """Says where a run in progress is when the call ends early, and cancels it if wanted."""
        cancel = self.config.cancel_on_abort
        return abortable(self.io, self.api, self.watch, cancel_on_abort=cancel)

    async def job_id(self) -> int:
        """Returns the id of the configured job."""
        config = self.config
        if config.job_id or not config.job_name:
            return required_id("job_id", config.job_id)
        where = {"project_id": config.project_id, "environment_id": config.environment_id}
        policy = RetryPolicy(self.limits.outage_timeout)
        return await find_job(self.io, self.api, config.job_name, policy, **where)

    async def order(self, data: Mapping[str, Any] | None, load: Load | None) -> Order:
        """Returns what is to run."""
        config, job_id = self.config, await self.job_id()
        request = config.trigger_request(data)
        order = Order(job_id=job_id, request=request, reuse_queued=config.reuse_queued)
        changes = overrides(request)
        load = load if load and load.load_ids else None  # one without data identifies nothing
        if load and request.get("cause") in (None, "", DBTCloudConfiguration.cause):
            request["cause"] = load.cause()
        if key := key_of(config.run_key):
            tag, variant = tag_of("key", key, job_id), "." + tag_of(changes)[-6:]
            window = config.run_key_window
            return replace(order, tag=tag, variant=variant, window=window, is_shared=True)
        if load:
            return replace(order, tag=load.tag(job_id, changes), since=load.since(), is_shared=True)
        return order

    async def start(self, order: Order) -> DBTCloudRun:
        """Returns the run of an order: an earlier one, a queued one that will do, or a new one."""
        self.watch.order = order
        timeout, retries = self.limits.outage_timeout, self.retries
        started = await start(
            self.io, self.api, order, outage_timeout=timeout, may_retry=retries > 0
        )
        if not started.is_skipped:
            self.watch.took(started, order)
        return started

    async def follow(self, started: DBTCloudRun, order: Order | None = None) -> DBTCloudRun:
        """Returns the run when it has finished, if that is to be waited for."""
        if started.is_skipped:
            return started
        if self.config.wait_for_outcome:
            follow = Follow(self.io, self.api, self.watch, self.limits, order, self.polls)
            return await follow.to_the_end(started)
        if order:
            started = await settled(self.io, self.api, order, started)
            self.watch.took(started, order)
        return started

    async def follow_many(self, runs: dict[int, DBTCloudRun]) -> dict[int, DBTCloudRun]:
        """Returns runs by their ids when all have finished. Raises if one is lost or failed."""
        follow = FollowMany(self.io, self.polls, self.limits, runs)
        try:
            with shown_many(self.display, self.io) as follow.progress:
                async for finished in follow.finished():
                    run = follow.runs[finished.id] = await report(self.io, self.api, finished)
                    log_outcome(run)
                    await publish(self.io, run, self.config)
        except BaseException as abort:
            ids = [run.id for run in follow.in_progress]
            end_with(abort, f"To reattach: wait_for_dbt_cloud_runs({ids})")
            raise
        for error in follow.errors.values():
            raise error
        for finished in follow.runs.values() if self.config.raise_on_failure else ():
            finished.raise_on_failure()
        return follow.runs

    @property
    def retries(self) -> int:
        """How many times a failed run is retried: never, if nobody waits for it."""
        return self.config.retry_failed if self.config.wait_for_outcome else 0

    async def retry(self, failed: DBTCloudRun) -> DBTCloudRun:
        """Returns the run that continues a failed one, when it has finished."""
        order = RetryOrder(job_id=failed.job_id, failed_id=failed.id)
        self.watch.order, self.watch.run = order, None
        started = await Trigger(self.io, self.api, order, self.limits.outage_timeout).once()
        self.watch.took(started, order)
        return await self.follow(started, order)

    async def retry_failed(self, finished: DBTCloudRun) -> DBTCloudRun:
        """Returns the run, or the last of the runs that continue it."""
        for _ in range(self.retries):
            if not finished.is_error:
                break
            if refusal := finished.retry_refusal:
                logger.warning("%s", refusal)
                break
            try:
                logger.warning("Run %d failed. Retrying from its failed step.", finished.id)
                finished = await self.retry(finished)
            except DBTCloudHTTPException as error:
                logger.warning("Run %d was not retried. %s", finished.id, error)
                break
        return finished

    async def report(self, found: DBTCloudRun) -> DBTCloudRun:
        """Returns a run with its details. Publishes and logs its outcome, and raises if wanted."""
        if found.is_complete:
            found.usual = self.watch.usual
            found = await report(self.io, self.api, found)
            self.watch.reported(found)
            await publish(self.io, found, self.config)
            if self.config.raise_on_failure:
                found.raise_on_failure()
            log_outcome(found)
        else:
            logger.info("%s", self.watch.summary())
        await self.io.sleep(0)  # raises for a signal that came last
        return found


def _run_of(run: Mapping[str, Any] | int | str) -> DBTCloudRun | int | str:
    if isinstance(run, DBTCloudRun) or not isinstance(run, Mapping):
        return run
    return DBTCloudRun.from_dict(run)


async def run_job(  # noqa: PLR0917  # what the public function takes
    io: IO,
    api: RunsApi,
    config: DBTCloudConfiguration,
    data: Mapping[str, Any] | None = None,
    load_info: Any = None,
    pipeline: Pipeline | None = None,
    *,
    polls: RunsApi | None = None,
) -> DBTCloudRun:
    """Does what `run_dbt_cloud_job` does."""
    load = Load.of(load_info) if load_info is not None else None
    if pipeline and load is None:
        load = await ask(io, "The destination", Load.last_of, pipeline)
    pipeline = pipeline or getattr(load_info, "pipeline", None)
    if config.notify:
        slack_hook()  # raises now rather than when there is something to tell
    call = Call(io, api, config, display_of(config.progress, pipeline), polls)
    async with call.abortable():
        order = await call.order(data, load)
        if config.select_loaded or config.skip_unchanged:
            known = load_info if isinstance(load_info, LoadInfo) else pipeline
            narrows, skips = config.select_loaded, config.skip_unchanged
            order.narrowing = Narrowing(load, known, narrows=narrows, skips=skips)
        found = await call.follow(await call.start(order), order)
        while found.is_cancelled and found.id in order.covering:  # by the caller that created it
            found = await call.follow(await call.start(order), order)
        if found.is_skipped:
            return found
        found = await call.retry_failed(found)
        found.load = loaded_tables(load, pipeline)
        return await call.report(found)


async def follow_run(
    io: IO,
    api: RunsApi,
    config: DBTCloudConfiguration,
    *,
    is_own: bool = False,
    polls: RunsApi | None = None,
) -> DBTCloudRun:
    """Does what `get_dbt_cloud_run_status` does. A run of the caller's own may be cancelled."""
    run_id = required_id("run_id", config.run_id)
    call = Call(io, api, config, display_of(config.progress), polls)
    async with call.abortable():
        found = await first_read(call.io, api, run_id, call.limits)
        call.watch.saw(found)
        call.watch.is_own = is_own
        return await call.report(await call.follow(found))


async def follow_runs(
    io: IO,
    api: RunsApi,
    config: DBTCloudConfiguration,
    runs: Iterable[Mapping[str, Any] | int | str],
    *,
    polls: RunsApi | None = None,
) -> list[DBTCloudRun]:
    """Does what `wait_for_dbt_cloud_runs` does."""
    given = [_run_of(it) for it in runs]
    known = {run.id: run for run in given if isinstance(run, DBTCloudRun)}
    ids = [run.id if isinstance(run, DBTCloudRun) else required_id("run_id", run) for run in given]
    call = Call(io, api, config, display_of(config.progress), polls)
    new = await first_reads(call.io, api, [i for i in ids if i not in known], call.limits)
    finished = await call.follow_many({**known, **new})
    await io.sleep(0)  # raises for a signal that came last
    return DBTCloudRuns(finished[run_id] for run_id in ids)
