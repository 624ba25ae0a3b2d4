"""A new Airflow on SQLite for the tests of one process, and a local dbt Cloud for each test."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

HOME = Path(tempfile.mkdtemp(prefix="airflow_"))
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__LOAD_EXAMPLES="false",
    AIRFLOW__CORE__DAGS_FOLDER=str(HOME),
    AIRFLOW__CORE__UNIT_TEST_MODE="false",
)

from airflow import DAG  # noqa: E402  # Airflow reads its home when it is imported

from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """Lets Airflow and its packages warn: what they use of each other is none of our business."""
    config.addinivalue_line("filterwarnings", "default")


@pytest.fixture(scope="session", autouse=True)
def database() -> Iterator[None]:
    """The tables of Airflow."""
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, check=True, capture_output=True)
    yield
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with a job that succeeds and one that fails, found by dlt's providers."""
    node = {"unique_id": "model.shop.revenue", "status": "error", "message": "no number"}
    results = {"run_results.json": {"results": [node]}}
    jobs = [
        ScriptedJob(name="Good", statuses=[1, 3, 3, 3, 3, 10], logs="all of dbt's log"),
        ScriptedJob(name="Bad", statuses=[3, 20], artifacts=results),
        ScriptedJob(name="Endless", statuses=[3]),
    ]
    with LocalDBTCloud(jobs=jobs) as cloud:
        for name, value in cloud.settings().items():
            monkeypatch.setenv(f"DBT_CLOUD__{name.upper()}", value)
        monkeypatch.setenv("DBT_CLOUD__WAIT_SECONDS", "0.2")
        yield cloud


@pytest.fixture
def test_dag() -> Callable[[DAG], Any]:
    """Runs a DAG in this process. Returns the DAG run."""

    def run(dag: DAG) -> Any:
        _register(dag)
        return dag.test()

    return run


@pytest.fixture
def run_dag(
    request: pytest.FixtureRequest, test_dag: Callable[[DAG], Any]
) -> Callable[[Callable[[], Any]], Any]:
    """Runs a DAG in this process: a function makes its tasks. Returns the DAG run."""

    def run(make_tasks: Callable[[], Any], **params: Any) -> Any:
        dag_id = request.node.name.replace("[", "_").replace("]", "")
        with DAG(dag_id, schedule=None, params=params) as dag:
            make_tasks()
        return test_dag(dag)

    return run


def _register(dag: DAG) -> None:
    """Writes a DAG into the database: Airflow 3 tests only those that it could find in a file."""
    with suppress(ImportError):  # Airflow 2
        from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: PLC0415

        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(str(HOME))
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)


@pytest.fixture(autouse=True)
def own_world(dlt_world: Path) -> None:
    """Each test has a directory of its own."""
