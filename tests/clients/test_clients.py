"""Other projects' clients drive the local dbt Cloud without noticing: `make test-clients`."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, ScriptedJob
from tests.engines.cloud import connection

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENTS = {
    "dbtc_client": "dbtc",
    "cli_client": "dbt-cloud-cli",
    "airflow_client": "airflow",
    "prefect_client": "prefect",
    "dagster_v1_client": "dagster",
    "dagster_v2_client": "dagster",
}
FAILED = {"unique_id": "model.tiny.numbers", "status": "error", "message": "no number"}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with a job of real dbt, one that fails and one that never ends."""
    project = shutil.copytree(HERE.parent / "samples" / "local" / "tiny_dbt", tmp_path / "tiny_dbt")
    good = DBTJob(project, name="Good", env={"TINY_DATABASE": str(tmp_path / "tiny.duckdb")})
    bad = ScriptedJob(
        "Bad",
        statuses=[1, 3, 20],
        steps=["dbt deps"] * 3 + ["dbt build"],
        artifacts={"run_results.json": {"results": [FAILED]}},
    )
    with LocalDBTCloud(jobs=[good, bad, ScriptedJob("Slow", statuses=[3])]) as cloud:
        yield cloud


def drive(cloud: LocalDBTCloud, client: str, home: Path) -> Any:
    """Returns what the script of a client reports. Its own Python runs it."""
    settings = cloud.settings()
    host = cloud.url.removeprefix("http://")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LOCAL_HOST": host,
        "LOCAL_TOKEN": settings["api_token"],
        "LOCAL_ACCOUNT": settings["account_id"],
        "LOCAL_JOBS": ",".join(str(job.id) for job in cloud.jobs),
        "LOCAL_PROJECT": str(cloud.jobs[0].project_id),
        "LOCAL_ENVIRONMENT": str(cloud.jobs[0].environment_id),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": connection(cloud, host),
        "PREFECT_HOME": str(home / "prefect"),
        "DO_NOT_TRACK": "1",
    }
    command = [ROOT / f".venv-{ENVIRONMENTS[client]}" / "bin" / "python", HERE / f"{client}.py"]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, cwd=home, timeout=400, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("client", ENVIRONMENTS)
def test_a_client_notices_nothing(cloud: LocalDBTCloud, client: str, tmp_path: Path) -> None:
    """It triggers, polls, lists, reads artifacts, cancels and retries, and nothing is refused."""
    facts = drive(cloud, client, tmp_path)
    assert facts["status"] == 10
    assert facts["run_id"] in facts["listed"]
    assert cloud.jobs[0].id in facts["jobs"]
    assert {"manifest.json", "run_results.json"} <= set(facts["artifacts"])
    assert {result["status"] for result in facts["results"]} <= {"success", "pass"}
    assert facts["results"]
    assert facts["cancelled"] == 30
    assert facts["failed"] == 20
    assert facts.get("retried", True)  # not all have a call for it
    assert facts.get("events", 1) > 0
    assert [request for request in cloud.requests if request.status != 200] == []
