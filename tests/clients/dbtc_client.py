"""dbtc."""

from __future__ import annotations

from dbtc import dbtCloudClient
from shared import ACCOUNT, BAD, GOOD, HOST, SLOW, TOKEN, report, use_plain_http

use_plain_http()
cloud = dbtCloudClient(service_token=TOKEN, host=HOST).cloud
body = {"cause": "Triggered by dbtc"}
good = cloud.trigger_job(ACCOUNT, GOOD, body, poll_interval=0.2)["data"]
runs = cloud.list_runs(
    ACCOUNT, include_related=["trigger", "job"], job_definition_id=GOOD, status=["success", "error"]
)
slow = cloud.trigger_job(ACCOUNT, SLOW, body, should_poll=False)["data"]
failed = cloud.trigger_job(ACCOUNT, BAD, body, poll_interval=0.2)["data"]
retried = cloud.trigger_job_from_failure(ACCOUNT, BAD, should_poll=False)["data"]
report(
    status=good["status"],
    listed=[run["id"] for run in runs["data"]],
    jobs=[job["id"] for job in cloud.list_jobs(ACCOUNT)["data"]],
    run_id=good["id"],
    artifacts=cloud.list_run_artifacts(ACCOUNT, good["id"])["data"],
    results=cloud.get_run_artifact(ACCOUNT, good["id"], "run_results.json")["results"],
    cancelled=cloud.cancel_run(ACCOUNT, slow["id"])["data"]["status"],
    failed=failed["status"],
    retried=retried["retrying_run_id"] == failed["id"],
)
