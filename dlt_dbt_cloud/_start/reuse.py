"""Share a queued run: many loads, one run that has not started yet and will see them all.

A run that waits in the queue of its job will see all data that is loaded by now, so that a second
one behind it would do the same work again. A run that has started may have missed the data, so it
is never shared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dlt.common.exceptions import SignalReceivedException

from dlt_dbt_cloud.configuration import TRIGGER_FIELDS
from dlt_dbt_cloud.exceptions import DBTCloudAPIException
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.timing import Timer

SETTLE_PAUSES: Final = (0.0, 1.0, 2.0)
"""Seconds before each look for an older queued run, which the list may show only late."""


def overrides(trigger: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a trigger makes different from the job, of a request or of a run."""
    fields = (name for name in TRIGGER_FIELDS if name != "cause")
    return {name: trigger[name] for name in fields if trigger.get(name) not in (None, "", [])}


@dataclass
class QueuedRuns:
    """The queued runs of a job that build the same, for one load.

    Attributes:
        queued: Reads the queued runs, the oldest first.
        read: Reads the runs of these ids.
        trigger: Creates a run for this load.
        cancel: Cancels the run of an id.
        timer: Clock and sleep.
        seen: Ids of runs that were seen in the queue, and so cover the load.
    """

    queued: Callable[[], list[DBTCloudRun]]
    read: Callable[[list[int]], list[DBTCloudRun]]
    trigger: Callable[[], DBTCloudRun]
    cancel: Callable[[int], Any]
    timer: Timer
    seen: set[int] = field(default_factory=set)

    def join(self) -> tuple[DBTCloudRun, bool]:
        """Returns a run that covers the load, and whether it was triggered for it.

        A run that was joined may be cancelled by the call that has triggered it, in favour of an
        older one, and rarely just after it has started. Then join again.
        """
        run = self._joined()
        if run is not None:
            logger.info("Run %d is queued and will see the load: %s", run.id, run.url)
            return run, False
        own = self.trigger()
        try:
            return self._settled(own)
        except DBTCloudAPIException as error:
            logger.warning("Whether run %d is the only queued one was not seen. %s", own.id, error)
        except SignalReceivedException:
            pass  # the watch ends at once, and tells where the run is
        return own, True

    def _joined(self) -> DBTCloudRun | None:
        queued = self._look()
        if not self.seen - {run.id for run in queued}:
            return queued[0] if queued else None
        covering = [run for run in self.read(sorted(self.seen)) if _is_of_use(run)]
        return min(covering, key=lambda run: run.id, default=None)

    def _settled(self, own: DBTCloudRun) -> tuple[DBTCloudRun, bool]:
        """Settles on the oldest of several runs that were triggered at the same moment."""
        for pause in SETTLE_PAUSES:
            self.timer.sleep(pause)
            queued = self._look()
            older = [run for run in queued if run.id < own.id]
            if older and self._both_queued(own, older[0]):
                self._cancel(own, older[0])
                return older[0], False
            if all(run.id != own.id for run in queued) and self._has_started(own):
                break
        return own, True

    def _cancel(self, own: DBTCloudRun, older: DBTCloudRun) -> None:
        try:
            self.cancel(own.id)
            logger.info("Run %d was cancelled in favour of run %d.", own.id, older.id)
        except DBTCloudAPIException as error:  # the older one covers the load in any case
            logger.warning("Whether run %d was cancelled is not known: %s", own.id, error)

    def _has_started(self, own: DBTCloudRun) -> bool:
        return any(not run.is_queued for run in self.read([own.id]))

    def _both_queued(self, own: DBTCloudRun, older: DBTCloudRun) -> bool:
        runs = self.read([own.id, older.id])
        return len(runs) > 1 and all(run.is_queued for run in runs)

    def _look(self) -> list[DBTCloudRun]:
        queued = self.queued()
        self.seen.update(run.id for run in queued)
        return queued


def _is_of_use(run: DBTCloudRun) -> bool:
    return run.in_progress or run.is_success
