"""The commands that read a run out: its logs, and its report."""

import argparse
from pathlib import Path

from dlt_dbt_cloud._call import Call
from dlt_dbt_cloud._cli.answers import Answer, ExitCode, resolved, run_id_of, world
from dlt_dbt_cloud._follow.first import first_read
from dlt_dbt_cloud._follow.logs import StepLogs
from dlt_dbt_cloud._follow.screen import Screen
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._io import run as run_program
from dlt_dbt_cloud._report import report as read_report
from dlt_dbt_cloud._values import int_of
from dlt_dbt_cloud.exceptions import DBTCloudException
from dlt_dbt_cloud.run import DBTCloudRun


def logs(args: argparse.Namespace, io: IO | None) -> Answer:
    """Shows the logs of a run's steps. With --follow while they are written."""
    config = resolved(args, progress="off")
    run_id = run_id_of(config)
    call = Call(*world(config, io), config)
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
    config = resolved(args)
    run_id = run_id_of(config)
    run = run_program(_read(Call(*world(config, io), config), run_id))
    text = run.to_markdown() if args.format == "markdown" else run.to_html()
    if args.output is None:
        return Answer(ExitCode.SUCCEEDED, run, text.rstrip("\n"))
    try:
        Path(args.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DBTCloudException(f"Can't write the report to {args.output}: {error}") from error
    return Answer(ExitCode.SUCCEEDED, run, f"The report is in {args.output}")


async def _read(call: Call, run_id: int) -> DBTCloudRun:
    """Returns a run as it is, with all that can be read of it."""
    return await read_report(
        call.io, call.api, await first_read(call.io, call.api, run_id, call.limits)
    )


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
