"""Installs the packages of a dbt project in a folder that several runs may share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dlt_dbt_cloud.local.runners.project import OWN

_FILES: Final = ("packages.yml", "dependencies.yml")


def has_packages(project_dir: Path) -> bool:
    """Return True if a project names packages."""
    return any((project_dir / name).is_file() for name in _FILES)


class Packages:
    """The installed packages of a project: one run installs them, any number reads them.

    The lock is a file that all local dbt Clouds on this machine see. In it stands what the packages
    were that the last `dbt deps` has installed.
    """

    def __init__(self, project_dir: Path) -> None:
        self._project_dir = project_dir
        self._place = project_dir / OWN / "packages.lock"

    @contextmanager
    def locked(self, *, is_install: bool) -> Iterator[bool]:
        """Yield True if the packages are this run's to install, or to read.

        It is False as long as other runs keep it from that. In a project that can't be written to
        nobody installs anything.
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
        """Whether the last installation is what the project asks for."""
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
