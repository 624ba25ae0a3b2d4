"""The base of the operator and the sensor: settings, and the wait in the triggerer."""

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from dlt_dbt_cloud.airflow._compat import DEFERRABLE
from dlt_dbt_cloud.airflow._settings import SETTINGS, log_to_task, resolve
from dlt_dbt_cloud.airflow.trigger import DBTCloudRunTrigger, cancel
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.exceptions import DBTCloudException
from dlt_dbt_cloud.jobs import get_dbt_cloud_run_status
from dlt_dbt_cloud.run import DBTCloudRun

P = ParamSpec("P")
T = TypeVar("T")


class WaitsForRun:
    """Part of an operator that waits for a run. Its settings are attributes, so templates work."""

    execution_timeout: Any
    own_run: DBTCloudConfiguration | None = None
    """Settings with which to cancel the run, None if this task may not."""

    def __init__(
        self,
        *,
        dbt_cloud_conn_id: str | None = None,
        deferrable: bool = DEFERRABLE,
        raise_on_failure: bool = True,
        **kwargs: Any,
    ) -> None:
        settings = {name: kwargs.pop(name, None) for name in SETTINGS}
        super().__init__(**kwargs)
        for name, value in {**settings, "raise_on_failure": raise_on_failure}.items():
            setattr(self, name, value)
        self.dbt_cloud_conn_id = dbt_cloud_conn_id
        self.deferrable = deferrable

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
        """Ends this process. Airflow calls `execute_complete` when the wait is over."""
        limit = self.execution_timeout
        seconds = min(config.wait_timeout, limit.total_seconds() if limit else float("inf"))
        trigger = DBTCloudRunTrigger(
            run_id,
            time.time() + seconds,
            config,
            cancels=self.own_run is not None,
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


def takes_settings(init: Callable[P, T]) -> Callable[P, T]:
    """Adds the shared arguments to the signature of an `__init__`: Airflow and `help()` read it."""
    settings = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in SETTINGS
    }
    shared, own = inspect.signature(WaitsForRun.__init__), inspect.signature(init)
    parameters = {**settings, **shared.parameters, **own.parameters}.values()
    in_order = sorted(parameters, key=lambda parameter: parameter.kind)
    init.__signature__ = own.replace(parameters=in_order)  # type: ignore[attr-defined]
    return init
