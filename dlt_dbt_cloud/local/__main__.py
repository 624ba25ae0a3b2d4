"""The command: `python -m dlt_dbt_cloud.local --project-dir DIR -- python my_pipeline.py`."""

import argparse
import os
import shutil
import signal
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

try:
    from dlt_dbt_cloud.local.api.behaviours import table
    from dlt_dbt_cloud.local.config import jobs_from_toml
    from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
    from dlt_dbt_cloud.local.jobs import DBTJob
    from dlt_dbt_cloud.local.runners.project import OWN
    from dlt_dbt_cloud.local.server import LocalDBTCloud
    from dlt_dbt_cloud.local.wrapping import wrap
except ImportError as error:
    sys.stderr.write(f"{error}\nThe local dbt Cloud needs the extra `local-duckdb`, or `local` for")
    sys.stderr.write(' scripted jobs alone. In a clone: pip install ".[local-duckdb]"\n')
    raise SystemExit(2) from None

_DESCRIPTION = """\
Run a command against a local dbt Cloud, which serves dbt Cloud's API over the dbt Core of this
Python environment. The command finds it in its environment, as DBT_CLOUD__API_TOKEN,
DBT_CLOUD__ACCOUNT_ID, DBT_CLOUD__JOB_ID and DBT_CLOUD__BASE_API_URL. While it runs, dlt_dbt_cloud
uses no other dbt Cloud, whatever its settings say: a job that does not exist here is replaced by
the first one. Without a command it serves until Ctrl-C, and prints the lines for
.dlt/secrets.toml.
"""
_KEPT_RUNS: Final = 100


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
        host=options.host,
        plain_http_host=options.plain_http_host,
        port=options.port,
        api_token=options.api_token,
        runs_dir=options.runs_dir or _kept_runs(options.project_dir),
        strict=options.strict,
    )


def _kept_runs(project_dir: str | None) -> Path | None:
    """Find where runs are kept after the command, so that files that a log names can be opened.

    Deletes all runs there but the last.

    Returns:
        A folder in the project. None if none can be written to.
    """
    if not project_dir or not (Path(project_dir) / "dbt_project.yml").is_file():
        return None
    folder = Path(project_dir) / OWN / "runs"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        return None
    for old in sorted(folder.iterdir())[:-_KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _job(options: argparse.Namespace) -> DBTJob:
    return DBTJob(
        project_dir=options.project_dir,
        profiles_dir=options.profiles_dir,
        target=options.target,
        steps=tuple(options.step) or ("dbt build",),
        name=options.name,
        env=dict(options.env),
        dbt=options.dbt,
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
    add(
        "--profiles-dir",
        metavar="DIR",
        help="folder of the profiles.yml, by default as for dbt or in the project",
    )
    add("--dbt", metavar="PATH", help="the dbt to call, by default this Python's or that on PATH")
    add("--target", help="output of the profile, by default the profile's own")
    add("--step", action="append", default=[], help="a dbt command, repeatable (dbt build)")
    add("--name", default="", help="name of the job, by default that of the folder")
    add(
        "--env", action="append", default=[], type=_variable, metavar="K=V", help="variable for dbt"
    )
    add("--config", metavar="FILE", help="TOML file with more jobs, as tables [[jobs]]")
    add("--host", default="127.0.0.1", help="where to listen, see --plain-http-host")
    add(
        "--plain-http-host",
        metavar="NAME",
        help="the name by which other machines reach it: they send the token over plain HTTP, "
        "anyone on the network path can read it. Set DBT_CLOUD_PLAIN_HTTP_HOST=NAME there",
    )
    add("--port", type=int, default=0, help="port to listen on (any free one)")
    add("--api-token", metavar="TOKEN", help="token that clients must send (a random one)")
    add("--runs-dir", metavar="DIR", help="folder of logs and artifacts (in the project's target/)")
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
