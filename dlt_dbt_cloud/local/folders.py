"""A temporary folder that doesn't outlive the process, however that ends."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# It waits for the end of its input, which comes with the end of this process, also by `kill -9`.
# dbt may still be writing then, so it tries again.
_WAIT_AND_DELETE: Final = 'read -r _; for _ in 1 2 3 4 5; do rm -rf "$1" && break; sleep 1; done'


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder, and delete it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="local_dbt_cloud_"))
    guard = _guard(folder) if os.name == "posix" else None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if guard:
            with guard:
                guard.terminate()


def _guard(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", _WAIT_AND_DELETE, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is not for it
    )
