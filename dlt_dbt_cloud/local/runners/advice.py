"""Says in the log of a failed step what a person can do, instead of a traceback."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.exceptions import LocalDBTCloudException
from dlt_dbt_cloud.local.jobs import DBTJob

_LOCKED: Final = "Could not set lock on file"
# What follows dbt's own message, up to the last exception.
_TRACEBACK: Final = re.compile(
    r"^[\d:]* *Traceback \(most recent call last\):\n(?:.*\n)*[\w.]*duckdb\.\w+: .*\n?",
    re.MULTILINE,
)
_HOLDER: Final = re.compile(
    r'Could not set lock on file "(.*)": Conflicting lock is held in (.*?) ?\(PID (\d+)\)'
)


def is_locked(log: Path) -> bool:
    """Return True if a step failed because someone else has its DuckDB file open."""
    return _LOCKED in _read(log)


def explain(log: Path, job: DBTJob) -> None:
    """Replace the traceback in the log of a failed step, and add what to do.

    dbt's own traceback stays in its debug log.
    """
    text = _read(log)
    advice = [*_close_it(text), *_relative(job)]
    shown = _TRACEBACK.sub("", text).rstrip()
    if advice or shown != text.rstrip():
        log.write_text("\n\n".join([shown, *advice]) + "\n", encoding="utf-8")


def _close_it(text: str) -> Iterator[str]:
    if found := _HOLDER.search(text):
        database, program, pid = found.groups()
        yield (
            f"The DuckDB file {database} is open in another process, {program} with PID {pid}, and "
            "DuckDB lets only one write. Close the connection there, or end the process: most "
            "likely a notebook, a SQL shell or a dlt pipeline. Then run the job again."
        )


def _relative(job: DBTJob) -> Iterator[str]:
    """Say which file a relative path of DuckDB means, if there is another that it could mean."""
    try:
        written = str(job.profile().output.get("path", ""))
    except LocalDBTCloudException:  # dbt has said so
        return
    path = job.profiles.render(written) or ""
    here, there = Path(job.cwd, path).resolve(), Path(job.project_dir, path).resolve()
    if path and here != there and there.is_file():
        yield (
            f"The path {path!r} in the profile starts where dbt is called, so it means {here}, as "
            f"with `dbt build --project-dir {job.project_dir}`. It doesn't mean {there}, which "
            "exists too."
        )


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
