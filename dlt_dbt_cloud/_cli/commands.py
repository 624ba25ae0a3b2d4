"""The commands about jobs and their runs: parsed arguments in, an answer out."""

import argparse
from pathlib import Path
from typing import Final

import dlt

from dlt_dbt_cloud._call import Call, follow_run, run_job
from dlt_dbt_cloud._cli.answers import (
    Answer,
    ExitCode,
    answer_with,
    resolved,
    run_id_of,
    table,
    world,
)
from dlt_dbt_cloud._follow.first import first_read
from dlt_dbt_cloud._follow.logs import StepLogs
from dlt_dbt_cloud._follow.screen import Screen
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._io import run as run_program
from dlt_dbt_cloud._io.retry import RetryPolicy
from dlt_dbt_cloud._io.retry import retry as retried
from dlt_dbt_cloud._report import report as read_report
from dlt_dbt_cloud._values import int_of, list_of, str_of
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.exceptions import DBTCloudException
from dlt_dbt_cloud.run import DBTCloudRun
from dlt_dbt_cloud.run.wording import outcome

MAX_CAUSE: Final = 50
"""Characters of a cause that the table of runs shows at most."""


def run(args: argparse.Namespace, io: IO | None) -> Answer:
    """Runs a job, once, and waits until it has finished."""
    io, api, config = world(args, io)
    pipeline = None
    if args.pipeline_name and (config.select_loaded or config.skip_unchanged):
        pipeline = dlt.attach(args.pipeline_name)  # what it has loaded says what to build
    program = run_job(io, api, config, pipeline=pipeline)
    return answer_with(run_program(program), ExitCode.SUCCEEDED)


def status(args: argparse.Namespace, io: IO | None) -> Answer:
    """Waits for a run and shows it. With --no-wait shows it as it is."""
    io, api, config = world(args, io)
    run_id_of(config)  # raises if it is missing
    return answer_with(run_program(follow_run(io, api, config)), ExitCode.IN_PROGRESS)


def cancel(args: argparse.Namespace, io: IO | None) -> Answer:
    """Cancels a run."""
    io, api, config = world(args, io)
    policy = RetryPolicy(config.outage_timeout)
    run = run_program(retried(io, policy, api.cancel_run, run_id_of(config)))
    has_finished = run.is_complete and not run.is_cancelled
    text = f"{run}\nThere is nothing to cancel." if has_finished else str(run)
    return Answer(ExitCode.FAILED if has_finished else ExitCode.SUCCEEDED, run, text)


def retry(args: argparse.Namespace, io: IO | None) -> Answer:
    """Retries a failed run from its failed step, and waits for the new run."""
    call = Call(*world(args, io))
    return answer_with(run_program(_retried(call, run_id_of(call.config))), ExitCode.SUCCEEDED)


async def _retried(call: Call, run_id: int) -> DBTCloudRun:
    async with call.abortable():
        failed = await first_read(call.io, call.api, run_id, call.limits)
        if failed.retry_refusal:
            raise DBTCloudException(failed.retry_refusal)
        return await call.report(await call.retry(failed))


def runs(args: argparse.Namespace, io: IO | None) -> Answer:
    """Shows the last runs of a job."""
    call = Call(*world(args, io))
    client = DBTCloudClientV2(credentials=call.config, io=io)
    newest_first = client.list_runs(
        job_definition_id=run_program(call.job_id()),
        order_by="-id",
        include_related=["trigger"],
        limit=args.limit,
    )
    last = list(newest_first)
    heads = ("id", "status", "cause", "created (UTC)", "queued", "ran", "url")
    text = table(heads, map(_run_row, last)) if last else "The job has no runs."
    return Answer(ExitCode.SUCCEEDED, last, text)


def jobs(args: argparse.Namespace, io: IO | None) -> Answer:
    """Shows the jobs of the account."""
    config = resolved(args)
    client = DBTCloudClientV2(credentials=config, io=io)
    where = {"project_id": config.project_id, "environment_id": config.environment_id}
    found = list(client.list_jobs(**where))
    rows = (
        (
            str_of(job.get("id")),
            _one_line(str_of(job.get("name"))),
            str_of(job.get("project_id")),
            str_of(job.get("environment_id")),
            _one_line("; ".join(str_of(step) for step in list_of(job.get("execute_steps")))),
        )
        for job in found
    )
    heads = ("id", "name", "project", "environment", "steps")
    text = table(heads, rows) if found else "The token sees no job in this account."
    return Answer(ExitCode.SUCCEEDED, found, text)


def logs(args: argparse.Namespace, io: IO | None) -> Answer:
    """Shows the logs of a run's steps. With --follow, keeps printing until the run has finished."""
    call = Call(*world(args, io, progress="off"))
    run_id = run_id_of(call.config)
    if args.follow:
        call.watch.logs = StepLogs(Screen(args.stdout), args.step)
        run = run_program(_followed(call, run_id))
        return Answer(ExitCode.SUCCEEDED, _steps(run, args.step), "")
    run = run_program(_read(call, run_id))
    steps = _steps(run, args.step)
    if not steps:
        wanted = f"no step {args.step}" if args.step else "no steps yet"
        raise DBTCloudException(f"Run {run.id} ({run.status_name}) has {wanted}. {run.url}")
    text = "\n".join(f"{it['index']}. {it['name']}\n{it['logs'] or ''}".rstrip() for it in steps)
    return Answer(ExitCode.SUCCEEDED, steps, text)


def report(args: argparse.Namespace, io: IO | None) -> Answer:
    """Writes a page about a run, or Markdown: what failed and why, times, tests and logs."""
    call = Call(*world(args, io))
    run = run_program(_read(call, run_id_of(call.config)))
    text = run.to_markdown() if args.format == "markdown" else run.to_html()
    if args.output is None:
        return Answer(ExitCode.SUCCEEDED, run, text.rstrip("\n"))
    try:
        Path(args.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DBTCloudException(f"Can't write the report to {args.output}: {error}") from error
    return Answer(ExitCode.SUCCEEDED, run, f"The report is in {args.output}")


def _run_row(run: DBTCloudRun) -> tuple[str, ...]:
    return (
        str(run.id),
        outcome(run),
        _one_line(run.cause),
        str_of(run.get("created_at"))[:19],
        str_of(run.get("queued_duration")),
        str_of(run.get("run_duration")),
        run.url,
    )


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_CAUSE else line[: MAX_CAUSE - 3] + "..."


async def _read(call: Call, run_id: int) -> DBTCloudRun:
    """Returns a run as it is, with all that can be read of it."""
    found = await first_read(call.io, call.api, run_id, call.limits)
    return await read_report(call.io, call.api, found)


async def _followed(call: Call, run_id: int) -> DBTCloudRun:
    async with call.abortable():
        found = await first_read(call.io, call.api, run_id, call.limits)
        found = await read_report(call.io, call.api, await call.follow(found))
        call.watch.reported(found)
        return found


def _steps(run: DBTCloudRun, only: int | None) -> list[dict[str, object]]:
    steps = (
        {"index": int_of(step.get("index")), "name": step.get("name"), "logs": step.get("logs")}
        for step in run.steps
    )
    return [step for step in steps if only in (None, step["index"])]
