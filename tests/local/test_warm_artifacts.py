"""What a warm dbt leaves behind, compared with what bare dbt leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.comparison import Both

pytestmark = pytest.mark.slow


def test_warm_runs_leave_what_bare_dbt_leaves(tmp_path: Path) -> None:
    """Artifacts and database of a warm run equal those of bare dbt, whatever has changed."""
    for compared in Both(tmp_path).compare():
        assert compared.differences == [], compared.what
