"""The pages of the docs: their examples run, what is made from the code is up to date."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.reference import PATH, reference

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = "".join(path.read_text() for path in (ROOT / "dlt_dbt_cloud").rglob("*.py"))


def page(name: str) -> str:
    """Returns a page."""
    return (ROOT / "docs" / f"{name}.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    """Returns the examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.stem))
def test_links(path: Path) -> None:
    """Each link to another file leads to one."""
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_readme_names_each_page() -> None:
    """The README leads to each page."""
    readme = PAGES[0].read_text()
    assert [path.name for path in PAGES[1:] if f"docs/{path.name})" not in readme] == []


def test_settings() -> None:
    """The page of the settings is what the code says: `make reference`."""
    assert PATH.read_text() == reference()


def test_getting_started(dlt_world: Path) -> None:
    """The project and the script of the page run, with real dbt, and print what is shown."""
    text = page("getting-started")
    files = re.findall(r"`(shop_dbt/[\w/.]+)`\n\n```\w+\n(.*?)```", text, re.DOTALL)
    assert len(files) == 3
    for name, content in files:
        (dlt_world / name).parent.mkdir(parents=True, exist_ok=True)
        (dlt_world / name).write_text(content)
    (script,) = blocks(text, "python")
    (dlt_world / "shop_pipeline.py").write_text(script)
    install, run = blocks(text, "sh")[0].strip().splitlines()
    assert install.startswith("pip install")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", run],  # noqa: S607  # of whatever machine
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"dbt Cloud run \d+ of job shop_dbt: Success", done.stdout), done.stdout


def test_migrating() -> None:
    """The imports of dlt's helper are there."""
    for block in blocks(page("migrating"), "python"):
        exec(block, {})  # noqa: S102  # our own page


def test_local(dlt_world: Path) -> None:
    """The examples of the local dbt Cloud with scripted jobs run, one after the other."""
    namespace: dict[str, object] = {}
    for block in blocks(page("local"), "python"):
        exec(block, namespace)  # noqa: S102  # our own page


def test_troubleshooting() -> None:
    """Each message of the table is one that the code says."""
    code = re.sub(r'"\s*f?"', "", CODE)  # strings that go over several lines
    rows = re.findall(r"^\| `+ ?(.*?) ?`+ \|", page("troubleshooting"), re.MULTILINE)
    assert len(rows) >= 10
    for message in rows:
        words = re.sub(r"answered \d+", "dbt Cloud answered", message)
        words = words.replace("`", "").replace("api_token", "").replace("base_api_url", "")
        pieces = [it.strip(": ") for it in re.split(r"Invalid :|run_key", words) if it.strip(": ,")]
        assert all(piece in code.replace("`", "") for piece in pieces), pieces


def test_architecture() -> None:
    """Each room of the table is there."""
    table = page("architecture").partition("| room |")[2]
    for cell in re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE):
        for name in re.findall(r"`([\w/.]+)`", cell):
            assert (ROOT / "dlt_dbt_cloud" / name).exists(), name
