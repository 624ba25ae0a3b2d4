"""The wheel and the sdist in dist/, before anyone uploads them: `make release`."""

import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
(WHEEL,) = (ROOT / "dist").glob("*.whl")
(SDIST,) = (ROOT / "dist").glob("*.tar.gz")


def tracked(folder: str = ".") -> set[str]:
    """Returns the files of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", folder],  # noqa: S607  # of whatever machine
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.splitlines())


def test_wheel() -> None:
    """The wheel has the package, all of it and nothing else."""
    names = set(zipfile.ZipFile(WHEEL).namelist())
    assert {it for it in names if ".dist-info/" not in it} == tracked("dlt_dbt_cloud")
    assert any(it.endswith("licenses/LICENSE") for it in names)


def test_sdist() -> None:
    """The sdist has the repository, all of it and nothing else."""
    with tarfile.open(SDIST) as sdist:
        names = {it.name.partition("/")[2] for it in sdist.getmembers() if it.isfile()}
    assert names - {"PKG-INFO"} == tracked()


def test_version() -> None:
    """The version is the newest one in the changelog."""
    (newest, *_) = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert WHEEL.name.startswith(f"dlt_dbt_cloud-{newest}-")
    assert SDIST.name == f"dlt_dbt_cloud-{newest}.tar.gz"
