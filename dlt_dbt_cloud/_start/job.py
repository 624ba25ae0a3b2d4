"""Finds a job by its name."""

from typing import Any, Final

from dlt_dbt_cloud._api import RunsApi
from dlt_dbt_cloud._io import IO, Patience, retry
from dlt_dbt_cloud._values import int_of, str_of
from dlt_dbt_cloud.exceptions import DBTCloudJobNotUniqueException

MAX_JOBS_LISTED: Final = 20


async def find_job(io: IO, api: RunsApi, name: str, patience: Patience, **where: str | None) -> int:
    """Returns the id of the job with a name.

    Args:
        io: The world.
        api: The API.
        name: Exact name of the job.
        patience: How long errors are retried.
        where: `project_id` and `environment_id`, None for all of them.

    Raises:
        DBTCloudJobNotUniqueException: No job has the name, or several have.
    """
    jobs: dict[int, dict[str, Any]] = {}
    offset = 0
    while True:
        page = await retry(io, patience, api.get_jobs, offset=offset, **where)
        new = {job_id: job for job in page.items if (job_id := int_of(job.get("id")) or 0) > 0}
        has_new = not new.keys() <= jobs.keys()
        jobs.update(new)
        offset += len(page.items)
        if not has_new or offset == page.total:
            break
    matches = [found for found, job in jobs.items() if job.get("name") == name]
    if len(matches) == 1:
        return matches[0]
    raise _not_unique(name, [jobs[found] for found in matches], list(jobs.values()))


def _not_unique(
    name: str, matches: list[dict[str, Any]], jobs: list[dict[str, Any]]
) -> DBTCloudJobNotUniqueException:
    found = matches or jobs
    lines = [
        f"  {str_of(job.get('name'))!r}: job_id {job.get('id')},"
        f" project_id {job.get('project_id')}, environment_id {job.get('environment_id')}"
        for job in found[:MAX_JOBS_LISTED]
    ]
    if len(found) > MAX_JOBS_LISTED:
        lines.append(f"  and {len(found) - MAX_JOBS_LISTED} more")
    problem = (
        f"{len(matches)} jobs are named {name!r}: set `project_id`, `environment_id` or `job_id`."
        if matches
        else f"No job is named {name!r}. There are {len(jobs)}, as far as the token may see:"
    )
    message = "\n".join([problem, *lines])
    return DBTCloudJobNotUniqueException(message, job_name=name, matches=matches)
