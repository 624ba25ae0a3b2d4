"""The pages about reports and the command line: what they show and list is true."""

import re

from dlt_dbt_cloud import DBTCloudRun
from dlt_dbt_cloud._follow.lines import beginning
from tests.cli.reference import PATH, commands, reference
from tests.docs.pages import ROOT, blocks
from tests.utils import sample

PAGE = ROOT / "docs" / "reports.md"
REPORTS = PAGE.read_text()


def test_attributes() -> None:
    """Each attribute in the table exists, and has a docstring of its own or one at the class."""
    table = REPORTS[REPORTS.index("| attribute") : REPORTS.index("For a failed model, ")]
    for row in table.splitlines()[2:]:
        for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else ""):
            found = getattr(DBTCloudRun, name)
            own = found.__doc__ if isinstance(found, property) else None
            assert own or f"    {name}: " in str(DBTCloudRun.__doc__)


def test_text() -> None:
    """The lines that are shown are made as they are shown."""
    shown = blocks(PAGE, "text")[1].splitlines()
    run = DBTCloudRun(sample("run_success_related")["data"])
    assert shown[0].partition(", usually")[0] == beginning(run, None).partition(": ")[0]


def test_reference() -> None:
    """The reference of the command line is what the parser says: `make reference`."""
    assert PATH.read_text() == reference()
    for name in commands():
        assert f"## dlt dbt-cloud {name}" in PATH.read_text()
