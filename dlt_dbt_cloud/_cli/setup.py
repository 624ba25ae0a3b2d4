"""The commands for the first minutes: write the settings, and check them."""

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import Any, Final

import tomlkit
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from tomlkit.exceptions import TOMLKitError

from dlt_dbt_cloud._call.checking import check_job
from dlt_dbt_cloud._cli.answers import Answer, ExitCode, exit_code_of, settings_of, table
from dlt_dbt_cloud._io import IO
from dlt_dbt_cloud._io import run as run_program
from dlt_dbt_cloud._settings.lookup import SECTION
from dlt_dbt_cloud._values import str_of
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import (
    DBTCloudConfiguration,
    checked_id,
    resolve_dbt_cloud_configuration,
)
from dlt_dbt_cloud.exceptions import DBTCloudException

SECRET: Final = 0o600
"""Only the owner can read a new file with a token."""


def check(args: argparse.Namespace, io: IO | None) -> Answer:
    """Checks host, token, account and job, and says what to fix. Triggers nothing."""
    report = run_program(check_job(settings_of(args), args.pipeline_name, io))
    errors = (it.error or DBTCloudException(it.message) for it in report.findings if it.ok is False)
    return Answer(
        max(map(exit_code_of, errors), default=ExitCode.SUCCEEDED),
        [finding.to_dict() for finding in report.findings],
        str(report),
    )


def init(args: argparse.Namespace, io: IO | None) -> Answer:
    """Writes host, token, account and job into .dlt/secrets.toml and .dlt/config.toml."""
    host = args.base_api_url or _asked("Access URL of the account (Account settings, Access URLs)")
    account = args.account_id or _asked("Id of the account (in the address bar)")
    token = _token()
    config = resolve_dbt_cloud_configuration(
        DBTCloudConfiguration(api_token=token, account_id=account, base_api_url=host)
    )
    jobs = list(DBTCloudClientV2(credentials=config, io=io).list_jobs())
    job = _chosen(args.job, jobs)
    folder = Path(Container()[PluggableRunContext].context.settings_dir)
    settings = {
        "base_api_url": host.strip(),
        "account_id": str(config.account_id),
        "job_id": str(checked_id("job_id", job.get("id"))),
    }
    _write(folder / "config.toml", settings)
    _write(folder / "secrets.toml", {"api_token": str(config.api_token)}, SECRET)
    text = (
        f"Job {str_of(job.get('name'))} ({settings['job_id']}) is in {folder / 'config.toml'}, the"
        f" token in {folder / 'secrets.toml'}.\nNext: dlt dbt-cloud check"
    )
    return Answer(ExitCode.SUCCEEDED, settings, text)


def _asked(question: str) -> str:
    """Returns what a person types. The question goes to standard error."""
    sys.stderr.write(f"{question}: ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if not answer:
        raise DBTCloudException("No answer. See `dlt dbt-cloud init --help` for the options.")
    return answer


def _token() -> str:
    """Returns the token. It is no option: anyone who lists the processes would see it."""
    question = 'Service token or personal access token, with the permission "Job runner": '
    if sys.stdin.isatty():
        return getpass.getpass(question, sys.stderr)
    return os.environ.get("DBT_CLOUD__API_TOKEN") or _asked(question.rstrip(": "))


def _chosen(wanted: str | None, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a job by its id or name, the only one, or the one that a person chooses."""
    if not jobs:
        raise DBTCloudException("The token sees no job in this account. Create one in dbt Cloud.")
    if wanted is None and len(jobs) > 1:
        rows = [(str_of(job.get("id")), str_of(job.get("name"))) for job in jobs]
        sys.stderr.write(f"{table(('id', 'name'), rows)}\n")
        wanted = _asked("Id or name of the job to run")
    names = ({str_of(job.get("id")), str_of(job.get("name"))} for job in jobs)
    found = [job for job, known in zip(jobs, names, strict=True) if wanted in (None, *known)]
    if len(found) == 1:
        return found[0]
    raise DBTCloudException(
        f"{len(found) or 'No'} jobs are named {wanted!r}. Pass an id: see dlt dbt-cloud jobs"
    )


def _write(path: Path, settings: dict[str, str], mode: int = 0o644) -> None:
    """Sets settings in the section of a TOML file, and leaves the rest as it is.

    The file is replaced atomically: a process that is killed leaves the old or the new one.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        document = tomlkit.parse(text)
        section = document.setdefault(SECTION, tomlkit.table())
        section.update(settings)
    except (OSError, TOMLKitError, AttributeError) as error:
        raise DBTCloudException(f"Can't read {path}: {error}") from error
    new = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    new.touch(mode=mode)
    if path.exists():
        new.chmod(path.stat().st_mode)
    new.write_text(tomlkit.dumps(document), encoding="utf-8")
    new.replace(path.resolve())
