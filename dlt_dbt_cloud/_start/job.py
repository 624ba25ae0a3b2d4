"""Finds a job by its name."""

from typing import Any, Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._io.retry import RetryPolicy, retry
from dlt_dbt_cloud._values import int_of, str_of
from dlt_dbt_cloud.exceptions import DBTCloudJobNotUniqueException

MAX_JOBS_LISTED: Final = 20


async def find_job(
    io: IO, api: RunsApi, name: str, policy: RetryPolicy, **where: str | None
) -> int:
    """Returns the id of the only job with this name, in a project and an environment if given."""
    jobs: dict[int, dict[str, Any]] = {}
    offset, is_last = 0, False
    while not is_last:
        page = await retry(io, policy, api.get_jobs, offset=offset, **where)
        new = {job_id: job for job in page.items if (job_id := int_of(job.get("id")) or 0) > 0}
        offset += len(page.items)
        is_last = new.keys() <= jobs.keys() or offset == page.total
        jobs.update(new)
    matches = [job for job in jobs.values() if job.get("name") == name]
    if len(matches) == 1:
        return int_of(matches[0]["id"]) or 0
    found = matches or list(jobs.values())
    problem = f"No job is named {name!r}. The token can see {len(jobs)} jobs:"
    if matches:
        several = f"{len(matches)} jobs are named {name!r}"
        problem = f"{several}: set `project_id`, `environment_id` or `job_id`."
    lines = [
        f"  {str_of(job.get('name'))!r}: job_id {job.get('id')},"
        f" project_id {job.get('project_id')}, environment_id {job.get('environment_id')}"
        for job in found[:MAX_JOBS_LISTED]
    ]
    if len(found) > MAX_JOBS_LISTED:
        lines.append(f"  and {len(found) - MAX_JOBS_LISTED} more")
    message = "\n".join([problem, *lines])
    raise DBTCloudJobNotUniqueException(message, job_name=name, matches=matches)
