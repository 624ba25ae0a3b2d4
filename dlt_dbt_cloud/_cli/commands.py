"""The commands of `dlt dbt-cloud`: parsed arguments in, an answer and an exit code out."""

import argparse
import textwrap
from collections.abc import Iterator
from enum import IntEnum
from itertools import islice
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._call import Call, follow_run, run_job
from dlt_dbt_cloud._follow.first import first_read
from dlt_dbt_cloud._io import IO, Blocking
from dlt_dbt_cloud._io import run as run_program
from dlt_dbt_cloud._settings.local import LocalCloud
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
    DBTCloudRunUnreachableException,
    DBTCloudTriggerException,
    DBTCloudWaitTimeoutException,
    InvalidCredentialsException,
)
from dlt_dbt_cloud.run import DBTCloudRun

PLACEHOLDERS: Final = {
    "host": {"base_api_url": DBTCloudConfiguration.base_api_url},
    "token": {"api_token": "-"},
    "account": {"account_id": "1"},
    "job": {"job_id": "1"},
}
"""What `check` looks at, and settings with which it finds nothing to complain about."""

MAX_CAUSE: Final = 50
"""Characters of a cause that the table of runs shows at most."""

Finding = str | Exception | None
"""What `check` found: the setting in use, what to fix, or None where it could not look."""


class ExitCode(IntEnum):
    """What the exit codes say. `DBTCloudCommand.description` tells the user."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    TIMED_OUT = 4
    UNKNOWN = 5
    SIGNALLED = 128


class Answer(NamedTuple):
    """What a command says: to the shell, to scripts (`--json`) and to people."""

    exit_code: int
    data: Any
    text: str


def exit_code_of(error: Exception) -> ExitCode:
    """Returns the exit code for a command that could not do what it was asked to."""
    if isinstance(error, DBTCloudWaitTimeoutException):
        return ExitCode.TIMED_OUT
    if isinstance(error, DBTCloudHTTPException) and not error.is_transient:
        return ExitCode.USAGE
    is_about_the_api = isinstance(
        error, DBTCloudAPIException | DBTCloudTriggerException | DBTCloudRunUnreachableException
    )
    return ExitCode.UNKNOWN if is_about_the_api else ExitCode.USAGE


def check(args: argparse.Namespace, io: IO | None) -> Answer:
    """Checks host, token, account and job, and says what to fix. Triggers nothing."""
    settings = {"outage_timeout": 0, **_settings(args)}
    findings: dict[str, Finding] = dict.fromkeys(PLACEHOLDERS)
    _resolved(settings, args, *PLACEHOLDERS)  # raises for the settings that no line is about
    findings.update(_setting_errors(settings, args))
    if not any(findings.values()):
        config = _resolved(settings, args)
        findings.update(_api_findings(*_world(config, io), config))
    errors = (finding for finding in findings.values() if isinstance(finding, Exception))
    return Answer(
        max(map(exit_code_of, errors), default=ExitCode.SUCCEEDED),
        [_finding_data(name, finding) for name, finding in findings.items()],
        "\n".join(_finding_text(name, finding) for name, finding in findings.items()),
    )


def run(args: argparse.Namespace, io: IO | None) -> Answer:
    """Runs a job, once, and waits until it has finished."""
    config = _resolved(_settings(args), args)
    io, api = _world(config, io)
    return _answer_with(run_program(run_job(io, api, config)), ExitCode.SUCCEEDED)


def status(args: argparse.Namespace, io: IO | None) -> Answer:
    """Waits for a run and shows it. With --no-wait shows it as it is."""
    config = _resolved(_settings(args), args)
    io, api = _world(config, io)
    return _answer_with(run_program(follow_run(io, api, config)), ExitCode.UNKNOWN)


def cancel(args: argparse.Namespace, io: IO | None) -> Answer:
    """Cancels a run."""
    config = _resolved(_settings(args), args)
    run_id = required_id("run_id", config.run_id)
    io, api = _world(config, io)
    run = run_program(io.call(api.cancel_run, run_id))
    has_finished = run.is_complete and not run.is_cancelled
    text = f"{run}\nThere is nothing to cancel." if has_finished else str(run)
    return Answer(ExitCode.FAILED if has_finished else ExitCode.SUCCEEDED, run, text)


def retry(args: argparse.Namespace, io: IO | None) -> Answer:
    """Retries a failed run from its failed step, and waits for the new run."""
    config = _resolved(_settings(args), args)
    run_id = required_id("run_id", config.run_id)
    call = Call(*_world(config, io), config)
    return _answer_with(run_program(_retried(call, run_id)), ExitCode.SUCCEEDED)


async def _retried(call: Call, run_id: int) -> DBTCloudRun:
    async with call.last_words():
        failed = await first_read(call.io, call.api, run_id, call.limits)
        if failed.retry_refusal:
            raise DBTCloudException(failed.retry_refusal)
        return await call.report(await call.retry(failed))


def runs(args: argparse.Namespace, io: IO | None) -> Answer:
    """Shows the last runs of a job."""
    config = _resolved(_settings(args), args)
    call = Call(*_world(config, io), config)
    job_id = run_program(call.job_id())
    client = DBTCloudClientV2(credentials=config, io=io)
    newest_first = client.list_runs(
        job_definition_id=job_id, order_by="-id", include_related=["trigger"], limit=args.limit
    )
    last = list(newest_first)
    return Answer(ExitCode.SUCCEEDED, last, _table(last) if last else "The job has no runs.")


# What the commands share


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings that were passed."""
    fields = DBTCloudConfiguration.get_resolvable_fields()
    options = {name: value for name, value in vars(args).items() if name in fields}
    passed = {name: value for name, value in options.items() if value is not None}
    if job := getattr(args, "job", None):
        passed["job_id" if job.isdecimal() else "job_name"] = job
    return {**passed, "raise_on_failure": False}


def _resolved(
    settings: dict[str, Any], args: argparse.Namespace, *replaced: str
) -> DBTCloudConfiguration:
    """Returns the configuration, with placeholders for what is not checked."""
    placeholders = {key: value for name in replaced for key, value in PLACEHOLDERS[name].items()}
    if LocalCloud.from_environment():
        placeholders.pop("base_api_url", None)  # it refuses all other hosts
    return resolve_dbt_cloud_configuration(
        pipeline_name=args.pipeline_name, **{**settings, **placeholders}
    )


def _world(config: DBTCloudConfiguration, io: IO | None) -> tuple[IO, DBTCloudClientV2]:
    """Returns the time and the API of a command. The programs retry by themselves."""
    api = DBTCloudClientV2(credentials=config, outage_timeout=0)
    return io or Blocking(config.request_timeout), api


def _answer_with(run: DBTCloudRun, while_in_progress: ExitCode) -> Answer:
    outcomes = (
        (run.in_progress, while_in_progress),
        (run.is_success, ExitCode.SUCCEEDED),
        (run.is_error, ExitCode.FAILED),
        (run.is_cancelled, ExitCode.CANCELLED),
        (run.is_timed_out, ExitCode.TIMED_OUT),
    )
    exit_code = next((code for holds, code in outcomes if holds), ExitCode.UNKNOWN)
    failed_nodes = [node._asdict() for node in run.failed_nodes]
    return Answer(exit_code, {**run, "failed_nodes": failed_nodes}, str(run))


def _setting_errors(
    settings: dict[str, Any], args: argparse.Namespace
) -> Iterator[tuple[str, Finding]]:
    """Yields which settings are missing or malformed, each checked by itself."""
    for name in PLACEHOLDERS:
        try:
            others = (other for other in PLACEHOLDERS if other != name)
            config = _resolved(settings, args, *others)
            required_id("account_id", config.account_id)
            if not config.job_name:
                required_id("job_id", config.job_id)
        except InvalidCredentialsException as error:
            yield name, error


def _api_findings(
    io: IO, api: DBTCloudClientV2, config: DBTCloudConfiguration
) -> Iterator[tuple[str, Finding]]:
    """Yields what the API makes of the settings, as far as it gets."""
    try:
        run_program(io.call(api.get_jobs, limit=1))
    except DBTCloudAPIException as error:
        faulty = _faulty_setting(error)
        yield from islice(_accepted(config), list(PLACEHOLDERS).index(faulty))
        yield faulty, error
        return
    yield from _accepted(config)
    try:
        job_id = run_program(Call(io, api, config).job_id())
        job = run_program(io.call(api.get_job, job_id))
        yield "job", f"{job.get('name')} ({job.get('id')})"
    except DBTCloudException as error:
        yield "job", error


def _faulty_setting(error: DBTCloudAPIException) -> str:
    if not isinstance(error, DBTCloudHTTPException):
        return "host"
    return {401: "token", 403: "account", 404: "account"}.get(error.status_code, "host")


def _accepted(config: DBTCloudConfiguration) -> Iterator[tuple[str, Finding]]:
    yield "host", config.base_api_url
    yield "token", "accepted"
    yield "account", str(config.account_id)


def _finding_data(name: str, finding: Finding) -> dict[str, Any]:
    is_ok = None if finding is None else not isinstance(finding, Exception)
    return {"check": name, "ok": is_ok, "message": str(finding or "not checked").strip()}


def _finding_text(name: str, finding: Finding) -> str:
    data = _finding_data(name, finding)
    mark = {True: "ok", False: "fix", None: "-"}[data["ok"]]
    message = textwrap.indent(data["message"], f"{'':14}").lstrip()
    return f"{mark:5}{name:9}{message}"


def _table(runs: list[DBTCloudRun]) -> str:
    rows = [("id", "status", "cause", "created (UTC)", "queued", "ran", "url"), *map(_row, runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(map(str.ljust, row, widths)).rstrip()  # no spaces at the ends of lines
        for row in rows
    )


def _row(run: DBTCloudRun) -> tuple[str, ...]:
    cause = " ".join(run.cause.split())
    return (
        str(run.id),
        "Timed out" if run.is_timed_out else run.status_name,
        cause if len(cause) <= MAX_CAUSE else cause[: MAX_CAUSE - 3] + "...",
        str(run.get("created_at") or "")[:19],
        str(run.get("queued_duration") or ""),
        str(run.get("run_duration") or ""),
        run.url,
    )
