"""The pages of the docs: their links lead somewhere, and what they say of the code is true."""

import re
from pathlib import Path

import pytest

import dlt_dbt_cloud
from dlt_dbt_cloud import local
from tests.docs.pages import DOCS, PAGES, ROOT, SAMPLES, page
from tests.docs.reference import PATH, reference

CODE = "".join(path.read_text() for path in (ROOT / "dlt_dbt_cloud").rglob("*.py"))


@pytest.mark.parametrize("path", [*PAGES, *SAMPLES], ids=lambda path: str(path.stem))
def test_links(path: Path) -> None:
    """Each link to another file leads to one."""
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_readme_names_each_page() -> None:
    """The README leads to each page."""
    readme = PAGES[0].read_text()
    assert [path.name for path in DOCS if f"docs/{path.name})" not in readme] == []


def test_settings() -> None:
    """The page of the settings is what the code says: `make reference`."""
    assert PATH.read_text() == reference()


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


def test_api() -> None:
    """The reference has each public name. Those of Airflow need an Airflow to be imported."""
    text = page("api")
    for module in (dlt_dbt_cloud, local):
        for name in module.__all__:
            assert f"\n::: {module.__name__}.{name}\n" in text
    operator = (ROOT / "dlt_dbt_cloud" / "airflow" / "__init__.py").read_text()
    for name in re.findall(r'^    "(\w+)",$', operator, re.MULTILINE):
        assert f"\n::: dlt_dbt_cloud.airflow.{name}\n" in text
