"""The version of a project, which has no commit here: what its files are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

READ: Final = frozenset({".csv", ".md", ".py", ".sql", ".yaml", ".yml"})
"""The files of a project that dbt reads. A database may be beside them."""

WRITTEN: Final = frozenset({"dbt_packages", "logs", "target"})
"""The folders that dbt writes."""


def version_of(project_dir: Path) -> str:
    """Return a digest of a project's files, as long as the SHA of a commit."""
    found = hashlib.sha256()
    for folder, folders, names in os.walk(project_dir):
        folders[:] = sorted(it for it in folders if it not in WRITTEN and not it.startswith("."))
        for path in (Path(folder, name) for name in sorted(names)):
            if path.suffix in READ and path.is_file():
                content = path.read_bytes()
                found.update(f"{path.relative_to(project_dir)} {len(content)} ".encode())
                found.update(content)
    return found.hexdigest()[:40]
