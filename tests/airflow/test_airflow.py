"""The operator, the sensor and the trigger, in Airflow itself."""

import asyncio
import inspect
import json
import logging
import time
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any
from unittest.mock import Mock

import pytest
from airflow import DAG
from airflow.exceptions import TaskDeferred

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudRun
from dlt_dbt_cloud.airflow import (
    DBTCloudRunJobOperator,
    DBTCloudRunLink,
    DBTCloudRunSensor,
    DBTCloudRunTrigger,
    get_provider_info,
)
from dlt_dbt_cloud.airflow._settings import SETTINGS, log_to_task, resolve
from dlt_dbt_cloud.airflow.trigger import OF_A_WAIT
from dlt_dbt_cloud.local import Fault, LocalDBTCloud
from tests.engines.cloud import connection

RunDag = Callable[..., Any]


def result(dag_run: Any, key: str = "return_value") -> Any:
    """Returns what the only task has pushed."""
    (task,) = dag_run.get_task_instances()
    return task.xcom_pull(task_ids=task.task_id, key=key, map_indexes=task.map_index)


def triggers(cloud: LocalDBTCloud) -> list[dict[str, Any]]:
    """Returns the bodies of the trigger requests."""
    return [json.loads(r.body) for r in cloud.requests if r.path.endswith("/run/")]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_run_for_others(cloud: LocalDBTCloud, run_dag: RunDag, deferrable: bool) -> None:
    """A task triggers one run, and pushes it as JSON without logs, its id and its URL."""
    dag_run = run_dag(
        lambda: DBTCloudRunJobOperator(task_id="job", job_name="Good", deferrable=deferrable)
    )
    assert dag_run.state == "success"
    assert len(triggers(cloud)) == 1
    run = DBTCloudRun.from_dict(json.loads(json.dumps(result(dag_run))))
    assert run.is_success
    assert "logs" not in run.steps[0]
    assert result(dag_run, "job_run_id") == run.id
    assert result(dag_run, "job_run_url") == run.url


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failure(
    cloud: LocalDBTCloud, run_dag: RunDag, deferrable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed run fails the task, and the log names the failed nodes."""
    dag_run = run_dag(
        lambda: DBTCloudRunJobOperator(task_id="job", job_name="Bad", deferrable=deferrable)
    )
    assert dag_run.state == "failed"
    assert "revenue: no number" in caplog.text


def test_a_failure_that_is_no_error(cloud: LocalDBTCloud, run_dag: RunDag) -> None:
    """Without `raise_on_failure` the task succeeds, and returns the failed run."""
    dag_run = run_dag(
        lambda: DBTCloudRunJobOperator(task_id="job", job_name="Bad", raise_on_failure=False)
    )
    assert dag_run.state == "success"
    assert DBTCloudRun(result(dag_run)).is_error


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failed_run_is_retried(cloud: LocalDBTCloud, run_dag: RunDag, deferrable: bool) -> None:
    """With `retry_failed` a failed run is continued from its failed step, not triggered again."""
    run_dag(
        lambda: DBTCloudRunJobOperator(
            task_id="job", job_name="Bad", retry_failed=2, deferrable=deferrable
        )
    )
    assert len(triggers(cloud)) == 1
    assert sum(r.path.endswith("/retry/") and r.method == "POST" for r in cloud.requests) == 2


def test_templates(cloud: LocalDBTCloud, run_dag: RunDag) -> None:
    """Each setting may be a template, whatever its type."""
    run_dag(
        lambda: DBTCloudRunJobOperator(
            task_id="job",
            job_name="{{ params.name }}",
            schema_override="{{ params.schema }}",
            threads_override="{{ params.threads }}",
            wait_seconds="{{ params.pause }}",
            generate_docs_override="{{ params.docs }}",
            steps_override=["dbt build --select {{ params.name }}"],
            git_branch="{{ '' }}",
        ),
        name="Good",
        schema="s",
        threads=3,
        pause=0.5,
        docs=True,
    )
    (body,) = triggers(cloud)
    del body["cause"]
    assert body == {
        "schema_override": "s",
        "threads_override": 3,
        "generate_docs_override": True,
        "steps_override": ["dbt build --select Good"],
    }


def test_all_settings_are_arguments() -> None:
    """Every setting but the token is an argument and a templated field."""
    for operator in (DBTCloudRunJobOperator, DBTCloudRunSensor):
        assert set(SETTINGS) <= set(inspect.signature(operator.__init__).parameters)
        assert set(SETTINGS) <= set(operator.template_fields)
    assert "api_token" not in SETTINGS


def test_mapped_tasks(cloud: LocalDBTCloud, run_dag: RunDag) -> None:
    """Mapped tasks have a run each."""
    dag_run = run_dag(
        lambda: DBTCloudRunJobOperator.partial(task_id="job", job_name="Good").expand(
            schema_override=["a", "b"]
        )
    )
    assert dag_run.state == "success"
    assert {body["schema_override"] for body in triggers(cloud)} == {"a", "b"}


def test_load_of_another_task(cloud: LocalDBTCloud, run_dag: RunDag) -> None:
    """The load that another task returns is in the cause of the run."""
    load = {"pipeline_name": "shop", "dataset_name": "sales", "loads_ids": ["1700000000.1"]}
    run_dag(lambda: DBTCloudRunJobOperator(task_id="job", job_name="Good", load_info=load))
    (body,) = triggers(cloud)
    assert "dlt pipeline shop loaded dataset sales: 1700000000.1" in body["cause"]


def test_connection(cloud: LocalDBTCloud, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection of the official provider has the account, the token and the host."""
    for name in ("API_TOKEN", "ACCOUNT_ID", "BASE_API_URL"):
        monkeypatch.delenv(f"DBT_CLOUD__{name}")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", connection(cloud, cloud.url))
    dag_run = run_dag(
        lambda: DBTCloudRunJobOperator(task_id="job", job_name="Good", dbt_cloud_conn_id="shop")
    )
    assert dag_run.state == "success"


def test_without_waiting_the_sensor_waits(cloud: LocalDBTCloud, run_dag: RunDag) -> None:
    """A sensor waits for the run that an operator has only started."""

    def make() -> None:
        started = DBTCloudRunJobOperator(task_id="job", job_name="Good", wait_for_outcome=False)
        DBTCloudRunSensor(task_id="wait", run_id=started.output, poke_interval=0.1)

    dag_run = run_dag(make)
    assert dag_run.state == "success"
    waited = dag_run.get_task_instance("wait").xcom_pull(task_ids="wait")
    assert DBTCloudRun(waited).is_success


@pytest.mark.parametrize("deferrable", [False, True])
def test_sensor_of_a_failed_run(cloud: LocalDBTCloud, run_dag: RunDag, deferrable: bool) -> None:
    """A run that fails fails the sensor."""
    job_id = cloud.settings("Bad")["job_id"]
    run_id = DBTCloudClientV2().post_run(job_id, {"cause": "a test"}).id
    dag_run = run_dag(
        lambda: DBTCloudRunSensor(
            task_id="wait", run_id=run_id, poke_interval=0.1, deferrable=deferrable
        )
    )
    assert dag_run.state == "failed"


def test_log(
    cloud: LocalDBTCloud,
    run_dag: RunDag,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The steps of the run are in the log of the task as INFO, and nothing of ours on stderr."""
    logging.getLogger("dlt").addHandler(logging.StreamHandler())  # as dlt does when it starts
    run_dag(lambda: DBTCloudRunJobOperator(task_id="job", job_name="Good"))
    ours = [it for it in caplog.records if it.name == "dlt.dbt_cloud"]
    assert any("Invoke dbt with `dbt build`" in it.getMessage() for it in ours)
    assert {it.levelname for it in ours} == {"INFO"}
    assert "of job Good: Success" not in capfd.readouterr().err


def test_log_before_dlt_starts(caplog: pytest.LogCaptureFixture) -> None:
    """Our log stays at INFO when dlt starts later than the task, and sets its own level."""
    caplog.set_level(logging.INFO)  # of the root logger, as Airflow does
    ours = logging.getLogger("dlt.dbt_cloud")
    ours.setLevel(logging.NOTSET)
    log_to_task()
    logging.getLogger("dlt").setLevel(logging.WARNING)
    assert ours.isEnabledFor(logging.INFO)


def test_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """The link of the operator is known to Airflow, and leads to the page of the run."""
    (path,) = get_provider_info()["extra-links"]
    assert resolve_name(path) is DBTCloudRunLink
    with DAG("links", schedule=None):
        operator = DBTCloudRunJobOperator(task_id="job")
    assert [link.name for link in operator.operator_extra_links] == ["dbt Cloud run"]
    place = "dlt_dbt_cloud.airflow.operator.XCom.get_value"
    monkeypatch.setattr(place, lambda key, ti_key: f"{key} of {ti_key}")
    assert DBTCloudRunLink().get_link(operator, ti_key="it") == "job_run_url of it"


def endless(cloud: LocalDBTCloud, *, seconds: float, cancels: bool = True) -> DBTCloudRunTrigger:
    """Returns the trigger of a run that does not end."""
    run = DBTCloudClientV2().post_run(cloud.settings("Endless")["job_id"], {"cause": "a test"})
    config = resolve({"run_id": str(run.id), "wait_seconds": 0.1}, None)
    return DBTCloudRunTrigger(run.id, time.time() + seconds, config, cancels=cancels)


def is_cancelled(trigger: DBTCloudRunTrigger) -> bool:
    """Returns whether the run of a trigger is cancelled."""
    return DBTCloudClientV2().get_run_status(trigger.run_id).is_cancelled


async def event_of(trigger: DBTCloudRunTrigger) -> dict[str, Any]:
    """Returns the event of a trigger."""
    async for event in trigger.run():
        payload: dict[str, Any] = event.payload
        return payload
    raise AssertionError


def test_trigger_is_stored_without_the_token(cloud: LocalDBTCloud) -> None:
    """What Airflow stores of a trigger makes it again, and holds no token."""
    trigger = endless(cloud, seconds=1)
    path, arguments = trigger.serialize()
    assert path == "dlt_dbt_cloud.airflow.trigger.DBTCloudRunTrigger"
    again = DBTCloudRunTrigger(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()
    assert cloud.settings()["api_token"] not in json.dumps(arguments)
    assert set(arguments["settings"]) == set(OF_A_WAIT)


@pytest.mark.parametrize("cancels", [True, False])
def test_deadline_cancels(cloud: LocalDBTCloud, cancels: bool) -> None:
    """At the deadline the trigger fires an error, and cancels the run if it may."""
    trigger = endless(cloud, seconds=0.5, cancels=cancels)
    event = asyncio.run(event_of(trigger))
    assert f"dbt Cloud run {trigger.run_id}" in event["error"]
    assert (f"Cancelled dbt Cloud run {trigger.run_id}" in event["error"]) is cancels
    assert is_cancelled(trigger) is cancels


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("reuses", [False, True])
def test_runs_of_others_are_not_cancelled(reuses: bool) -> None:
    """A task that may wait for a run of another never cancels it, in the triggerer either."""
    operator = DBTCloudRunJobOperator(
        task_id="job", job_name="Endless", reuse_queued=reuses, deferrable=True
    )
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute({"ti": Mock()})
    assert deferred.value.trigger.serialize()[1]["cancels"] is not reuses
    assert (operator.own_run is None) is reuses


def test_end_of_the_triggerer_cancels_nothing(cloud: LocalDBTCloud) -> None:
    """A trigger that ends with its triggerer leaves the run; that of a killed task does not."""
    trigger = endless(cloud, seconds=60)

    async def die() -> None:
        task = asyncio.create_task(event_of(trigger))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(die())
    assert not is_cancelled(trigger)
    asyncio.run(trigger.on_kill())
    assert is_cancelled(trigger)


def test_bad_polls(cloud: LocalDBTCloud) -> None:
    """No bad poll ends a wait, and an unreadable run is an event with what to do, no exception."""
    job_id = cloud.settings("Good")["job_id"]
    run = DBTCloudClientV2().post_run(job_id, {"cause": "a test"})
    config = resolve({"run_id": str(run.id), "wait_seconds": 0.1}, None)
    trigger = DBTCloudRunTrigger(run.id, time.time() + 60, config, cancels=True)
    cloud.fail_next(Fault.answer(500), "/runs/", times=1)
    assert asyncio.run(event_of(trigger)) == {"run_id": run.id, "error": ""}
    cloud.fail_next(Fault.answer(401), "/runs/", seconds=60)
    assert "401" in asyncio.run(event_of(trigger))["error"]
