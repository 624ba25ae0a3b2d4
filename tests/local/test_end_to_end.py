"""Whole journeys: dlt loads, `run_dbt_cloud_job` runs the job, real dbt builds on DuckDB."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.pipeline import LoadInfo

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudRunFailedException,
    DBTCloudRunTimedOutException,
    DBTCloudWaitTimeoutException,
    run_dbt_cloud_job,
)
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, ScriptedJob
from dlt_dbt_cloud.sources import dbt_cloud_source

pytestmark = pytest.mark.slow


@pytest.fixture
def load_info() -> LoadInfo:
    """A load of a real pipeline."""
    pipeline = dlt.pipeline("tiny", destination="duckdb", pipelines_dir="pipelines")
    return pipeline.run([{"id": 1}], table_name="t")


def write_model(job: DBTJob, name: str, sql: str) -> None:
    """Writes a model of the job's project."""
    (Path(job.project_dir) / "models" / f"{name}.sql").write_text(sql)


def triggers(cloud: LocalDBTCloud) -> int:
    """Returns how many trigger requests the server has got."""
    return sum(request.path.endswith("/run/") for request in cloud.requests)


def test_same_load_twice(make_project: Callable[..., DBTJob], load_info: LoadInfo) -> None:
    """A load has one run, however often the script is started, and dbt knows which load it is."""
    with LocalDBTCloud(jobs=[make_project()]) as cloud:
        first = run_dbt_cloud_job(cloud.credentials, load_info=load_info, raise_on_failure=True)
        again = run_dbt_cloud_job(cloud.credentials, load_info=load_info)
        results = DBTCloudClientV2(credentials=cloud.credentials).get_artifact(
            first.id, "run_results.json"
        )
        assert again.id == first.id
        assert triggers(cloud) == 1
    (load_id,) = load_info.loads_ids
    reason = results["metadata"]["env"]["DBT_CLOUD_RUN_REASON"]
    assert reason.startswith("[dlt:")
    assert reason.endswith(f"] dlt pipeline tiny loaded dataset tiny_dataset: {load_id}")


def test_failing_model_and_recovery(
    make_project: Callable[..., DBTJob], load_info: LoadInfo
) -> None:
    """A failing model is named with its message; mended, a second call continues the run."""
    job = make_project(steps=("dbt run --select numbers", "dbt run --select doubled"))
    write_model(job, "doubled", "select no_such_column as doubled from {{ ref('numbers') }}")
    with LocalDBTCloud(jobs=[job]) as cloud:
        with pytest.raises(DBTCloudRunFailedException) as caught:
            run_dbt_cloud_job(cloud.credentials, load_info=load_info, raise_on_failure=True)
        (node,) = caught.value.run.failed_nodes
        assert (node.unique_id, node.status) == ("model.tiny.doubled", "error")
        assert "no_such_column" in node.message
        assert "4. Invoke dbt with `dbt run --select numbers`: Success" in str(caught.value)
        assert "End of the log of step 5" in str(caught.value)

        write_model(job, "doubled", "select id * 2 as doubled from {{ ref('numbers') }}")
        run = run_dbt_cloud_job(cloud.credentials, load_info=load_info, retry_failed=1)
        assert run.is_success
        assert run["retrying_run_id"] == caught.value.run.id
        assert "dbt run --select numbers" not in str(run)
        # The load's run is now the retry.
        assert run_dbt_cloud_job(cloud.credentials, load_info=load_info).id == run.id
        assert triggers(cloud) == 1


def test_parse_error(make_project: Callable[..., DBTJob]) -> None:
    """A project that does not parse has no results: the end of the log says why."""
    job = make_project()
    write_model(job, "doubled", "select * from {{ ref('no_such_model') }}")
    pipeline = dlt.pipeline("results", destination="dummy", pipelines_dir="pipelines")
    with LocalDBTCloud(jobs=[job]) as cloud:
        run = run_dbt_cloud_job(cloud.credentials, retry_failed=1)
        asked = len(cloud.requests)
        pipeline.extract(dbt_cloud_source(run, cloud.credentials))
        paths = [request.path for request in cloud.requests]
    assert run.is_error
    assert run.failed_nodes == ()
    # Told at once: nobody waits for artifacts that never come, in the call and in the source.
    assert sum("run_results.json" in path for path in paths[:asked]) <= 1
    assert sum("run_results.json" in path for path in paths[asked:]) <= 1
    assert "depends on a node named 'no_such_model' which was not found" in str(run)


def test_timeout_deadline_and_queue(make_project: Callable[..., DBTJob]) -> None:
    """The job's own timeout, the wait's deadline while running, and the one while queued."""
    job = make_project(env={"TINY_SLOW": "yes"}, steps=("dbt run --select slow",))
    with LocalDBTCloud(jobs=[job], cancel_grace=0.5) as cloud:
        policy: dict[str, Any] = {"wait_seconds": 0.2, "raise_on_failure": True}
        with pytest.raises(DBTCloudRunTimedOutException, match="configured timeout of 1 seconds"):
            run_dbt_cloud_job(cloud.credentials, data={"timeout_seconds_override": 1}, **policy)
        running = run_dbt_cloud_job(cloud.credentials, wait_for_outcome=False)
        with pytest.raises(DBTCloudWaitTimeoutException) as queued:
            run_dbt_cloud_job(cloud.credentials, wait_timeout=1, cancel_on_abort=True, **policy)
        client = DBTCloudClientV2(credentials=cloud.credentials)
        assert queued.value.run["blocked_by"] == [running.id]
        assert client.get_run_status(queued.value.run.id).is_cancelled
        assert client.get_run_status(running.id).in_progress
        client.cancel_run(running.id)


SCRIPT = """
from dlt_dbt_cloud import run_dbt_cloud_job
print("started", flush=True)
run_dbt_cloud_job(cancel_on_abort=True, wait_seconds=1)
"""


def test_interrupt(make_project: Callable[..., DBTJob], tmp_path: Path) -> None:
    """Ctrl-C of a wrapped script cancels its run, and the last line says which."""
    job = make_project()
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "dlt_dbt_cloud.local", "--project-dir", str(job.project_dir)]
    process = subprocess.Popen(
        [*command, "--step", "dbt run --select slow", "--", sys.executable, "script.py"],
        env={**os.environ, **job.env, "TINY_SLOW": "yes"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(3)  # so that it waits
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert re.search(r"\nCancelled dbt Cloud run \d+: http://\S+/runs/\d+/?\n*$", errors), errors
    assert "To reattach" not in errors


PIPELINE = """
import dlt
from dlt_dbt_cloud import run_dbt_cloud_job
pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")
load_info = pipeline.run([{"id": 1}], table_name="orders")
print(run_dbt_cloud_job(load_info=load_info, raise_on_failure=True))
"""


def test_wrong_token(tmp_path: Path) -> None:
    """A script with a wrong token ends with the API's message; what it has loaded is there."""
    (tmp_path / "script.py").write_text(PIPELINE)
    with LocalDBTCloud(jobs=[ScriptedJob()]) as cloud:
        settings = {**cloud.settings(), "api_token": "wrong"}
        variables = {f"DBT_CLOUD__{name.upper()}": value for name, value in settings.items()}
        environment = {**os.environ, **variables}
        done = subprocess.run(
            [sys.executable, "script.py"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert [request.status for request in cloud.requests] == [401]
    assert done.returncode == 1
    assert "answered 401 Unauthorized" in done.stderr
    assert "Invalid token. The host of another region would not know the token." in done.stderr
    with duckdb.connect("shop.duckdb") as database:
        assert database.sql("select id from raw.orders").fetchall() == [(1,)]


LOADER = """
import sys
from dlt_dbt_cloud import run_dbt_cloud_job, _call
print("ready", flush=True)
sys.stdin.read()
run = run_dbt_cloud_job(reuse_queued=sys.argv[1] == "share", wait_seconds=1)
print(run.id, run.is_success)
"""


@pytest.mark.parametrize(("mode", "most"), [("share", 3), ("alone", 6)])
def test_many_pipelines_one_job(mode: str, most: int, tmp_path: Path) -> None:
    """Processes that finish together share queued runs, each sees a run that succeeded.

    At most the one that starts at once and two that are queued behind it: without sharing each
    process has its own.
    """
    (tmp_path / "loader.py").write_text(LOADER)
    job = ScriptedJob(statuses=[(0, 1), (0.2, 3), (1, 10)])
    with LocalDBTCloud(jobs=[job]) as cloud:
        environment = {**os.environ, **cloud.environment}
        processes = [
            subprocess.Popen(
                [sys.executable, "loader.py", mode],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(6)
        ]
        ready = [process.stdout.readline() for process in processes if process.stdout]
        for process in processes:
            process.stdin.close()  # type: ignore[union-attr]  # all start at this moment
            process.stdin = None
        outcomes = [process.communicate(timeout=120)[0].split() for process in processes]
        runs = list(DBTCloudClientV2(credentials=cloud.credentials).list_runs())
    assert ready == ["ready\n"] * len(processes)
    assert {success for _, success in outcomes} == {"True"}
    built = [run for run in runs if run.is_success]
    assert len(built) <= most
    assert (len(built) == len(processes)) == (mode == "alone")
