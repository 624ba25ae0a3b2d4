"""A pytest plugin with fixtures for a pipeline's own tests. pytest finds it by its entry point.

    def test_my_pipeline(local_dbt_cloud):
        my_pipeline.main()

It imports nothing until a fixture is used: pytest imports it in every project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from dlt_dbt_cloud import local

if TYPE_CHECKING:
    from pathlib import Path

    from dlt_dbt_cloud.local.runners.warm import WarmDBT

_MARKER = """local_dbt_cloud(*jobs, real_time=False): \
the jobs of the fixture `local_dbt_cloud`, and whether waiting takes time."""


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def local_dbt_cloud_jobs(
    request: pytest.FixtureRequest,
) -> Sequence[local.DBTJob | local.ScriptedJob]:
    """The jobs of `local_dbt_cloud`: those of the marker, or one that succeeds without dbt.

    Override it with your own.
    """
    return _marked(request).args or (local.ScriptedJob(),)


@pytest.fixture
def local_dbt_cloud(
    local_dbt_cloud_jobs: Sequence[local.DBTJob | local.ScriptedJob],
    local_dbt_cloud_dbt: WarmDBT,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[local.LocalDBTCloud]:
    """A local dbt Cloud that the pipelines of the test find in their configuration.

    For the time of the test it wins over all settings, also over those of a pipeline's section in
    secrets.toml: nothing reaches a real account. `credentials` for another host are refused.

    With scripted jobs alone, waiting takes no time: minutes of retries are over immediately.
    `@pytest.mark.local_dbt_cloud(real_time=True)` lets it take time.
    """
    is_scripted = all(isinstance(job, local.ScriptedJob) for job in local_dbt_cloud_jobs)
    is_virtual = is_scripted and not _marked(request).kwargs.get("real_time", False)
    cloud = local.LocalDBTCloud(
        jobs=local_dbt_cloud_jobs, virtual_time=is_virtual, dbt=local_dbt_cloud_dbt
    )
    yield from _found(cloud, monkeypatch)


@pytest.fixture
def local_dbt_cloud_project() -> str | Path | local.DBTJob:
    """The dbt project of `local_dbt_cloud_with_dbt`, a folder or a `DBTJob`. Override it."""
    pytest.fail(
        "Override the fixture `local_dbt_cloud_project`: return the folder of your dbt project, or"
        " a `DBTJob`."
    )


@pytest.fixture
def local_dbt_cloud_with_dbt(
    local_dbt_cloud_project: str | Path | local.DBTJob,
    local_dbt_cloud_dbt: WarmDBT,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[local.LocalDBTCloud]:
    """A local dbt Cloud that runs a dbt project for real, found like `local_dbt_cloud`.

    Each test has a new one. The dbt behind them stays warm for the session.
    """
    cloud = local.LocalDBTCloud(local_dbt_cloud_project, dbt=local_dbt_cloud_dbt)
    yield from _found(cloud, monkeypatch)


@pytest.fixture(scope="session")
def local_dbt_cloud_dbt() -> Iterator[WarmDBT]:
    """The warm dbt of the session. It starts when a test runs dbt."""
    from dlt_dbt_cloud.local.runners.warm import WarmDBT  # noqa: PLC0415  # see the module

    dbt = WarmDBT()
    yield dbt
    dbt.close()


def _found(
    cloud: local.LocalDBTCloud, monkeypatch: pytest.MonkeyPatch
) -> Iterator[local.LocalDBTCloud]:
    with cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield cloud


def _marked(request: pytest.FixtureRequest) -> Any:
    marker = request.node.get_closest_marker("local_dbt_cloud")
    return marker or pytest.mark.local_dbt_cloud.mark
