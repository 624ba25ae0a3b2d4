"""What the operator and the sensor share: settings, and the wait in the triggerer."""

import time
from collections.abc import Mapping
from typing import Any

from dlt_dbt_cloud.airflow._settings import SETTINGS, log_to_task, resolve
from dlt_dbt_cloud.airflow.trigger import DBTCloudRunTrigger, cancel
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.exceptions import DBTCloudException
from dlt_dbt_cloud.jobs import get_dbt_cloud_run_status
from dlt_dbt_cloud.run import DBTCloudRun


class WaitsForRun:
    """Part of an operator that waits for a run. Its settings are attributes, so templates work."""

    dbt_cloud_conn_id: str | None
    execution_timeout: Any
    own_run: DBTCloudConfiguration | None = None
    """How to cancel the run, if this task may."""

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Sets all settings as attributes, None if they were not given."""
        for name in SETTINGS:
            setattr(self, name, settings.get(name))

    def config(self, **more: Any) -> DBTCloudConfiguration:
        """Returns all settings, once the templates are rendered."""
        log_to_task()
        settings = {name: getattr(self, name) for name in SETTINGS}
        return resolve({**settings, **more}, self.dbt_cloud_conn_id, self.pipeline_name)

    @property
    def pipeline_name(self) -> str | None:
        """The pipeline whose section of the settings wins."""
        return None

    def defer_to_trigger(self, config: DBTCloudConfiguration, run_id: int) -> None:
        """Ends this process. Airflow goes on with `execute_complete` when the wait is over."""
        limit = self.execution_timeout
        seconds = min(config.wait_timeout, limit.total_seconds() if limit else float("inf"))
        trigger = DBTCloudRunTrigger(
            run_id,
            time.time() + seconds,
            config,
            cancels=config.cancel_on_abort,
            dbt_cloud_conn_id=self.dbt_cloud_conn_id,
            pipeline_name=self.pipeline_name,
        )
        self.defer(trigger=trigger, method_name="execute_complete")  # type: ignore[attr-defined]

    def result_of(self, event: Mapping[str, Any]) -> DBTCloudRun:
        """Returns the finished run, with what has failed in it.

        Raises:
            DBTCloudException: The wait ended before the run did.
        """
        if event["error"]:
            raise DBTCloudException(event["error"])
        config = self.config(run_id=str(event["run_id"]))
        return get_dbt_cloud_run_status(config, raise_on_failure=False)

    def on_kill(self) -> None:
        """Cancels the run."""
        if self.own_run:
            cancel(self.own_run)


def as_json(run: DBTCloudRun) -> dict[str, Any]:
    """Returns a run for other tasks, without its logs: they may be large, and are in the log."""
    steps = [{k: v for k, v in step.items() if "logs" not in k} for step in run.steps]
    return {**run, "run_steps": steps}
