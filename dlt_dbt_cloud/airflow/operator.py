"""Runs a dbt Cloud job as a task of Airflow."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from dlt_dbt_cloud._call import follow_run
from dlt_dbt_cloud._call.execute import execute
from dlt_dbt_cloud.airflow._compat import BaseOperator, BaseOperatorLink, Context, XCom
from dlt_dbt_cloud.airflow._settings import SETTINGS
from dlt_dbt_cloud.airflow._waiting import WaitsForRun, as_json, takes_settings
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.jobs import run_dbt_cloud_job
from dlt_dbt_cloud.run import DBTCloudRun


class DBTCloudRunLink(BaseOperatorLink):  # type: ignore[misc]  # Airflow is not always installed
    """Links the task to the page of its run."""

    name = "dbt Cloud run"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Returns the URL of the run, an empty text until there is one."""
        del operator
        return XCom.get_value(key="job_run_url", ti_key=ti_key) or ""


class DBTCloudRunJobOperator(WaitsForRun, BaseOperator):  # type: ignore[misc]  # as above
    """Runs a dbt Cloud job exactly once for each task instance, and waits for its run.

    A retry of the task finds the run of the earlier try. If that is in progress, the task waits for
    it; if it succeeded, the task returns it; if it failed or was cancelled, the job runs anew. A
    cleared task runs anew too.

    All settings of `run_dbt_cloud_job` except the token are arguments, and templated. Those that
    you don't pass are looked up as everywhere in this package. Three defaults differ: `run_key` is
    `auto`, a run that does not succeed fails the task, and ending the task, by hand or by a time
    limit, cancels the run.

    It returns the run, and pushes `job_run_id` and `job_run_url` as soon as there is a run.

    Args:
        load_info: The load that the job transforms, from another task: `load_ref(load_info)`.
        run_key: The identity of the run, by default that of the task instance.
        dbt_cloud_conn_id: A connection of type `dbt_cloud`, instead of dlt's providers.
        deferrable: Whether to wait in the triggerer.
        raise_on_failure: Whether a run that did not succeed fails the task.
        cancel_on_abort: Whether ending the task, by hand or by a time limit, cancels the run.
        kwargs: Further settings, and the arguments of every operator.
    """

    template_fields = ("dbt_cloud_conn_id", "load_info", *SETTINGS)
    operator_extra_links = (DBTCloudRunLink(),)
    ui_color = "#ff694a"

    @takes_settings
    def __init__(
        self,
        *,
        load_info: Any = None,
        run_key: str = "auto",
        cancel_on_abort: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(run_key=run_key, cancel_on_abort=cancel_on_abort, **kwargs)
        self.load_info = load_info

    @property
    def pipeline_name(self) -> str | None:
        """The pipeline that has loaded."""
        return self.load_info.get("pipeline_name") if isinstance(self.load_info, Mapping) else None

    def execute(self, context: Context) -> Any:
        """Runs the job."""
        config = self.config()
        started = self._run(config, wait_for_outcome=False, raise_on_failure=False)
        context["ti"].xcom_push(key="job_run_id", value=started.id)
        context["ti"].xcom_push(key="job_run_url", value=started.url)
        if not config.wait_for_outcome:
            return as_json(started)
        if self.deferrable and started.in_progress:
            if config.cancel_on_abort and not config.reuse_queued:  # else it may be another's
                self.own_run = self.config(run_id=str(started.id))
            self.defer_to_trigger(config, started.id)
        return self._finish(config, self._wait(config, started))

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Returns the run after the wait in the triggerer."""
        del context
        return self._finish(self.config(), self.result_of(event))

    def _run(self, config: DBTCloudConfiguration, **more: Any) -> DBTCloudRun:
        return run_dbt_cloud_job(config, load_info=self.load_info, **more)

    def _wait(self, config: DBTCloudConfiguration, run: DBTCloudRun) -> DBTCloudRun:
        """Returns the finished run. With `cancel_on_abort`, a signal cancels it."""
        config = self.config(run_id=str(run.id), raise_on_failure=False)
        program = partial(follow_run, is_own=not config.reuse_queued)
        return execute(program, config, None)

    def _finish(self, config: DBTCloudConfiguration, run: DBTCloudRun) -> Any:
        """Returns the finished run, or the one that continues it from its failed step."""
        if run.is_error and config.retry_failed:
            run = self._run(config, raise_on_failure=False)
        if config.raise_on_failure:
            run.raise_on_failure()
        return as_json(run)
