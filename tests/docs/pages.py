"""The pages that people read, and the blocks of code in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
SAMPLES = sorted((ROOT / "sample_pipelines").rglob("README.md"))


def page(name: str) -> str:
    """Returns a page of the docs."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    """Returns the blocks of a page in a language."""
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
