"""Checks settings, token and job without triggering anything."""

from collections.abc import AsyncIterator, Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from dlt_dbt_cloud._call import Call
from dlt_dbt_cloud._call.outcome import slack_hook
from dlt_dbt_cloud._io import IO, Blocking
from dlt_dbt_cloud._report.findings import DBTCloudCheck, Finding
from dlt_dbt_cloud._settings.local import LocalCloud
from dlt_dbt_cloud._values import clock, dict_of, list_of, str_of
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    required_id,
    resolve_dbt_cloud_configuration,
)
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudException,
    DBTCloudHTTPException,
    InvalidCredentialsException,
)
from dlt_dbt_cloud.run import DBTCloudRun, UsualTimes

PLACEHOLDERS: Final = {
    "host": {"base_api_url": DBTCloudConfiguration.base_api_url},
    "token": {"api_token": "-"},
    "account": {"account_id": "1"},
    "job": {"job_id": "1"},
}
"""The first checks, each with settings that pass it."""

RETIRING: Final = "getdbt.com"
RUNS: Final = 20
"""Number of the job's last runs that are read."""

DENIED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


async def check_job(
    settings: Mapping[str, Any], pipeline_name: str | None = None, io: IO | None = None
) -> DBTCloudCheck:
    """Does what `check_dbt_cloud_job` does.

    Args:
        settings: What was passed, as `resolve_dbt_cloud_configuration` takes it.
        pipeline_name: Pipeline whose section wins over `[dbt_cloud]`.
        io: Clock, sleep and calls, which tests replace.
    """
    given = {"outage_timeout": 0, **settings}  # whoever checks does not want to wait
    try:
        config = _resolved(given, pipeline_name)
    except InvalidCredentialsException:
        _resolved(given, pipeline_name, *PLACEHOLDERS)  # raises for settings that have no line
        found = list(_setting_errors(given, pipeline_name))
    else:
        api = DBTCloudClientV2(credentials=config, outage_timeout=0)
        world = io or Blocking(config.request_timeout)
        found = [finding async for finding in _api_findings(world, api, config)]
    findings = {name: Finding(name) for name in PLACEHOLDERS}
    return DBTCloudCheck({**findings, **{it.check: it for it in found}}.values())


def _resolved(
    settings: Mapping[str, Any], pipeline_name: str | None, *replaced: str
) -> DBTCloudConfiguration:
    """Returns the configuration, with placeholders for what is not checked.

    Raises:
        InvalidCredentialsException: A setting is missing or malformed.
    """
    placeholders = {key: value for name in replaced for key, value in PLACEHOLDERS[name].items()}
    if LocalCloud.from_environment():
        placeholders.pop("base_api_url", None)  # it refuses all other hosts
    given = {**settings, **placeholders}
    config = resolve_dbt_cloud_configuration(pipeline_name=pipeline_name, **given)
    required_id("account_id", config.account_id)
    if not config.job_name:
        required_id("job_id", config.job_id)
    return config


def _setting_errors(settings: Mapping[str, Any], pipeline_name: str | None) -> Iterator[Finding]:
    """Yields which settings are missing or malformed, each checked by itself."""
    for name in PLACEHOLDERS:
        try:
            _resolved(settings, pipeline_name, *(PLACEHOLDERS.keys() - {name}))
        except InvalidCredentialsException as error:
            yield Finding(name, ok=False, message=str(error), error=error)


async def _api_findings(
    io: IO, api: DBTCloudClientV2, config: DBTCloudConfiguration
) -> AsyncIterator[Finding]:
    """Yields the findings of requests to the API, up to the first failure."""
    try:
        await io.call(api.get_jobs, limit=1)
    except DBTCloudAPIException as error:
        faulty = _faulty_setting(error)
        for found in islice(_accepted(config), list(PLACEHOLDERS).index(faulty)):
            yield found
        yield Finding(faulty, ok=False, message=str(error), error=error)
        return
    for found in _accepted(config):
        yield found
    try:
        job_id = await Call(io, api, config).job_id()
        job = await io.call(api.get_job, job_id)
    except DBTCloudException as error:
        yield Finding("job", ok=False, message=str(error), error=error)
        return
    for found in _job_findings(job, config):
        yield found
    async for found in _run_findings(io, api, job_id):
        yield found


def _faulty_setting(error: DBTCloudAPIException) -> str:
    if not isinstance(error, DBTCloudHTTPException):
        return "host"
    return {401: "token", 403: "account", 404: "account"}.get(error.status_code, "host")


def _accepted(config: DBTCloudConfiguration) -> Iterator[Finding]:
    host = urlsplit(config.base_api_url).hostname or ""
    retires = f".{host}".endswith(f".{RETIRING}")
    advice = (
        f"{config.base_api_url}\ndbt Labs is retiring hosts under {RETIRING}. Set `base_api_url` to"
        " the access URL of the account: Account settings, Access URLs."
    )
    yield Finding("host", True, advice if retires else config.base_api_url, is_warning=retires)
    yield Finding("token", True, "accepted")
    yield Finding("account", True, str(config.account_id))


def _job_findings(job: Mapping[str, Any], config: DBTCloudConfiguration) -> Iterator[Finding]:
    """Yields what the job tells of itself."""
    name = f"{str_of(job.get('name'))} ({str_of(job.get('id'))})"
    if job.get("state") == 2:  # noqa: PLR2004  # of the API: 1 is active
        yield Finding("job", False, f"{name} is deleted. Set `job_id` to another one.")
    elif job.get("deactivated") is True:
        yield Finding("job", False, f"{name} is deactivated. Switch it on in dbt Cloud.")
    else:
        yield Finding("job", True, name)
    environment = dict_of(job.get("environment"))
    shown = str_of(environment.get("name")) or str_of(job.get("environment_id"))
    version = str_of(job.get("dbt_version")) or str_of(environment.get("dbt_version"))
    yield Finding("env", True, ", ".join(filter(None, [shown, version and f"dbt {version}"])))
    steps = config.steps_override or [str_of(step) for step in list_of(job.get("execute_steps"))]
    missing = "The job has no commands. Add one in dbt Cloud, or set `steps_override`."
    yield Finding("steps", bool(steps), "; ".join(steps) or missing)
    if config.notify:
        try:
            slack_hook()
            yield Finding("notify", True, "`runtime.slack_incoming_hook` is set")
        except InvalidCredentialsException as error:
            yield Finding("notify", False, str(error), error=error)


async def _run_findings(io: IO, api: DBTCloudClientV2, job_id: int) -> AsyncIterator[Finding]:
    """Yields what the token may do with runs, and what the last runs of the job tell."""
    query = {"job_definition_id": job_id, "order_by": "-id", "limit": RUNS}
    try:
        runs = list((await io.call(api.get_runs, **query)).items)
    except DBTCloudAPIException as error:
        text = f"The runs of the job can't be read: {error}"
        if isinstance(error, DBTCloudHTTPException) and error.status_code in DENIED:
            text += " The token needs the permission `Job runner`."
        yield Finding("runs", False, text, error=error)
        return
    yield Finding("runs", True, "readable")
    yield await _may_trigger(io, api, runs)
    ahead = [str(run.id) for run in runs if run.in_progress]
    queue = f"{len(ahead)} run(s) ahead: {', '.join(ahead)}" if ahead else "empty"
    yield Finding("queue", True, queue)
    good = [run for run in runs if run.is_success and run.get("retrying_run_id") is None]
    usual = UsualTimes.of([r.queued_seconds for r in good], [r.run_seconds for r in good])
    told = f"usually {clock(usual.ran)} after {clock(usual.queued)} in the queue" if usual else ""
    yield Finding("time", True, told or "fewer than three runs have succeeded lately")


async def _may_trigger(io: IO, api: DBTCloudClientV2, runs: list[DBTCloudRun]) -> Finding:
    """Returns whether the token may run jobs.

    It asks dbt Cloud to cancel a run that has finished. We expect that to change nothing, and a
    token that may not run jobs to be refused.
    """
    done = next((run for run in runs if run.is_complete), None)
    if done is None:
        return Finding("trigger", None, "unknown: the job has no finished run to test with")
    try:
        await io.call(api.cancel_run, done.id)
    except DBTCloudHTTPException as error:
        if error.status_code in DENIED:
            advice = "The token may not run jobs: it needs the permission `Job runner`."
            return Finding("trigger", False, advice, error=error)
        if error.is_transient:
            return Finding("trigger", None, f"unknown: {error}")
    except DBTCloudAPIException as error:
        return Finding("trigger", None, f"unknown: {error}")
    return Finding("trigger", True, "allowed")
