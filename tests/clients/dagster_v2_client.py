"""dagster-dbt, its workspace of dbt Cloud."""

from __future__ import annotations

import contextlib
import os
import sys
from datetime import datetime, timedelta, timezone

from dagster_dbt.cloud_v2.resources import (
    DbtCloudCredentials,
    DbtCloudWorkspace,
)
from dagster_dbt.cloud_v2.run_handler import (
    DbtCloudJobRunHandler,
)
from shared import ACCOUNT, BAD, HOST, SLOW, TOKEN, report

workspace = DbtCloudWorkspace(
    credentials=DbtCloudCredentials(account_id=ACCOUNT, token=TOKEN, access_url=f"http://{HOST}"),
    project_id=int(os.environ["LOCAL_PROJECT"]),
    environment_id=int(os.environ["LOCAL_ENVIRONMENT"]),
    adhoc_job_name="Good",
)
client = workspace.get_client()
client.verify_connection()
client.get_project_details(workspace.project_id)
client.get_environment_details(workspace.environment_id)
manifest = workspace.fetch_workspace_data().manifest
with contextlib.redirect_stdout(sys.stderr):
    invocation = workspace.cli(["build"])
    events = list(invocation.wait())
run_id = invocation.run_handler.run_id
slow = DbtCloudJobRunHandler.run(SLOW, ["build"], client)
slow.cancel()
failed = DbtCloudJobRunHandler.run(BAD, ["build"], client).wait()
now = datetime.now(timezone.utc)
runs, _ = client.get_runs_batch(
    workspace.project_id, workspace.environment_id, now - timedelta(hours=1), now
)
report(
    status=client.get_run_details(run_id)["status"],
    listed=[run["id"] for run in runs],
    jobs=[job["id"] for job in client.list_jobs(workspace.project_id, workspace.environment_id)],
    run_id=run_id,
    artifacts=invocation.run_handler.list_run_artifacts(),
    results=invocation.run_handler.get_run_results()["results"],
    cancelled=client.get_run_details(slow.run_id)["status"],
    failed=int(failed.status),
    models=sorted(node for node in manifest["nodes"] if node.startswith("model.")),
    events=len(events),
)
