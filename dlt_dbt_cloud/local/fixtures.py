"""Fixtures for a pipeline's own tests: `pytest_plugins = ["dlt_dbt_cloud.local.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, ScriptedJob


@pytest.fixture
def local_dbt_cloud_jobs() -> Sequence[DBTJob | ScriptedJob]:
    """The jobs of `local_dbt_cloud`: one that succeeds without dbt. Override it with your own."""
    return [ScriptedJob()]


@pytest.fixture
def local_dbt_cloud(
    local_dbt_cloud_jobs: Sequence[DBTJob | ScriptedJob], monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud that the pipelines of the test find in their configuration.

    Its settings are in the environment for the time of the test, so a pipeline needs no other
    `credentials`, and can't reach a real account by mistake.
    """
    with LocalDBTCloud(jobs=local_dbt_cloud_jobs) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield cloud
