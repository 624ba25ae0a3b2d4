"""Other projects' clients drive the local dbt Cloud without noticing: `make test-clients`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, ScriptedJob

HERE = Path(__file__).parent
ENVIRONMENTS = os.environ.get("CLIENT_ENVIRONMENTS")
CLIENTS = {
    "dbtc_client": "dbtc",
    "cli_client": "dbt-cloud-cli",
    "airflow_client": "airflow",
    "prefect_client": "prefect",
    "dagster_v1_client": "dagster",
    "dagster_v2_client": "dagster",
}

pytestmark = pytest.mark.skipif(not ENVIRONMENTS, reason="make test-clients installs the clients")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with a job of real dbt, one that fails and one that never ends."""
    project = tmp_path / "tiny_dbt"
    shutil.copytree(HERE.parent / "samples" / "local" / "tiny_dbt", project)
    good = DBTJob(project, name="Good", env={"TINY_DATABASE": str(tmp_path / "tiny.duckdb")})
    bad = ScriptedJob(
        "Bad",
        statuses=[1, 3, 20],
        steps=["dbt deps"] * 3 + ["dbt build"],
        artifacts={"run_results.json": {"results": [FAILED]}},
    )
    with LocalDBTCloud(jobs=[good, bad, ScriptedJob("Slow", statuses=[3])]) as cloud:
        yield cloud


FAILED = {"unique_id": "model.tiny.numbers", "status": "error", "message": "no number"}


def drive(cloud: LocalDBTCloud, client: str, tmp_path: Path) -> dict[str, Any]:
    """Run the script of a client with its own Python, and get what it reports."""
    assert ENVIRONMENTS
    settings = cloud.settings()
    host = cloud.url.removeprefix("http://")
    job = cloud.jobs[0]
    done = subprocess.run(
        [f"{ENVIRONMENTS}/{CLIENTS[client]}/bin/python", HERE / f"{client}.py"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LOCAL_HOST": host,
            "LOCAL_TOKEN": settings["api_token"],
            "LOCAL_ACCOUNT": settings["account_id"],
            "LOCAL_JOBS": ",".join(str(job.id) for job in cloud.jobs),
            "LOCAL_PROJECT": str(job.project_id),
            "LOCAL_ENVIRONMENT": str(job.environment_id),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW_CONN_DBT_CLOUD_DEFAULT": json.dumps(
                {
                    "conn_type": "dbt_cloud",
                    "host": host,
                    "login": settings["account_id"],
                    "password": settings["api_token"],
                }
            ),
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "DO_NOT_TRACK": "1",
        },
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        timeout=300,
        check=True,
    )
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


@pytest.mark.parametrize("client", CLIENTS)
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
    refused = [request for request in cloud.requests if request.status != 200]
    assert refused == []
    assert facts.get("events", 1) > 0
