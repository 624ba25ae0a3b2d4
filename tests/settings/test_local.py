"""A local run never reaches a real account."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dlt
import pytest

from dlt_dbt_cloud import DBTCloudClientV2, DBTCloudConfiguration, InvalidCredentialsException
from dlt_dbt_cloud.configuration import resolve_dbt_cloud_configuration
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob
from tests.utils import HOST, TOKEN

PRODUCTION = f"""
[dbt_cloud]
job_id = 1
[flights.dbt_cloud]
api_token = "{TOKEN}"
account_id = 2
base_api_url = "{HOST}"
project_id = 3
environment_id = 4
"""
resolve = resolve_dbt_cloud_configuration
Write = Callable[[str], None]


@pytest.fixture
def cloud(dlt_world: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud that wraps the test, and a pipeline with a section for production."""
    with LocalDBTCloud(jobs=[ScriptedJob(), ScriptedJob("Nightly")]) as local:
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)
        dlt.pipeline("flights", pipelines_dir="pipelines")
        yield local


def is_local(config: DBTCloudConfiguration, cloud: LocalDBTCloud, job: int = 0) -> bool:
    """Returns True if settings lead to a job of the local dbt Cloud, and nowhere else."""
    names = ("api_token", "account_id", "job_id")
    expected = cloud.settings(job)
    unset = (config.job_name, config.project_id, config.environment_id)
    return (
        {name: config[name] for name in names} == {name: expected[name] for name in names}
        and config.base_api_url == f"{cloud.url}/api/v2"
        and unset == (None, None, None)
    )


def test_it_wins_over_sections(
    cloud: LocalDBTCloud, secrets_toml: Write, log: pytest.LogCaptureFixture
) -> None:
    """It wins over the section of the pipeline, in each thread, and the log says so."""
    secrets_toml(PRODUCTION)
    assert is_local(resolve(requires=("account_id", "job_id")), cloud)
    with ThreadPoolExecutor(1) as pool:
        assert is_local(pool.submit(resolve).result(), cloud)
    used = f"Using job {cloud.jobs[0].id} of the local dbt Cloud at {cloud.url}"
    assert [record.getMessage() for record in log.records] == [used, used]


def test_it_wins_over_variables(cloud: LocalDBTCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wins over variables of the pipeline, and over those that were set again."""
    for name in ("FLIGHTS__DBT_CLOUD__", "DBT_CLOUD__"):
        monkeypatch.setenv(f"{name}API_TOKEN", TOKEN)
        monkeypatch.setenv(f"{name}BASE_API_URL", HOST)
        monkeypatch.setenv(f"{name}ACCOUNT_ID", "5")
    assert is_local(resolve(), cloud)


@pytest.mark.parametrize(
    ("section", "job"),
    [
        ("job_id = 123", 0),
        ('job_id = "abc"', 0),
        ('job_name = "Elsewhere"', 0),
        ('job_name = "Nightly"', 1),
        ('job_id = 123\njob_name = "Nightly"', 1),
    ],
)
@pytest.mark.parametrize("prefix", ["", "flights."])
def test_job_of_a_section(
    cloud: LocalDBTCloud, secrets_toml: Write, section: str, job: int, prefix: str
) -> None:
    """A job of a section runs if there is a local one of that name, else the first one does."""
    secrets_toml(f"[{prefix}dbt_cloud]\n{section}")
    assert is_local(resolve(requires=("job_id",)), cloud, job)


def test_job_of_a_variable(cloud: LocalDBTCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable beside the wrapper's own `DBT_CLOUD__JOB_ID` is no error."""
    monkeypatch.setenv("DBT_CLOUD__JOB_NAME", "Nightly")
    assert is_local(resolve(), cloud, 1)


def test_job_of_an_argument(cloud: LocalDBTCloud, secrets_toml: Write) -> None:
    """A local job that is passed wins over a section, and another job is replaced."""
    secrets_toml('[flights.dbt_cloud]\njob_name = "Nightly"')
    first, second = (job.id for job in cloud.jobs)
    assert is_local(resolve(job_id=first), cloud, 0)
    assert is_local(resolve(job_id=second), cloud, 1)
    assert is_local(resolve(job_name="Nightly"), cloud, 1)
    assert is_local(resolve(DBTCloudConfiguration(job_id="5", api_token=TOKEN)), cloud, 1)


def test_another_host_is_refused(cloud: LocalDBTCloud) -> None:
    """A host that is passed is refused if it is another one, before any request."""
    match = f"`base_api_url` is passed as {HOST}/api/v2, but this process runs against the local"
    with pytest.raises(InvalidCredentialsException, match=match):
        resolve(DBTCloudConfiguration(api_token=TOKEN, base_api_url=HOST))
    with pytest.raises(InvalidCredentialsException, match=match):
        DBTCloudClientV2(TOKEN, 1, HOST)
    assert is_local(resolve(cloud.credentials), cloud)
    assert is_local(resolve(resolve(cloud.credentials), requires=("job_id",)), cloud)
    assert cloud.requests == []


@pytest.mark.parametrize("url", ["https://{}.dbt.com", "not a URL {}"])
@pytest.mark.parametrize("token", [TOKEN, "0123456789ABCDEF"])
def test_refused_token_is_not_shown(cloud: LocalDBTCloud, url: str, token: str) -> None:
    """A token that was pasted into a refused host is not shown."""
    with pytest.raises(InvalidCredentialsException) as caught:
        resolve(api_token=token, base_api_url=url.format(token))
    assert token.lower() not in str(caught.value).lower()


def test_resolved_credentials_of_another_host_are_refused(
    secrets_toml: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that were resolved before the local dbt Cloud started are refused."""
    secrets_toml(PRODUCTION)
    production = resolve(pipeline_name="flights")
    with LocalDBTCloud(jobs=[ScriptedJob()]) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InvalidCredentialsException, match="may use no other host"):
            resolve(production)


SCRIPT = """
import asyncio, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
import dlt
from dlt_dbt_cloud import run_dbt_cloud_job

def run():
    return run_dbt_cloud_job(wait_seconds=0.1, raise_on_failure=True).url.split("/deploy")[0]

if "child" in sys.argv:
    dlt.pipeline("flights", pipelines_dir="pipelines")
    print(run())
    sys.exit()
pipeline = dlt.pipeline("flights", pipelines_dir="pipelines", destination="duckdb")
load_info = pipeline.run([{"id": 1}], table_name="t")
print(run())
print(run_dbt_cloud_job(load_info=load_info, job_name="Hourly").url.split("/deploy")[0])
with ThreadPoolExecutor(1) as pool:
    print(pool.submit(run).result())
print(asyncio.run(asyncio.to_thread(run)))
print(subprocess.run([sys.executable, __file__, "child"], stdout=-1, text=True).stdout, end="")
"""
TESTS = """
import pytest
from script import dlt, run

pytest_plugins = ["dlt_dbt_cloud.local.fixtures"]

def test_pipeline(local_dbt_cloud):
    dlt.pipeline("flights", pipelines_dir="pipelines")
    assert run().startswith(local_dbt_cloud.url)
    assert {request.status for request in local_dbt_cloud.requests} == {200}
"""


def executed(folder: Path, *command: str) -> str:
    """Returns what a command prints that must succeed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(folder)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_wrapper(dlt_world: Path, secrets_toml: Write) -> None:
    """Under the wrapper an unmodified script with a section for production runs local jobs only."""
    pytest.importorskip("dbt.adapters.duckdb")
    secrets_toml(PRODUCTION + 'job_name = "Hourly"')
    (dlt_world / "script.py").write_text(SCRIPT)
    project = dlt_world / "project"
    (project / "models").mkdir(parents=True)
    (project / "models" / "tiny.sql").write_text("select 1 as id")
    (project / "dbt_project.yml").write_text("name: tiny\nprofile: tiny\n")
    output = "{type: duckdb, path: tiny.duckdb}"
    (project / "profiles.yml").write_text(f"tiny: {{target: dev, outputs: {{dev: {output}}}}}\n")
    wrapper = ("-m", "dlt_dbt_cloud.local", "--project-dir", "project", "--")
    out = executed(dlt_world, *wrapper, sys.executable, "script.py")
    urls = [line for line in out.splitlines() if line.startswith("http")]
    assert len(urls) == 5
    assert all(url.startswith("http://127.0.0.1:") for url in urls)


@pytest.mark.slow
def test_fixture(dlt_world: Path, secrets_toml: Write) -> None:
    """Under the fixture a pipeline with a section for production runs local jobs only."""
    secrets_toml(PRODUCTION + "job_id = 9")
    (dlt_world / "script.py").write_text(textwrap.dedent(SCRIPT).split("pipeline = ")[0])
    (dlt_world / "test_pipeline.py").write_text(TESTS)
    out = executed(dlt_world, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_pipeline.py")
    assert "1 passed" in out
