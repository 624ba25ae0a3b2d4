"""dagster-dbt, its first client, with its defaults."""

from __future__ import annotations

from dagster import Failure
from dagster_dbt.cloud.resources import DbtCloudClient
from shared import ACCOUNT, BAD, GOOD, HOST, SLOW, TOKEN, report

client = DbtCloudClient(auth_token=TOKEN, account_id=ACCOUNT, dbt_cloud_host=f"http://{HOST}/")
output = client.run_job_and_poll(GOOD, poll_interval=0.2)
run_id = output.run_id
slow = client.run_job(SLOW)
client.cancel_run(slow["id"])
try:
    client.run_job_and_poll(BAD, poll_interval=0.2)
except Failure as failure:
    failed = failure.metadata["run_details"].value["status"]
project = client.get_job(GOOD)["project_id"]
runs = client.get_runs(include_related=["trigger"], job_id=GOOD)
report(
    status=output.run_details["status"],
    listed=[run["id"] for run in runs],
    jobs=[job["id"] for job in client.list_jobs(project)],
    run_id=run_id,
    artifacts=client.list_run_artifacts(run_id),
    results=client.get_run_results(run_id)["results"],
    cancelled=client.get_run(slow["id"])["status"],
    failed=failed,
)
