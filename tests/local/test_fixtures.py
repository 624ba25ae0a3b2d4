"""The fixture for users' own tests."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

USERS_TESTS = """
    import os

    import pytest
    import requests

    from dlt_dbt_cloud.local import ScriptedJob

    pytest_plugins = ["dlt_dbt_cloud.local.fixtures"]


    class TestDefault:
        def test_settings_are_in_the_environment(self, local_dbt_cloud):
            assert os.environ["DBT_CLOUD__BASE_API_URL"] == local_dbt_cloud.url
            assert len(local_dbt_cloud.jobs) == 1


    class TestOverridden:
        @pytest.fixture
        def local_dbt_cloud_jobs(self):
            return [ScriptedJob(name="Mine"), ScriptedJob(name="Other")]

        def test_jobs_are_those_of_the_user(self, local_dbt_cloud):
            assert [job.name for job in local_dbt_cloud.jobs] == ["Mine", "Other"]


    def test_nothing_is_left_in_the_environment():
        assert "DBT_CLOUD__API_TOKEN" not in os.environ
"""


def test_the_fixture(tmp_path: Path) -> None:
    """It gives a local dbt Cloud with the user's jobs, found by pipelines for one test."""
    path = tmp_path / "test_pipeline.py"
    path.write_text(textwrap.dedent(USERS_TESTS), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
