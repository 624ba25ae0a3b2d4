"""prefect-dbt: its client, and its job block with what it retries of a failed run."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import httpx
from prefect_dbt.cloud import DbtCloudCredentials, DbtCloudJob
from shared import ACCOUNT, BAD, GOOD, HOST, SLOW, TOKEN, report

send = httpx.AsyncHTTPTransport.handle_async_request


async def send_plainly(self: Any, request: Any) -> Any:
    """Write `https://` as the client does, and reach the loopback host by http."""
    if request.url.netloc.decode() == HOST:
        request.url = request.url.copy_with(scheme="http")
    return await send(self, request)


httpx.AsyncHTTPTransport.handle_async_request = send_plainly
credentials = DbtCloudCredentials(api_key=TOKEN, account_id=ACCOUNT, domain=HOST)


def job(job_id: int) -> Any:
    """Returns the block of a job."""
    return DbtCloudJob(dbt_cloud_credentials=credentials, job_id=job_id, interval_seconds=1)


async def main() -> dict[str, Any]:
    """Returns what the client has seen."""
    run = await job(GOOD).trigger()
    await run.wait_for_completion()
    result = await run.fetch_result()
    failed = await job(BAD).trigger()
    await failed.wait_for_completion()
    slow = await job(SLOW).trigger()
    async with credentials.get_administrative_client() as client:
        detailed = await client.get_run(run.run_id, include_related=["trigger", "run_steps"])
        failure = await client.get_run(failed.run_id, include_related=["run_steps"])
        cancelled = await client.call_endpoint("POST", f"/runs/{slow.run_id}/cancel/")
        jobs = await client.call_endpoint("GET", "/jobs/")
    options = await failed._build_trigger_job_run_options(
        job=await job(BAD).get_job(), run=failure.json()["data"]
    )
    retried = await job(BAD).trigger(trigger_job_run_options=options)
    await retried.wait_for_completion()
    details = detailed.json()["data"]
    return {
        "status": result["status"],
        "listed": [details["id"]],
        "steps": [step["name"] for step in details["run_steps"]],
        "jobs": [one["id"] for one in jobs.json()["data"]],
        "run_id": run.run_id,
        "artifacts": result["artifact_paths"],
        "results": (await run.get_run_artifacts("run_results.json"))["results"],
        "cancelled": cancelled.json()["data"]["status"],
        "failed": await failed.get_status_code(),
        "retried": options.steps_override == ["dbt  build -s numbers "],
    }


with contextlib.redirect_stdout(sys.stderr):
    facts = asyncio.run(main())
report(**facts)
