"""What a user's type checker sees: mypy reads this file in `make types`, nothing runs it.

Each `type: ignore` is a mistake that mypy must report: one that it does not is reported as unused.
"""

import threading
from collections.abc import Iterator

import dlt
from typing_extensions import assert_type

import dlt_dbt_cloud
from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudConfiguration,
    DBTCloudNode,
    DBTCloudRun,
    DBTCloudRunFailedException,
    DBTCloudWaitTimeoutException,
    aio,
    check_dbt_cloud_job,
    get_dbt_cloud_run_status,
    load_ref,
    run_dbt_cloud_job,
    wait_for_dbt_cloud_runs,
)
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.sources import dbt_cloud_source

assert_type(dlt_dbt_cloud.__version__, str)


def a_script(pipeline: dlt.Pipeline) -> None:
    """Runs a job after a load, and acts on its outcome."""
    load_info = pipeline.run([{"id": 1}], table_name="orders")
    try:
        run = run_dbt_cloud_job(load_info=load_info, schema_override="ci", raise_on_failure=True)
    except DBTCloudRunFailedException as failure:
        assert_type(failure.run, DBTCloudRun)
        raise
    except DBTCloudWaitTimeoutException as late:
        assert_type(late.run, DBTCloudRun)
        raise
    assert_type(run, DBTCloudRun)
    assert_type(run.id, int)
    assert_type(run.is_success, bool)
    assert_type(run.failed_nodes, tuple[DBTCloudNode, ...])
    pipeline.run([run])
    pipeline.run(dbt_cloud_source(run=run))


def many_runs(stop: threading.Event) -> None:
    """Triggers, waits and reattaches."""
    first = run_dbt_cloud_job(job_id=7, wait_for_outcome=False)
    second = run_dbt_cloud_job(job_id="8", data={"git_branch": "main"})
    assert_type(wait_for_dbt_cloud_runs([first, second.id, "9"], stop=stop), list[DBTCloudRun])
    assert_type(get_dbt_cloud_run_status(run_id=first), DBTCloudRun)
    check_dbt_cloud_job().raise_on_problems()


async def awaited(pipeline: dlt.Pipeline) -> None:
    """Awaits the same functions."""
    assert_type(await aio.run_dbt_cloud_job(pipeline=pipeline), DBTCloudRun)
    assert_type(await aio.wait_for_dbt_cloud_runs([1, 2]), list[DBTCloudRun])


def with_settings_and_client(pipeline: dlt.Pipeline) -> None:
    """Passes settings, and calls the API."""
    settings = DBTCloudConfiguration(api_token="dbtc_...", account_id="1", job_id="2")
    run_dbt_cloud_job(settings, 2, {"cause": "By hand"}, True, 10)
    client = DBTCloudClientV2(credentials=settings)
    assert_type(client.list_runs(limit=5), Iterator[DBTCloudRun])
    run_dbt_cloud_job(load_info=load_ref(pipeline.run([1], table_name="numbers")))


def in_a_test() -> None:
    """Starts a local dbt Cloud."""
    with LocalDBTCloud("shop_dbt", jobs=[ScriptedJob(statuses=[1, 3, 20])]) as cloud:
        assert_type(cloud, LocalDBTCloud)
        assert_type(cloud.credentials, DBTCloudConfiguration)


def mistakes() -> None:
    """Misspelt arguments, arguments of a wrong type, and a missing await."""
    run_dbt_cloud_job(shema_override="ci")  # type: ignore[call-arg]
    run_dbt_cloud_job(threads_override="four")  # type: ignore[arg-type]
    run_dbt_cloud_job(raise_on_failure="yes")  # type: ignore[arg-type]
    run_dbt_cloud_job().is_succesful  # type: ignore[attr-defined]  # noqa: B018
    aio.run_dbt_cloud_job().id  # type: ignore[attr-defined]  # noqa: B018
