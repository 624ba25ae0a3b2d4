"""The command `dlt dbt-cloud sources`."""

import argparse
from pathlib import Path
from typing import Final

import dlt
from dlt.pipeline.exceptions import CannotRestorePipelineException

from dlt_dbt_cloud._cli.answers import Answer, ExitCode
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud.exceptions import InvalidCredentialsException

FILE: Final = "models/sources.yml"


def sources(args: argparse.Namespace, io: IO | None) -> Answer:
    """Writes the sources.yml of a dbt project for what a pipeline has loaded."""
    del io  # nothing is requested
    from dlt_dbt_cloud.sources.yml import (  # noqa: PLC0415  # dlt imports the parser at each use
        dbt_sources,
        update_sources_yml,
    )

    name = args.pipeline or args.pipeline_name
    if not name:
        raise InvalidCredentialsException("Name the pipeline: dlt dbt-cloud sources my_pipeline")
    path = Path(args.output or FILE)
    old = path.read_text(encoding="utf-8") if path.exists() and (args.output or args.check) else ""
    try:
        pipeline = dlt.attach(name)
    except CannotRestorePipelineException as error:
        raise InvalidCredentialsException(str(error)) from None
    found = dbt_sources(pipeline, loaded_at_field=args.loaded_at_field)
    new = update_sources_yml(old, found)
    is_behind = new.text != old
    data = {"path": str(path), "is_behind": is_behind, "gone": new.gone, "text": new.text}
    if not args.check and not args.output:
        return Answer(ExitCode.SUCCEEDED, data, new.text.rstrip())
    fails = args.check and is_behind
    state = f"{path} is {'not up to date: pass --output to update it' if fails else 'up to date'}."
    if not args.check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(new.text, encoding="utf-8")
    text = "\n".join([state, *(f"Gone from the schema: {it}" for it in new.gone)])
    return Answer(ExitCode.FAILED if fails else ExitCode.SUCCEEDED, data, text)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add = parser.add_argument
    add("pipeline", nargs="?", help="Name of the pipeline.")
    add("--json", action="store_true", help="Print JSON, and nothing else.")
    add("--pipeline-name", metavar="NAME", help="Same as PIPELINE.")
    add("--output", metavar="FILE", help="File to write or update, by default standard output.")
    stale = f"Write nothing; exit with 1 if the file ({FILE} or --output) is out of date."
    add("--check", action="store_true", help=stale)
    old = "Write `loaded_at_field` instead of `loaded_at_query`, for dbt before 1.10."
    add("--loaded-at-field", action="store_true", help=old)
