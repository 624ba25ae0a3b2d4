"""The command: `python -m dlt_dbt_cloud.local --project-dir DIR -- python my_pipeline.py`."""

from __future__ import annotations

import argparse
import signal
import sys
import webbrowser
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from dlt_dbt_cloud.local.api.behaviours import table
from dlt_dbt_cloud.local.config import jobs_from_toml
from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.jobs import DBTJob
from dlt_dbt_cloud.local.server import LocalDBTCloud
from dlt_dbt_cloud.local.wrapping import wrap

_DESCRIPTION = """\
Run a command against a local dbt Cloud, which serves dbt Cloud's API over the dbt Core of this
Python environment. The command finds it in its environment, as DBT_CLOUD__API_TOKEN,
DBT_CLOUD__ACCOUNT_ID, DBT_CLOUD__JOB_ID and DBT_CLOUD__BASE_API_URL. Whatever its settings say,
dlt_dbt_cloud uses no other dbt Cloud under the command: a job that does not exist here is replaced
by the first one. Without a command it serves until Ctrl-C, and prints the lines for
.dlt/secrets.toml.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit code: that of the wrapped command, 0 after serving, 2 if it can't start.
    """
    options, command = _parsed(sys.argv[1:] if argv is None else list(argv))
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _stop)
    try:
        with _cloud(options) as cloud:
            if options.open:
                webbrowser.open(cloud.url)
            return wrap(command, cloud.environment) if command else _serve(cloud)
    except LocalDBTCloudException as e:
        print(f"error: {e}", file=sys.stderr)
        return 2


def _stop(signum: int, _: FrameType | None) -> NoReturn:
    signal.signal(signum, signal.SIG_IGN)  # nothing is to disturb the cleaning up
    raise SystemExit(0)


def _serve(cloud: LocalDBTCloud) -> NoReturn:
    print(f"# Serving {cloud.url} until Ctrl-C. For .dlt/secrets.toml:\n[dbt_cloud]")
    for name, value in cloud.settings().items():
        print(f'{name} = "{value}"')
    for job in cloud.jobs[1:]:
        print(f'# job_id = "{job.id}"  # {job.name}')
    sys.stdout.flush()
    while True:
        signal.pause()


def _cloud(options: argparse.Namespace) -> LocalDBTCloud:
    jobs = jobs_from_toml(options.config) if options.config else []
    if options.project_dir:
        jobs.insert(0, _job(options))
    return LocalDBTCloud(
        jobs=jobs,
        port=options.port,
        api_token=options.api_token,
        runs_dir=options.runs_dir,
        strict=options.strict,
    )


def _job(options: argparse.Namespace) -> DBTJob:
    return DBTJob(
        project_dir=options.project_dir,
        profiles_dir=options.profiles_dir,
        target=options.target,
        steps=tuple(options.step) or ("dbt build",),
        name=options.name,
        env=dict(options.env),
    )


def _parsed(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    split = argv.index("--") if "--" in argv else len(argv)
    parser = _parser()
    options = parser.parse_args(argv[:split])
    if not options.project_dir and not options.config:
        parser.error("name a dbt project with --project-dir, or a file of jobs with --config")
    return options, argv[split + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dlt_dbt_cloud.local",
        usage="%(prog)s [options] [-- command ...]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--project-dir", metavar="DIR", help="folder of the dbt project that the job runs")
    add("--profiles-dir", metavar="DIR", help="folder of the profiles.yml, by default as for dbt")
    add("--target", help="output of the profile, by default the profile's own")
    add("--step", action="append", default=[], help="a dbt command, repeatable (dbt build)")
    add("--name", default="", help="name of the job, by default that of the folder")
    add("--env", action="append", default=[], type=_variable, metavar="K=V", help="for the runs")
    add("--config", metavar="FILE", help="TOML file with more jobs, as tables [[jobs]]")
    add("--port", type=int, default=0, help="port to listen on (any free one)")
    add("--api-token", metavar="TOKEN", help="token that clients must send (a random one)")
    add("--runs-dir", metavar="DIR", help="folder to keep logs and artifacts in (temporary)")
    add("--strict", action="store_true", help="refuse what rests on a guess, with 501")
    add("--fidelity", action="version", version=table(), help="print what is known and guessed")
    add("--open", action="store_true", help="open the page of jobs and runs in a browser")
    return parser


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
