"""Writes the tables of docs/local.md, from the code and from real runs: `make reference`."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from dlt_dbt_cloud.local.api import behaviours

PATH = Path(__file__).parents[2] / "docs" / "local.md"


def between(name: str) -> str:
    """Return what stands between the marks of a table."""
    return PATH.read_text(encoding="utf-8").split(f"<!-- {name} -->\n")[1]


def write(name: str, lines: Iterable[str]) -> None:
    """Write the lines of a table between its marks."""
    mark, text = f"<!-- {name} -->\n", "\n".join(lines)
    before, _, after = PATH.read_text(encoding="utf-8").split(mark)
    PATH.write_text(f"{before}{mark}\n{text}\n\n{mark}{after}", encoding="utf-8")


def main() -> None:
    """Write the table of behaviours, and with `--compare` that of the comparison."""
    write("fidelity", [behaviours.table()])
    if "--compare" in sys.argv:
        from tests.local.comparison import Both, table  # noqa: PLC0415  # imports DuckDB

        with tempfile.TemporaryDirectory() as folder:
            write("comparison", table(Both(Path(folder)).compare()))


if __name__ == "__main__":
    main()
