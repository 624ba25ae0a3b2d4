"""What runs share of a dbt project: its version, its packages, and what dbt has parsed of it."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.jobs import DBTJob

OWN: Final = Path("target", "local_dbt_cloud")
"""The folder in a project for what the local dbt Cloud keeps."""
_PARSED: Final = "partial_parse.msgpack"
_FILES: Final = ("packages.yml", "dependencies.yml")
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


def has_packages(project_dir: Path) -> bool:
    """Return True if a project names packages."""
    return any((project_dir / name).is_file() for name in _FILES)


class Packages:
    """The installed packages of a project: one run installs them, any number reads them.

    The lock is a file that all local dbt Clouds on this machine see. It holds a digest of what the
    last `dbt deps` has installed.
    """

    def __init__(self, project_dir: Path) -> None:
        self._project_dir = project_dir
        self._place = project_dir / OWN / "packages.lock"

    @contextmanager
    def locked(self, *, is_install: bool) -> Iterator[bool]:
        """Yield True if this run may install the packages, or read them.

        It is False as long as other runs prevent that. In a project that can't be written to nobody
        installs anything.
        """
        if not has_packages(self._project_dir):
            yield True
            return
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._place, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            yield True
            return
        try:
            yield _lock(file, is_shared=not is_install)
        finally:
            os.close(file)

    @property
    def are_installed(self) -> bool:
        """Whether the last installation is what the project requires."""
        try:
            return self._place.read_text(encoding="utf-8") == self._wanted()
        except OSError:
            return False

    def installed(self) -> None:
        """Remember what was installed. The lock must be held."""
        with suppress(OSError):
            self._place.write_text(self._wanted(), encoding="utf-8")

    def _wanted(self) -> str:
        names = (*_FILES, "package-lock.yml", "dbt_project.yml")
        paths = [self._project_dir / name for name in names]
        parts = [path.read_bytes() if path.is_file() else b"" for path in paths]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def _lock(file: int, *, is_shared: bool) -> bool:
    import fcntl  # noqa: PLC0415  # not on Windows, where no dbt runs

    how = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def kept(job: DBTJob) -> Path | None:
    """Find what dbt has parsed for a job, or else for a person who called it in the project.

    dbt decides whether it still fits: it parses what has changed, or everything if anything else
    is different.
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
    # Jobs that differ in what dbt compares would replace each other's file.
    what = repr((job.name, job.target, str(job.profiles_dir)))
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    return Path(job.project_dir) / OWN / f"{name}.msgpack"
