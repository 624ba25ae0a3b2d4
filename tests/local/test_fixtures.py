"""The pytest plugin for users' own tests."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, LocalDBTCloudException

SCRIPTED = """
    import os
    import subprocess
    import sys
    import time

    import dlt
    import pytest

    from dlt_dbt_cloud import DBTCloudWaitTimeoutException, run_dbt_cloud_job
    from dlt_dbt_cloud.local import Fault, ScriptedJob
    from dlt_dbt_cloud.sources import dbt_cloud_source


    @pytest.fixture(autouse=True)
    def seconds():
        started = time.monotonic()
        seconds = lambda: time.monotonic() - started
        yield seconds
        assert seconds() < 10  # less than any of the waits below


    def test_the_default_job(local_dbt_cloud):
        assert os.environ["DBT_CLOUD__BASE_API_URL"] == local_dbt_cloud.url
        assert [run_dbt_cloud_job().is_success for _ in range(5)] == 5 * [True]


    @pytest.mark.parametrize("fault", [Fault.drop(), Fault.answer(502), Fault.commit_then_drop()])
    def test_faults(local_dbt_cloud, fault):
        local_dbt_cloud.fail_next(fault, times=2)
        assert run_dbt_cloud_job().is_success


    @pytest.mark.local_dbt_cloud(ScriptedJob(statuses=[(0, 1), (60, 3), (600, 10)]))
    def test_a_run_of_minutes(local_dbt_cloud):
        assert run_dbt_cloud_job().is_success


    @pytest.mark.local_dbt_cloud(ScriptedJob(statuses=[1]))
    def test_a_run_that_never_ends(local_dbt_cloud):
        with pytest.raises(DBTCloudWaitTimeoutException, match="within 3600 s"):
            run_dbt_cloud_job(wait_timeout=3600, wait_seconds=60)


    @pytest.mark.local_dbt_cloud(ScriptedJob(statuses=[(0, 1), (300, 10)]))
    def test_a_script_in_a_process_of_its_own(local_dbt_cloud):
        code = "from dlt_dbt_cloud import run_dbt_cloud_job as run; assert run().is_success"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


    @pytest.mark.local_dbt_cloud(ScriptedJob(statuses=[(0, 1), (0.3, 10)]), real_time=True)
    def test_real_time(local_dbt_cloud, seconds):
        assert run_dbt_cloud_job(wait_seconds=0.1).is_success
        assert seconds() > 0.3


    class TestOverridden:
        @pytest.fixture
        def local_dbt_cloud_jobs(self):
            return [ScriptedJob(name="Mine"), ScriptedJob(name="Other")]

        def test_jobs_are_those_of_the_user(self, local_dbt_cloud):
            assert [job.name for job in local_dbt_cloud.jobs] == ["Mine", "Other"]


    def test_nothing_is_left_in_the_environment():
        assert "DBT_CLOUD__API_TOKEN" not in os.environ and "LOCAL_DBT_CLOUD" not in os.environ


    @pytest.mark.local_dbt_cloud(ScriptedJob(steps=["dbt seed", "dbt build"]))
    def test_the_results_of_the_default_artifacts(local_dbt_cloud, tmp_path, caplog):
        pipeline = dlt.pipeline("results", pipelines_dir=tmp_path, destination="dummy")
        pipeline.extract(dbt_cloud_source(run_dbt_cloud_job()))
        assert caplog.text == ""
"""

WITH_DBT = """
    import pytest

    from dlt_dbt_cloud import run_dbt_cloud_job
    from dlt_dbt_cloud.local import DBTJob


    @pytest.fixture
    def local_dbt_cloud_project(tmp_path):
        return DBTJob({project!r}, env={{"TINY_DATABASE": str(tmp_path / "test.duckdb")}})


    helpers = set()


    @pytest.mark.parametrize("number", range(3))
    def test_real_dbt(local_dbt_cloud_with_dbt, tmp_path, number):
        run = run_dbt_cloud_job(wait_seconds=0.1)
        assert run.is_success
        assert (tmp_path / "test.duckdb").exists()
        helpers.update(it._process.pid for it in local_dbt_cloud_with_dbt._world.dbt.helpers)


    def test_it_stays_warm():
        assert len(helpers) == 1
"""


def run_tests(
    text: str, folder: Path, code: int = 0, paths: Sequence[str] = ("test_pipeline.py",)
) -> str:
    """Runs tests as a user does, and returns what pytest prints."""
    if text:
        (folder / "test_pipeline.py").write_text(textwrap.dedent(text), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-rA",
            "-p",
            "no:cacheprovider",
            "--strict-markers",
            *paths,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_scripted_jobs_take_no_time(tmp_path: Path) -> None:
    """Whatever a scripted job goes through, a test with the fixture's own settings is over soon.

    That holds for faults, runs of minutes, deadlines, and calls in another process.
    """
    assert "11 passed" in run_tests(SCRIPTED, tmp_path)


@pytest.mark.slow
def test_real_jobs_share_a_warm_dbt(tmp_path: Path, make_project: Callable[..., DBTJob]) -> None:
    """Each test has a local dbt Cloud of its own, and dbt is imported once for all."""
    text = WITH_DBT.format(project=str(make_project().project_dir))
    assert "4 passed" in run_tests(text, tmp_path)


@pytest.mark.slow
def test_a_missing_project_is_told(tmp_path: Path) -> None:
    """Who forgets to name a dbt project reads which fixture to override."""
    text = """
        import pytest

        def test_real_dbt(local_dbt_cloud_with_dbt):
            pass
    """
    assert "Override the fixture `local_dbt_cloud_project`" in run_tests(text, tmp_path, code=1)


def test_the_plugin_imports_nothing() -> None:
    """Loading the plugin costs a project that doesn't use it nothing: no dlt, no Flask."""
    code = (
        "import sys, pytest; before = set(sys.modules); import dlt_dbt_cloud.local.fixtures;"
        "print(sorted(set(sys.modules) - before))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert (
        printed.strip()
        == "['dlt_dbt_cloud', 'dlt_dbt_cloud.local', 'dlt_dbt_cloud.local.fixtures']"
    )


@pytest.mark.slow
def test_the_line_of_earlier_versions_does_no_harm(tmp_path: Path) -> None:
    """A `pytest_plugins` line for the fixtures may stay."""
    text = """
        pytest_plugins = ["dlt_dbt_cloud.local.fixtures"]

        def test_it(local_dbt_cloud):
            assert local_dbt_cloud.jobs
    """
    assert "1 passed" in run_tests(text, tmp_path)


def test_dbt_takes_real_time(make_project: Callable[..., DBTJob]) -> None:
    """A job that runs dbt refuses virtual time: a call would poll it for hours within a second."""
    cloud = LocalDBTCloud(make_project(), virtual_time=True)
    with pytest.raises(LocalDBTCloudException, match="takes real time"):
        cloud.__enter__()


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    """Each example of `docs/testing.md` is a test that passes."""
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    profile = "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}"
    files = {
        "customers_dbt/dbt_project.yml": "{name: shop, profile: shop}",
        "customers_dbt/profiles.yml": profile,
        "customers_dbt/models/customers.sql": "select * from main.orders",
    }
    examples = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL)
    for name, text in [*files.items(), *examples]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert len(examples) == page.count("```python")
    assert "7 passed" in run_tests("", tmp_path, paths=[name for name, _ in examples])
