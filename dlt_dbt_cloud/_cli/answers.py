"""What the commands share: settings in, an answer and an exit code out."""

import argparse
import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from dlt_dbt_cloud._io import IO, Blocking
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration, resolve_dbt_cloud_configuration
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudException,
    DBTCloudHTTPException,
    DBTCloudRunKeyException,
    DBTCloudRunUnreachableException,
    DBTCloudTriggerException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud.run import DBTCloudRun

TYPED: Final = (
    (re.compile(r"get_dbt_cloud_run_status\(run_id=(\d+)\)"), r"dlt dbt-cloud status \1"),
    (
        re.compile(r"set `project_id`, `environment_id` or `job_id`"),
        "pass --project-id, --environment-id, or the id of the job",
    ),
    (
        re.compile(r"Pass as arguments, or add to"),
        "Run `dlt dbt-cloud init`, which asks for them, or add to",
    ),
)
"""The advice for scripts, and what a person types instead."""


class ExitCode(IntEnum):
    """The exit codes, as `DBTCloudCommand.description` explains them."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    TIMED_OUT = 4
    UNKNOWN = 5
    IN_PROGRESS = 6
    SIGNALLED = 128


class Answer(NamedTuple):
    """The answer of a command: to the shell, to scripts (`--json`) and to people."""

    exit_code: int
    data: Any
    text: str


def exit_code_of(error: Exception) -> ExitCode:
    """Returns the exit code of a command that failed."""
    if isinstance(error, DBTCloudWaitTimeoutException):
        return ExitCode.TIMED_OUT
    is_refused = isinstance(error, DBTCloudHTTPException) and not error.is_transient
    if is_refused or isinstance(error, DBTCloudRunKeyException):
        return ExitCode.USAGE
    is_about_the_api = isinstance(
        error, DBTCloudAPIException | DBTCloudTriggerException | DBTCloudRunUnreachableException
    )
    return ExitCode.UNKNOWN if is_about_the_api else ExitCode.USAGE


def typed(text: str) -> str:
    """Returns a message with commands instead of the advice for scripts."""
    for script, command in TYPED:
        text = script.sub(command, text)
    return text


def answer_with(run: DBTCloudRun, while_in_progress: ExitCode) -> Answer:
    """Returns the answer that shows a run."""
    outcomes = (
        (run.in_progress, while_in_progress),
        (run.is_success, ExitCode.SUCCEEDED),
        (run.is_error, ExitCode.FAILED),
        (run.is_cancelled, ExitCode.CANCELLED),
        (run.is_timed_out, ExitCode.TIMED_OUT),
    )
    exit_code = next((code for holds, code in outcomes if holds), ExitCode.UNKNOWN)
    told = {
        "failed_nodes": [node.to_dict() for node in run.failed_nodes],
        "warned_nodes": [node.to_dict() for node in run.warned_nodes],
        "counts": run.counts,
        "errors": [error._asdict() for error in run.errors],
    }
    return Answer(exit_code, {**run.to_dict(), **told}, str(run))


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings that were passed."""
    fields = DBTCloudConfiguration.get_resolvable_fields()
    options = {name: value for name, value in vars(args).items() if name in fields}
    passed = {name: value for name, value in options.items() if value is not None}
    if job := getattr(args, "job", None):
        passed["job_id" if job.isdecimal() else "job_name"] = job
    return {**passed, "raise_on_failure": False}


def resolved(args: argparse.Namespace, **more: Any) -> DBTCloudConfiguration:
    """Returns all settings. Raises if one that the command needs is missing."""
    requires = ("account_id", "job_id") if hasattr(args, "job") else ("account_id",)
    return resolve_dbt_cloud_configuration(
        pipeline_name=args.pipeline_name, requires=requires, **{**settings_of(args), **more}
    )


def run_id_of(config: DBTCloudConfiguration) -> int:
    """Returns the id of the run that a command is about.

    Raises:
        DBTCloudException: There is none.
    """
    if config.run_id:
        return int(config.run_id)
    raise DBTCloudException(
        "Pass the id of a run. To list the runs of a job: dlt dbt-cloud runs JOB"
    )


def world(
    args: argparse.Namespace, io: IO | None, **more: Any
) -> tuple[IO, DBTCloudClientV2, DBTCloudConfiguration]:
    """Returns what a program takes: the world, the API and the settings."""
    config = resolved(args, **more)
    api = DBTCloudClientV2(credentials=config, outage_timeout=0)  # the programs retry
    return io or Blocking(config.request_timeout), api, config


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns rows in columns."""
    lines = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(map(str.ljust, line, widths)).rstrip()  # no spaces at the ends of lines
        for line in lines
    )
