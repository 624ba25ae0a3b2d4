"""Waits for a run in Airflow's triggerer."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from dlt_dbt_cloud import _io, aio
from dlt_dbt_cloud._follow.watch import cancelled
from dlt_dbt_cloud._io.retry import RetryPolicy, retry
from dlt_dbt_cloud.airflow._compat import BaseTrigger, TriggerEvent, was_stopped
from dlt_dbt_cloud.airflow._settings import log_to_task, resolve
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudException,
    DBTCloudWaitTimeoutException,
)

CANCEL_SECONDS: Final = 20.0
"""How long to try to cancel a run while the API is unavailable."""

OF_A_WAIT: Final = (
    "account_id",
    "base_api_url",
    "wait_seconds",
    "outage_timeout",
    "request_timeout",
    "max_artifact_bytes",
)
"""Settings that a trigger carries. Airflow stores them, so the token is looked up again."""


class DBTCloudRunTrigger(BaseTrigger):  # type: ignore[misc]  # Airflow is not always installed
    """Waits for a run. Airflow may restart it elsewhere: its arguments hold all but the token.

    Args:
        run_id: The run.
        deadline: When the wait ends, in seconds since the epoch.
        settings: Settings of the wait.
        cancels: Whether the deadline, or a person who ends the task, cancels the run.
        dbt_cloud_conn_id: The connection, if there is one.
        pipeline_name: Pipeline in whose section the token may be.
    """

    def __init__(
        self,
        run_id: int,
        deadline: float,
        settings: Mapping[str, Any],
        *,
        cancels: bool,
        dbt_cloud_conn_id: str | None = None,
        pipeline_name: str | None = None,
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self.deadline = deadline
        self.settings = {name: settings[name] for name in OF_A_WAIT}
        self.cancels = cancels
        self.dbt_cloud_conn_id = dbt_cloud_conn_id
        self.pipeline_name = pipeline_name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Returns how to make it again."""
        names = ("run_id", "deadline", "settings", "cancels", "dbt_cloud_conn_id", "pipeline_name")
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event when the run has finished, or when the wait has failed."""
        log_to_task()
        event = {"run_id": self.run_id, "error": ""}
        try:
            await aio.get_dbt_cloud_run_status(
                await self._config(),
                wait_timeout=max(0.0, self.deadline - time.time()),
                raise_on_failure=False,
            )
        except asyncio.CancelledError:
            if await was_stopped(self):
                await self.on_kill()
            raise
        except DBTCloudWaitTimeoutException as error:
            event["error"] = f"{error} {await self.on_kill()}"
        except DBTCloudException as error:
            event["error"] = str(error)
        yield TriggerEvent(event)

    async def on_kill(self) -> str:
        """Cancels the run, e.g. because a person has marked the task as failed, and says so."""
        return await asyncio.to_thread(cancel, await self._config()) if self.cancels else ""

    async def _config(self) -> DBTCloudConfiguration:
        """Returns the settings. Airflow's connections can't be read in its event loop."""
        settings = {**self.settings, "run_id": str(self.run_id)}
        conn_id, pipeline_name = self.dbt_cloud_conn_id, self.pipeline_name
        return await asyncio.to_thread(resolve, settings, conn_id, pipeline_name)


def cancel(config: DBTCloudConfiguration) -> str:
    """Cancels a run, and says what became of it. Doesn't raise: the task is ending anyway."""
    io = _io.Blocking(config.request_timeout).last(CANCEL_SECONDS)
    client = DBTCloudClientV2(credentials=config)
    run_id = str(config.run_id)
    try:
        run = _io.run(retry(io, RetryPolicy(CANCEL_SECONDS), client.cancel_run, run_id))
        text = cancelled(run)
    except DBTCloudAPIException as error:
        text = f"Couldn't cancel dbt Cloud run {run_id}. {error}"
    _io.logger.warning("%s", text)
    return text
