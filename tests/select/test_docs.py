"""The pages about selecting and results: their queries and tables are those of the code."""

from tests.docs.pages import ROOT, blocks
from tests.results.reference import PATH, reference

NAMES = ("loads_to_models", "models_to_loads", "loads_without_run")


def test_sql() -> None:
    """The queries of loads and models are the files of the samples, which `test_lineage` runs."""
    files = [(ROOT / "sample_pipelines" / f"{name}.sql").read_text() for name in NAMES]
    shown = blocks(ROOT / "docs" / "select.md", "sql")
    assert [file.endswith(block) for file, block in zip(files, shown, strict=True)] == [True] * 3


def test_tables() -> None:
    """The tables on the page are those of the code: `make reference`."""
    assert PATH.read_text() == reference()
