"""The files of a dbt project: their version, and what dbt has parsed of them.

What dbt has parsed is kept beside the project, for the next run and the next server.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.jobs import DBTJob

OWN: Final = Path("target", "local_dbt_cloud")
"""The folder in a project for what the local dbt Cloud keeps."""
_PARSED: Final = "partial_parse.msgpack"
_READ: Final = frozenset({".csv", ".md", ".py", ".sql", ".yaml", ".yml"})
"""The files of a project that dbt reads. A database may be beside them."""
_WRITTEN: Final = frozenset({"dbt_packages", "logs", "target"})
"""The folders that dbt writes."""


def version_of(project_dir: Path) -> str:
    """Return what stands for the commit of a project: a digest of its files, as long as a SHA."""
    found = hashlib.sha256()
    for folder, folders, names in os.walk(project_dir):
        folders[:] = sorted(it for it in folders if it not in _WRITTEN and not it.startswith("."))
        for path in (Path(folder, name) for name in sorted(names)):
            if path.suffix in _READ and path.is_file():
                content = path.read_bytes()
                found.update(f"{path.relative_to(project_dir)} {len(content)} ".encode())
                found.update(content)
    return found.hexdigest()[:40]


def kept(job: DBTJob) -> Path | None:
    """Find what dbt has parsed for a job, or else for whoever called it in the project.

    Whether it still fits is for dbt to say: it parses what has changed, and all of it if anything
    else is different.
    """
    own = Path(job.project_dir) / "target" / _PARSED
    return next((path for path in (_place(job), own) if path.is_file()), None)


def keep(job: DBTJob, target_path: Path) -> Path | None:
    """Keep what a step has parsed.

    Returns:
        Where it is now: with the step if the project can't be written to. None if the step had
        nothing to parse.
    """
    parsed, place = target_path / _PARSED, _place(job)
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
    return Path(job.project_dir) / OWN / f"{name}.msgpack"
