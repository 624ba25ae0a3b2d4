"""What all tests share: an empty world for dlt, and an API that `responses` plays."""

import gc
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import LoadInfo, PipelineContext
from dlt.common.runtime import signals
from hypothesis import HealthCheck, settings

from dlt_dbt_cloud import _io
from dlt_dbt_cloud._call import run_job
from dlt_dbt_cloud.client import DBTCloudClientV2
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from dlt_dbt_cloud.run import DBTCloudRun
from tests.dlt_world import dlt_in
from tests.utils import THOROUGH, JumpingIO, PlayedJob, configured

# How many inputs are searched for one that breaks a law: `make check` takes more time than
# `make test`. No law depends on how fast the machine is.
for profile, examples in {"quick": THOROUGH // 4, "thorough": THOROUGH}.items():
    settings.register_profile(
        profile,
        deadline=None,
        max_examples=examples,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("quick")


# What is imported and collected stays to the end: the garbage collector need not look at it.
gc.disable()


def pytest_collection_finish() -> None:
    """Turns the garbage collector on, for what the tests themselves make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def empty_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty directory as dlt's run and data directory, without the developer's settings."""
    with dlt_in(tmp_path_factory.mktemp("empty")) as folder:
        yield folder


@pytest.fixture(autouse=True)
def stays_empty(empty_world: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that writes into its directory has one of its own: it is slow, or uses `dlt_world`."""
    if request.node.get_closest_marker("slow"):
        request.getfixturevalue("dlt_world")
    yield
    Container()[PipelineContext].deactivate()
    left = sorted(path for path in empty_world.rglob("*") if path.name != ".dlt")
    for path in left[::-1]:
        path.rmdir() if path.is_dir() else path.unlink()
    assert left == []


@pytest.fixture
def dlt_world(tmp_path: Path) -> Iterator[Path]:
    """A directory of the test's own, as empty, as dlt's run and data directory."""
    with dlt_in(tmp_path):
        yield tmp_path


@pytest.fixture
def secrets_toml(dlt_world: Path) -> Callable[[str], None]:
    """Writes `.dlt/secrets.toml`."""

    def write(text: str) -> None:
        (dlt_world / ".dlt" / "secrets.toml").write_text(text)
        Container()[PluggableRunContext].reload(str(dlt_world))

    return write


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    """The API, as far as a test has it answer. Any other request is a connection error."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def io() -> JumpingIO:
    """Virtual time, so that no unit test waits."""
    return JumpingIO()


@pytest.fixture
def config() -> DBTCloudConfiguration:
    """Settings of a job on a cell account."""
    return configured()


@pytest.fixture
def client(config: DBTCloudConfiguration, io: JumpingIO) -> DBTCloudClientV2:
    """A client of that account, on the clock that jumps."""
    return DBTCloudClientV2(credentials=config, io=io)


@pytest.fixture
def run_with(api: responses.RequestsMock, io: JumpingIO) -> Callable[..., DBTCloudRun]:
    """Runs a job as `run_dbt_cloud_job` does, but on the clock that jumps."""

    def run(
        data: dict[str, Any] | None = None, load_info: LoadInfo | None = None, **settings: Any
    ) -> DBTCloudRun:
        config = configured(**settings)
        client = DBTCloudClientV2(credentials=config, outage_timeout=0, io=io)
        with signals.intercepted_signals():
            return _io.run(run_job(io, client, config, data, load_info))

    return run


@pytest.fixture
def job(api: responses.RequestsMock, io: JumpingIO) -> PlayedJob:
    """A job without runs."""
    return PlayedJob(api, io)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All records of the package, of every level."""
    logger = logging.getLogger("dlt.dbt_cloud")
    logger.addHandler(caplog.handler)
    logger.propagate = False  # once: dlt's logger propagates until a pipeline was created
    caplog.set_level(logging.DEBUG, logger="dlt.dbt_cloud")
    yield caplog
    logger.propagate = True
    logger.removeHandler(caplog.handler)
