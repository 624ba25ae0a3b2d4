"""Breaks one rule of the program at a time, and shows whether the simulation notices.

A mutation replaces a text in a copy of the package. A text that is not there any more is an error:
the list has to follow the code.
"""

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.simulation.mutations import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
SCHEDULES = 1_600


def survivors() -> int:
    """Writes which mutants survive, and returns how many."""
    alive = 0
    with ThreadPoolExecutor(2) as pool:
        for mutant, law in zip(MUTANTS, pool.map(_caught_by, MUTANTS), strict=True):
            verdict = "caught" if law else "ALIVE"
            sys.stdout.write(f"{verdict:8}{mutant.file:24}{mutant.rule}: {law}\n")
            sys.stdout.flush()
            alive += not law
    sys.stdout.write(f"{len(MUTANTS)} mutants, {alive} alive.\n")
    return alive


def _caught_by(mutant: Mutant) -> str:
    """Returns the first law that a mutant breaks, empty if it survives."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "dlt_dbt_cloud")
        shutil.copytree(
            ROOT / "dlt_dbt_cloud", package, ignore=shutil.ignore_patterns("__pycache__")
        )
        Path(folder, "tests").symlink_to(ROOT / "tests")
        file = package / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise ValueError(f"{mutant.file} has {text.count(mutant.old)} times: {mutant.old}")
        file.write_text(text.replace(mutant.old, mutant.new))
        command = [sys.executable, "-m", "tests.simulation", "--first-failure"]
        command += ["--schedules", str(SCHEDULES)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and not done.stdout:
        return f"crashes: {done.stderr.strip().splitlines()[-1]}"
    return done.stdout.strip()
