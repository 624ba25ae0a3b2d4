"""Pages in a real Chromium. `make test-pages` runs these tests, `make test` does not need them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlt_dbt_cloud import DBTCloudRun, run_dbt_cloud_job
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, ScriptedJob

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
OPTIONS = [
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PROJECT = Path(__file__).parents[1] / "samples" / "local" / "tiny_dbt"
LONG_LOG = "10:00:00  1 of 2 START sql table model main.a .... [RUN]\n"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium, as Debian has it."""
    if CHROMIUM is None:
        pytest.skip("no chromium: `make test-pages` installs it")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dbt project in which a model and a test fail, and one warns."""
    folder = tmp_path_factory.mktemp("project") / "orders_dbt"
    shutil.copytree(PROJECT, folder)
    tests = "{arguments: {values: [3]}}", "{arguments: {values: [9]}, config: {severity: warn}}"
    (folder / "models" / "models.yml").write_text(
        "version: 2\nmodels:\n  - name: doubled\n    columns:\n      - name: doubled\n"
        f"        data_tests:\n          - accepted_values: {tests[0]}\n"
        f"  - name: numbers\n    columns:\n      - name: id\n"
        f"        data_tests:\n          - accepted_values: {tests[1]}\n"
    )
    broken = "select id,\n  cast('12,50' as decimal(10,2)) as x\nfrom {{ ref('numbers') }}\n"
    (folder / "models" / "broken.sql").write_text(broken)
    return folder


@pytest.fixture(scope="session")
def cloud(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with a job of real dbt, a long one, and one with an evil name."""
    database = tmp_path_factory.mktemp("database") / "tiny.duckdb"
    jobs: list[DBTJob | ScriptedJob] = [
        DBTJob(project, name="Nightly orders", env={"TINY_DATABASE": str(database)}),
        ScriptedJob("Long job", statuses=[(0, 3), (3600, 10)], logs=LONG_LOG),
        ScriptedJob("<script>alert(1)</script>", statuses=[20], status_message="<img src=x>"),
    ]
    os.environ["TINY_DATABASE"] = str(database)  # dbt looks at the profile before the first run
    with LocalDBTCloud(jobs=jobs) as cloud:
        yield cloud
    del os.environ["TINY_DATABASE"]


@pytest.fixture(scope="session")
def failed(cloud: LocalDBTCloud) -> DBTCloudRun:
    """A run of real dbt that failed."""
    return run_dbt_cloud_job(cloud.credentials, progress="off")


@pytest.fixture(autouse=True)
def own_world(dlt_world: Path) -> None:
    """Each test has a directory of its own."""
