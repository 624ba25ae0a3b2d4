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

    For the time of the test it wins over all settings, also over those of a pipeline's section in
    secrets.toml: nothing reaches a real account. `credentials` for another host are refused.
    """
    with LocalDBTCloud(jobs=local_dbt_cloud_jobs) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield cloud
