"""Watch a run and its retries to the end, and leave no doubt where it is when the watch ends."""

from dlt.common.runtime import signals

from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudHTTPException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud.log import logger
from dlt_dbt_cloud.outcome import with_outcome
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.wait import wait_for_run

CANCEL_ATTEMPTS = 3


class Watch:
    """Watches one run, and the retries that continue it.

    Args:
        client: The client.
        config: The waiting policy.
        run: The run as last seen.
        is_own: Whether this call has triggered it. Another's run is never cancelled.
    """

    def __init__(
        self,
        client: DBTCloudClientV2,
        config: DBTCloudConfiguration,
        run: DBTCloudRun,
        *,
        is_own: bool,
    ) -> None:
        self.client = client
        self.config = config
        self.run = run
        self.is_own = is_own
        self.deadline = client.timer.now() + config.wait_timeout

    def conclude(self) -> DBTCloudRun:
        """Returns the run, ended if the configuration says so.

        Raises:
            DBTCloudWaitException: The wait ended before the run did.
            DBTCloudRunException: With `raise_on_failure`, the run did not succeed.
        """
        try:
            if self.config.wait_for_outcome:
                self._wait_for_all()
            if self.run.is_complete:
                self._tell_outcome()
            else:
                logger.info(self._whereabouts())
        except (KeyboardInterrupt, SystemExit, DBTCloudWaitTimeoutException):
            self._abort()
            logger.warning(self._whereabouts())
            raise
        except Exception:
            logger.warning(self._whereabouts())
            raise
        return self.run

    def _wait_for_all(self) -> None:
        self._wait()
        for _ in range(self.config.retry_failed):
            if not (self.run.is_error and self._retry()):
                break
            self._wait()
        signals.raise_if_signalled()

    def _wait(self) -> None:
        def poll() -> DBTCloudRun:
            self.run = self.client.poll_run(self.run.id)
            return self.run

        wait_for_run(
            poll,
            self.run,
            timer=self.client.timer,
            deadline=self.deadline,
            wait_seconds=self.config.wait_seconds,
            outage_timeout=self.config.outage_timeout,
            is_new=self.is_own,
        )

    def _retry(self) -> bool:
        """Continues the failed run from its failed step, where the API can."""
        if not self.run.get("can_retry"):
            reason = self.run.get("retry_not_supported_reason") or "the API gives no reason"
            logger.warning("Run %d can't be retried: %s", self.run.id, reason)
            return False
        try:
            retried, self.run = self.run, self.client.retry_run(self.run.id)
        except DBTCloudHTTPException as error:
            logger.warning("Run %d was not retried: %s", self.run.id, error)
            return False
        self.is_own = True
        logger.warning("Run %d failed and is continued by run %d.", retried.id, self.run.id)
        return True

    def _tell_outcome(self) -> None:
        self.run = with_outcome(self.client, self.run)
        if self.config.raise_on_failure:
            self.run.raise_on_failure()
        if self.run.is_success:
            logger.info("%s", self.run)
        else:
            logger.error("%s", self.run)

    def _abort(self) -> None:
        """Cancels the run, if that is wanted and it is our own."""
        if not (self.config.cancel_on_abort and self.is_own and self.run.in_progress):
            return
        for _ in range(CANCEL_ATTEMPTS):
            try:
                self.run = self.client.cancel_run(self.run.id)
            except DBTCloudAPIException as error:
                logger.error("Run %d was not cancelled: %s", self.run.id, error)
            else:
                logger.warning("Run %d is cancelled.", self.run.id)
                break

    def _whereabouts(self) -> str:
        run = self.run
        return (
            f"dbt Cloud run {run.id} ({run.status_name}): {run.url} To reattach:"
            f" get_dbt_cloud_run_status(run_id={run.id})"
        )
