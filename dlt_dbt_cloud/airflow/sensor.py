"""Waits for a dbt Cloud run as a task of Airflow."""

from collections.abc import Mapping
from typing import Any

from dlt_dbt_cloud.airflow._compat import BaseSensorOperator, Context, PokeReturnValue
from dlt_dbt_cloud.airflow._settings import SETTINGS
from dlt_dbt_cloud.airflow._waiting import WaitsForRun, as_json, takes_settings
from dlt_dbt_cloud.jobs import get_dbt_cloud_run_status
from dlt_dbt_cloud.run import DBTCloudRun


class DBTCloudRunSensor(WaitsForRun, BaseSensorOperator):  # type: ignore[misc]  # Airflow's is Any
    """Waits for a dbt Cloud run that another task or somebody else has started.

    Args:
        run_id: The run: its id, or what `DBTCloudRunJobOperator` returns.
        dbt_cloud_conn_id: A connection of type `dbt_cloud`, instead of dlt's providers.
        deferrable: Whether to wait in the triggerer.
        raise_on_failure: Whether a run that did not succeed fails the task.
        cancel_on_abort: Whether ending the task, by hand or by a time limit, cancels the run.
        kwargs: Further settings, and the arguments of every sensor.
    """

    template_fields = ("dbt_cloud_conn_id", "run_id", *SETTINGS)
    ui_color = "#ff694a"

    @takes_settings
    def __init__(self, *, run_id: Any, cancel_on_abort: bool = False, **kwargs: Any) -> None:
        super().__init__(cancel_on_abort=cancel_on_abort, **kwargs)
        self.run_id = run_id

    def execute(self, context: Context) -> Any:
        """Waits for the run."""
        found = self._read() if self.deferrable else None
        if found is None:
            return super().execute(context)
        if found.in_progress:
            limit = self.config(run_id=self._id, wait_timeout=self.timeout)
            self.defer_to_trigger(limit, found.id)
        return self._result(found)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Returns the run after the wait in the triggerer."""
        del context
        return self._result(self.result_of(event))

    def poke(self, context: Context) -> PokeReturnValue:
        """Returns whether the run has finished, and the run."""
        del context
        found = self._read()
        return PokeReturnValue(found.is_complete, self._result(found))

    @property
    def _id(self) -> str:
        given = self.run_id
        return str(given["id"] if isinstance(given, Mapping) else given)

    def _read(self) -> DBTCloudRun:
        config = self.config(run_id=self._id)
        if config.cancel_on_abort:
            self.own_run = config
        return get_dbt_cloud_run_status(config, wait_for_outcome=False, raise_on_failure=False)

    def _result(self, run: DBTCloudRun) -> Any:
        if run.is_complete and self.config(run_id=self._id).raise_on_failure:
            run.raise_on_failure()
        return as_json(run)
