"""Keeps what dbt has parsed beside the project, for the next run and the next server."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.jobs import DBTJob

NAME: Final = "partial_parse.msgpack"


def kept(job: DBTJob) -> Path | None:
    """Find what dbt has parsed for a job, or else for whoever called it in the project.

    Whether it still fits is for dbt to say: it parses what has changed, and all of it if anything
    else is different.
    """
    own = Path(job.project_dir) / "target" / NAME
    return next((path for path in (_place(job), own) if path.is_file()), None)


def keep(job: DBTJob, target_path: Path) -> Path | None:
    """Keep what a step has parsed.

    Returns:
        Where it is now: with the step if the project can't be written to. None if the step had
        nothing to parse.
    """
    parsed, place = target_path / NAME, _place(job)
    if not parsed.is_file():
        return None
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_suffix(f".{os.getpid()}")
        shutil.copyfile(parsed, draft)
        draft.replace(place)
        return place
    return parsed


def _place(job: DBTJob) -> Path:
    # Jobs that differ in what dbt compares would undo each other's.
    what = repr((job.name, job.target, str(job.profiles_dir)))
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    return Path(job.project_dir) / "target" / "local_dbt_cloud" / f"{name}.msgpack"
