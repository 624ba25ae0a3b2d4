"""Watch a run and its retries to the end, and leave no doubt where it is when the watch ends."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from dlt.common.pipeline import LoadInfo
from dlt.common.runtime import signals
from dlt.common.runtime.collector_base import Collector

from dlt_dbt_cloud._follow.history import usual_times
from dlt_dbt_cloud._follow.progress import Progress, collector_of
from dlt_dbt_cloud._follow.schedule import UsualTimes
from dlt_dbt_cloud._follow.wait import Wait
from dlt_dbt_cloud._report.outcome import with_outcome
from dlt_dbt_cloud._start.begin import Started, find_job_id, start_run
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration, required_id
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun

CANCEL_ATTEMPTS: Final = 3


def run_job(
    client: DBTCloudClientV2,
    config: DBTCloudConfiguration,
    data: Mapping[str, Any] | None = None,
    load_info: LoadInfo | None = None,
) -> DBTCloudRun:
    """Does what `run_dbt_cloud_job` does."""
    if load_info is not None:
        load_info.raise_on_failed_jobs()
    request = config.trigger_request(data)
    started = start_run(client, config, find_job_id(client, config), request, load_info)
    return Watch(client, config, started, collector_of(load_info)).conclude()


def watch_run(client: DBTCloudClientV2, config: DBTCloudConfiguration) -> DBTCloudRun:
    """Does what `get_dbt_cloud_run_status` does."""
    run = client.get_run_status(required_id("run_id", config.run_id))
    return Watch(client, config, Started(run, is_own=False), collector_of()).conclude()


def watch_runs(
    client: DBTCloudClientV2,
    config: DBTCloudConfiguration,
    runs: Iterable[DBTCloudRun | int | str],
) -> list[DBTCloudRun]:
    """Does what `wait_for_dbt_cloud_runs` does."""
    given = list(runs)
    known = {run.id: run for run in given if isinstance(run, DBTCloudRun)}
    ids = [run.id if isinstance(run, DBTCloudRun) else required_id("run_id", run) for run in given]
    read = {run.id: run for run in client.poll_runs_by_id([i for i in ids if i not in known])}
    known = {**read, **known}
    # One that is not in the list is asked for by itself: the API's answer says why.
    found = [known.get(run_id) or client.get_run_status(run_id) for run_id in ids]
    return watch_all(client, config, found, collector_of())


def watch_all(
    client: DBTCloudClientV2,
    config: DBTCloudConfiguration,
    runs: list[DBTCloudRun],
    collector: Collector | None = None,
) -> list[DBTCloudRun]:
    """Returns the runs, in the same order, when all of them have ended.

    A run that fails does not keep the others from being watched; each is logged as it ends.

    Raises:
        DBTCloudWaitException: The wait ended before all runs did.
        DBTCloudRunException: With `raise_on_failure`, a run did not succeed: the first of them.
    """
    latest = {run.id: run for run in runs}

    def look(run: DBTCloudRun) -> None:
        latest[run.id] = run

    wait = Wait(
        poll=client.poll_runs_by_id,
        timer=client.timer,
        deadline=client.timer.now() + config.wait_timeout,
        wait_seconds=config.wait_seconds,
        outage_timeout=config.outage_timeout,
        on_look=look,
    )
    try:
        with Progress(collector, "dbt Cloud runs", client.timer) as progress:
            for run in wait.ended(list(latest.values())):
                latest[run.id] = _told(with_outcome(client, run) if not run.is_success else run)
                progress.show_ended(1, len(latest))
        signals.raise_if_signalled()
    except BaseException:
        going_on = [run.id for run in latest.values() if run.in_progress]
        logger.warning("To reattach: wait_for_dbt_cloud_runs(%s)", going_on)
        raise
    if config.raise_on_failure:
        for run in latest.values():
            run.raise_on_failure()
    return [latest[run.id] for run in runs]


def _told(run: DBTCloudRun) -> DBTCloudRun:
    logger.log(logging.INFO if run.is_success else logging.ERROR, "%s", run)
    return run


class Watch:
    """Watches one run, and the retries that continue it.

    Args:
        client: The client.
        config: The waiting policy.
        started: The run.
        collector: What shows the progress, None to show none.
    """

    def __init__(
        self,
        client: DBTCloudClientV2,
        config: DBTCloudConfiguration,
        started: Started,
        collector: Collector | None = None,
    ) -> None:
        self.client = client
        self.config = config
        self.run, self.is_own, self.rejoin = started
        self.collector = collector
        self.deadline = client.timer.now() + config.wait_timeout

    def conclude(self) -> DBTCloudRun:
        """Returns the run, ended if the configuration says so.

        Raises:
            DBTCloudWaitException: The wait ended before the run did.
            DBTCloudRunException: With `raise_on_failure`, the run did not succeed.
        """
        with self._telling_where_it_is():
            if self.config.wait_for_outcome:
                self._wait()
                self._rejoin_while_cancelled()
                self._retry_while_failed()
            if self.run.is_complete:
                self._tell_outcome()
            else:
                logger.info("%s", self._whereabouts())
            signals.raise_if_signalled()
        return self.run

    @contextmanager
    def _telling_where_it_is(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit | DBTCloudWaitTimeoutException):
                self._cancel_if_wanted()
            logger.warning("%s", self._whereabouts())
            raise

    def _wait(self) -> None:
        if self.run.is_complete:
            return
        usual = usual_times(self.client, self.run)
        title = f"dbt Cloud job {self.run.job_name}"
        with Progress(self.collector, title, self.client.timer, usual) as progress:

            def look(run: DBTCloudRun) -> None:
                self.run = run
                progress.show(run)

            look(self.run)
            (self.run,) = self._new_wait(usual, look).ended([self.run])
        self.run.usual = usual
        signals.raise_if_signalled()  # one that came with the last look

    def _new_wait(self, usual: UsualTimes | None, look: Callable[[DBTCloudRun], None]) -> Wait:
        # Steps make an answer heavy: they are asked for where somebody sees them.
        has_viewer = self.collector or logger.isEnabledFor(logging.INFO)
        related = ("run_steps",) if has_viewer else ()
        # Progress is to be fresh: no look is saved.
        known = None if self.collector else usual
        return Wait(
            poll=lambda ids: [self.client.poll_run(ids[0], include_related=related)],
            timer=self.client.timer,
            deadline=self.deadline,
            wait_seconds=self.config.wait_seconds,
            outage_timeout=self.config.outage_timeout,
            is_new=self.is_own,
            usual={self.run.job_id: known},
            on_look=look,
        )

    def _rejoin_while_cancelled(self) -> None:
        """Finds another run where a shared one was cancelled, most likely by its own call."""
        while self.rejoin and not self.is_own and self.run.is_cancelled:
            self.run, self.is_own = self.rejoin()
            self._wait()

    def _retry_while_failed(self) -> None:
        for _ in range(self.config.retry_failed):
            if not (self.run.is_error and self._retry()):
                return
            self._wait()

    def _retry(self) -> bool:
        """Continues the failed run from its failed step, where the API can."""
        failed = self.run
        if not failed.get("can_retry"):
            reason = failed.get("retry_not_supported_reason") or "the API gives no reason"
            logger.warning("Run %d can't be retried: %s", failed.id, reason)
            return False
        try:
            self.run = self.client.retry_run(failed.id)
        except DBTCloudHTTPException as error:
            logger.warning("Run %d was not retried: %s", failed.id, error)
            return False
        self.is_own = True
        logger.warning("Run %d failed and is continued by run %d.", failed.id, self.run.id)
        return True

    def _tell_outcome(self) -> None:
        self.run = with_outcome(self.client, self.run)
        if self.config.raise_on_failure:
            self.run.raise_on_failure()
        _told(self.run)

    def _cancel_if_wanted(self) -> None:
        if not (self.config.cancel_on_abort and self.is_own and self.run.in_progress):
            return
        for _ in range(CANCEL_ATTEMPTS):
            try:
                self.run = self.client.cancel_run(self.run.id)
            except DBTCloudAPIException as error:
                logger.error("Run %d was not cancelled: %s", self.run.id, error)
            else:
                logger.warning("Run %d is cancelled.", self.run.id)
                return

    def _whereabouts(self) -> str:
        run = self.run
        return (
            f"dbt Cloud run {run.id} ({run.status_name}): {run.url} To reattach:"
            f" get_dbt_cloud_run_status(run_id={run.id})"
        )
