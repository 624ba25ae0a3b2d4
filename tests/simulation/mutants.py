"""Breaks one rule of the program at a time, and shows whether a law of the simulation notices.

A mutant is a change to a copy of the package. `test_simulation.py` says which mutants no longer fit
the code: the list has to follow it.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.simulation.mutations import MUTANTS, Mutant

ROOT: Final = Path(__file__).parents[2]
SCHEDULES: Final = 3_200
MAX_SECONDS: Final = 900
"""A mutant that hangs is caught too."""

Place = tuple[str, Mutant]


def mutated(file: str, mutant: Mutant) -> str:
    """Returns the text of a file with one rule broken.

    Raises:
        ValueError: The fragment does not stand in the file, or more than once.
    """
    text = (ROOT / "dlt_dbt_cloud" / file).read_text()
    is_constant = mutant.old.isupper()
    words = (re.escape(word) for word in mutant.old.split())
    fragment = rf"^{mutant.old}: Final = .*$" if is_constant else r"\s+".join(words)
    new = f"{mutant.old}: Final = {mutant.new}" if is_constant else mutant.new
    changed, count = re.subn(fragment, new.replace("\\", r"\\"), text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{file} has {count} times: {mutant.old}")
    return changed


def survivors(part: str) -> int:
    """Writes which mutants survive, and returns how many. Only rules or files with `part` count."""
    places = [
        (file, mutant)
        for file, mutants in MUTANTS.items()
        for mutant in mutants
        if part in f"{file} {mutant.rule}"
    ]
    alive = 0
    with ThreadPoolExecutor(2) as pool:
        for (file, mutant), law in zip(places, pool.map(_caught_by, places), strict=True):
            verdict = "caught" if law else "ALIVE"
            sys.stdout.write(f"{verdict:8}{file:26}{mutant.rule}: {law}\n")
            sys.stdout.flush()
            alive += not law
    sys.stdout.write(f"{len(places)} mutants, {alive} alive.\n")
    return alive


def _caught_by(place: Place) -> str:
    """Returns the first law that a mutant breaks, or the test that fails, empty if it survives."""
    file, mutant = place
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "dlt_dbt_cloud")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "dlt_dbt_cloud", package, ignore=ignored)
        for name in ("tests", "pyproject.toml"):
            Path(folder, name).symlink_to(ROOT / name)
        (package / file).write_text(mutated(file, mutant))
        command = ["tests.simulation", "--first-failure", "--schedules", str(SCHEDULES)]
        if mutant.tests:
            command = ["pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
            command += mutant.tests.split()
        return _failure(folder, command)


def _failure(folder: str, command: list[str]) -> str:
    """Returns the line that tells why a command fails, empty if it does not."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder},
            capture_output=True,
            text=True,
            check=False,
            timeout=MAX_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if not done.returncode:
        return ""
    lines = done.stdout.splitlines()
    failed = [
        line.removeprefix("FAILED ") for line in lines if line.startswith(("FAILED", "ERROR"))
    ]
    return [*(failed or lines or done.stderr.splitlines()[-1:]), "crashes"][0]
