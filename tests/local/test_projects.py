"""Projects as people have them: where they are, which dbt runs them, and what their files say."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml  # type: ignore[import-untyped]

from dlt_dbt_cloud import run_dbt_cloud_job
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, LocalDBTCloudException, ScriptedJob
from dlt_dbt_cloud.local.runners.warm import WarmDBT

pytestmark = pytest.mark.slow

DROP_CAPABILITY, OVERRIDE = 24, 1
PROFILE = {"type": "duckdb", "path": "db.duckdb", "schema": "main"}


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Writes files, what is no text as YAML."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory, local_dbt_cloud_dbt: WarmDBT) -> Path:
    """What dbt has parsed of a project: all begin with it, so dbt parses its own macros once."""
    folder = project(tmp_path_factory.mktemp("parsed"))
    with LocalDBTCloud(DBTJob(folder, steps=["dbt parse"]), dbt=local_dbt_cloud_dbt) as cloud:
        run_dbt_cloud_job(cloud.credentials, raise_on_failure=True, wait_seconds=0.1)
    (found,) = (folder / "target" / "local_dbt_cloud").glob("*.msgpack")
    return found


def project(folder: Path, profile: Any = None, **files: Any) -> Path:
    """Writes a project with one model that tells its target."""
    shop = {"target": "dev", "outputs": {"dev": PROFILE}}
    return write(
        folder,
        {
            "dbt_project.yml": {"name": "shop", "profile": "shop"},
            "profiles.yml": profile or {"shop": shop},
            "models/one.sql": "select '{{ target.name }}' as t, '{{ target.schema }}' as s",
            **files,
        },
    )


@pytest.fixture
def run(
    parsed: Path, local_dbt_cloud_dbt: WarmDBT, make_api: Callable[..., Any]
) -> Callable[..., tuple[Any, str]]:
    """Runs a job, and returns the run and all that its steps log."""

    def run(job: DBTJob, **overrides: Any) -> tuple[Any, str]:
        own = Path(job.project_dir, "target", "partial_parse.msgpack")
        own.parent.mkdir(exist_ok=True)
        shutil.copyfile(parsed, own)
        with LocalDBTCloud(job, dbt=local_dbt_cloud_dbt) as cloud:
            api = make_api(cloud)
            found = api.finished(api.trigger(**overrides)["id"])
            return found, "\n".join(step["logs"] or "" for step in found["run_steps"])

    return run


def rows(database: Path, table: str = "main.one") -> list[Any]:
    """Returns the rows of a table."""
    with duckdb.connect(str(database)) as connection:
        return connection.sql(f"from {table}").fetchall()


def test_paths_with_spaces_and_letters(tmp_path: Path, run: Callable[..., Any]) -> None:
    """A project in a subfolder with spaces and non-ASCII letters, with local packages, runs."""
    folder = project(
        tmp_path / "mono repo" / "Änderungen für 中文",
        **{
            "packages.yml": {"packages": [{"local": "packages/tools"}]},
            "packages/tools/dbt_project.yml": {"name": "tools"},
            "packages/tools/macros/two.sql": "{% macro two() %}2{% endmacro %}",
            "models/two.sql": "select {{ tools.two() }} as n",
            "dbt_cloud.yml": {"version": "1", "context": {"active-project": "1"}},
        },
    )
    found, logs = run(DBTJob(folder))
    assert found["status"] == 10, logs
    assert rows(tmp_path / "db.duckdb", "main.two") == [(2,)]


@pytest.mark.parametrize("place", ["cwd", "project", "home", "DBT_PROFILES_DIR"])
def test_places_of_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A profile is found where dbt looks for it, and in the given folder above all."""
    folder = project(tmp_path / "shop")
    (folder / "profiles.yml").unlink()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    places = {"cwd": tmp_path, "project": folder, "home": tmp_path / "home" / ".dbt"}
    if place not in places:
        monkeypatch.setenv(place, "my profiles")
    found = places.get(place, tmp_path / "my profiles")
    shop = {"target": "dev", "outputs": {"dev": PROFILE}}
    write(found, {"profiles.yml": {"shop": shop}})
    assert DBTJob(folder).profile().path.parent == found
    given = write(tmp_path / "given", {"profiles.yml": {"shop": shop}})
    assert DBTJob(folder, profiles_dir=given).profile().path.parent == given


def test_a_relative_path_starts_where_dbt_is_called(
    tmp_path: Path, run: Callable[..., Any]
) -> None:
    """A relative DuckDB path means what it means to `dbt build --project-dir`: no stray file."""
    folder = project(tmp_path / "shop")
    found, logs = run(DBTJob(folder))
    assert found["status"] == 10, logs
    assert rows(tmp_path / "db.duckdb")
    assert not (folder / "db.duckdb").exists()


def test_the_other_file_is_told(tmp_path: Path, run: Callable[..., Any]) -> None:
    """If a run fails and a relative path could mean two files, the log says which it means."""
    folder = project(tmp_path / "shop")
    with duckdb.connect(str(folder / "db.duckdb")) as connection:
        connection.sql("create table loaded as select 1 as id")
    write(folder, {"models/one.sql": "select * from loaded"})
    found, logs = run(DBTJob(folder))
    assert found["status"] == 20
    assert f"so it means {tmp_path / 'db.duckdb'}" in logs
    assert f"It doesn't mean {folder / 'db.duckdb'}, which exists too." in logs


TARGETS = {
    "shop": {
        "target": "{{ env_var('TARGET', 'dev') }}",
        "outputs": {"prod": PROFILE, "dev": {**PROFILE, "schema": "dev_schema"}},
    }
}


@pytest.mark.parametrize(
    ("fields", "overrides", "table", "row"),
    [
        ({}, {"schema_override": "ci"}, "ci.one", ("dev", "ci")),
        ({"env": {"TARGET": "prod"}}, {"schema_override": "ci"}, "ci.one", ("prod", "ci")),
        ({"target": "prod"}, {}, "main.one", ("prod", "main")),
        (
            {},
            {"target_name_override": "new", "schema_override": "ci"},
            "ci.one",
            ("new", "ci"),
        ),
    ],
)
def test_targets(  # noqa: PLR0917
    tmp_path: Path,
    run: Callable[..., Any],
    fields: dict[str, Any],
    overrides: dict[str, str],
    table: str,
    row: tuple[str, str],
) -> None:
    """A target with Jinja stays what it says, whatever else is overridden."""
    folder, database = project(tmp_path / "shop", TARGETS), tmp_path / "db.duckdb"
    found, logs = run(DBTJob(folder, **fields), **overrides)
    assert found["status"] == 10, logs
    assert rows(database, table) == [row]


def test_profile_of_a_step(tmp_path: Path, run: Callable[..., Any]) -> None:
    """`dbt --profile test build` is a build with another profile, also under an override."""
    shop = {"target": "dev", "outputs": {"dev": PROFILE}}
    folder = project(tmp_path / "shop", {"shop": shop, "test": {"outputs": {"default": PROFILE}}})
    database = tmp_path / "db.duckdb"
    job = DBTJob(folder, steps=["dbt --profile test build"])
    found, logs = run(job, schema_override="ci", threads_override=3)
    assert found["status"] == 10, logs
    assert rows(database, "ci.one") == [("default", "ci")]
    assert "Concurrency: 3 threads" in logs


def test_a_profile_that_only_dbt_can_tell(tmp_path: Path, run: Callable[..., Any]) -> None:
    """A profile whose name or target needs more than variables is left to dbt."""
    folder, database = project(tmp_path / "shop"), tmp_path / "db.duckdb"
    write(folder, {"dbt_project.yml": {"name": "shop", "profile": "{{ var('p', 'shop') }}"}})
    job = DBTJob(folder)
    assert (job.profile().name, job.profile().adapters) == (None, set())
    found, logs = run(job, schema_override="ci")
    assert found["status"] == 10, logs
    assert rows(database, "ci.one") == [("dev", "ci")]
    found, logs = run(job, target_name_override="new")
    assert found["status"] == 20
    assert "the job's own target is not known" in found["status_message"]


READ_ONLY = """
import sys
from dlt_dbt_cloud import run_dbt_cloud_job
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud
with LocalDBTCloud(DBTJob(sys.argv[1])) as cloud:
    runs = [run_dbt_cloud_job(cloud.credentials, wait_seconds=0.1) for _ in range(2)]
assert all(run.is_success for run in runs), runs
"""


def obey_permissions() -> None:
    """Takes from root what lets it write anywhere."""
    ctypes.CDLL(None).prctl(DROP_CAPABILITY, OVERRIDE, 0, 0, 0)


def test_a_read_only_checkout(tmp_path: Path) -> None:
    """A project that can't be written to runs all the same, and nothing is written to it."""
    folder = project(tmp_path / "shop", **{"macros/m.sql": "{% macro m() %}1{% endmacro %}"})
    before = sorted(folder.rglob("*"))
    for path in (folder, *before):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(folder)],
            preexec_fn=obey_permissions,  # it is a single call
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert sorted(folder.rglob("*")) == before
    finally:
        for path in (folder, *before):
            path.chmod(0o755)


@contextmanager
def held(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Holds a database open, as a notebook does."""
    code = f"import duckdb; c = duckdb.connect({str(database)!r}); print(flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        holder.stdout.readline()
        yield holder
        holder.kill()


def test_an_open_database(tmp_path: Path, run: Callable[..., Any]) -> None:
    """A run whose database is open elsewhere fails after a while and says who must close it."""
    folder, database = project(tmp_path / "shop"), tmp_path / "db.duckdb"
    with held(database) as holder:
        found, logs = run(DBTJob(folder))
        assert found["status"] == 20
        assert f"The DuckDB file {database} is open in another process, " in logs
        assert f"with PID {holder.pid}" in logs
        assert "Traceback" not in logs


def test_a_database_that_is_closed_soon(tmp_path: Path, run: Callable[..., Any]) -> None:
    """A run waits for a database that someone else is about to close."""
    folder, database = project(tmp_path / "shop"), tmp_path / "db.duckdb"
    with held(database) as holder:
        threading.Timer(3, holder.kill).start()
        found, logs = run(DBTJob(folder))
        assert found["status"] == 10, logs


@pytest.mark.parametrize(
    ("name", "message"),
    [("no/such/folder.duckdb", "Cannot open file"), ("dbt_project.yml", "not a valid DuckDB")],
)
def test_a_database_that_cant_be_opened(
    tmp_path: Path, run: Callable[..., Any], name: str, message: str
) -> None:
    """The log of a run that can't open its database says why, without a traceback."""
    folder = project(tmp_path / "shop")
    shop = {"target": "dev", "outputs": {"dev": {**PROFILE, "path": str(folder / name)}}}
    write(folder, {"profiles.yml": {"shop": shop}})
    found, logs = run(DBTJob(folder))
    assert found["status"] == 20
    assert message in logs
    assert "Traceback" not in logs


def test_packages_are_installed_once_at_a_time(
    tmp_path: Path, local_dbt_cloud_dbt: WarmDBT, make_api: Callable[..., Any]
) -> None:
    """Jobs on one project run at once, and none replaces the packages that another one reads."""
    folder = project(
        tmp_path / "shop",
        **{
            "packages.yml": {"packages": [{"local": "tools"}]},
            "tools/dbt_project.yml": {"name": "tools"},
            "tools/macros/two.sql": "{% macro two() %}2{% endmacro %}",
            "models/two.sql": "select {{ tools.two() }} as n",
        },
    )
    for number in range(3):
        (tmp_path / str(number)).mkdir()
    jobs = [DBTJob(folder, name=str(number), cwd=tmp_path / str(number)) for number in range(3)]
    with LocalDBTCloud(jobs=jobs, dbt=local_dbt_cloud_dbt) as cloud:
        api = make_api(cloud)
        ids = [api.trigger(job.id)["id"] for job in cloud.jobs for _ in range(2)]
        runs = [api.finished(run_id) for run_id in ids]
    failed = [run["run_steps"][-1]["logs"] for run in runs if run["status"] != 10]
    assert failed == []


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The `dbt` of another environment: a script like pip's, and a Python that finds dbt."""
    folder = tmp_path / "other env" / "bin"
    folder.mkdir(parents=True)
    python = folder / "python3"
    python.symlink_to(sys.executable)
    (folder.parent / "pyvenv.cfg").write_text(
        f"home = {Path(sys.executable).resolve().parent}\n", encoding="utf-8"
    )
    import dbt.version  # noqa: PLC0415  # is slow

    packages = Path(dbt.version.__file__).parents[1]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder.parent / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (site / "all.pth").write_text(f"{packages}\n", encoding="utf-8")
    script = folder / "dbt"
    text = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"
    script.write_text(f"{text}from dbt.cli.main import cli\ncli()\n", encoding="utf-8")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("way", ["path", "PATH"])
def test_dbt_of_another_environment_is_warm(
    tmp_path: Path,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_api: Callable[..., Any],
    way: str,
) -> None:
    """A dbt in an environment of its own, named or found on PATH, runs warm in its own Python."""
    job = DBTJob(project(tmp_path / "shop"), dbt=elsewhere if way == "path" else "dbt")
    if way == "PATH":
        monkeypatch.setenv("PATH", str(elsewhere.parent), prepend=os.pathsep)
    with LocalDBTCloud(job) as cloud:
        api = make_api(cloud)
        found = [api.finished(api.trigger()["id"]) for _ in range(2)]
        (helper,) = cloud._world.dbt.helpers
        assert helper._python == str(elsewhere.with_name("python3"))
        assert helper.refusal is None
    assert [run["status"] for run in found] == [10, 10], found[-1]["run_steps"][-1]["logs"]


def test_a_dbt_that_is_no_python(tmp_path: Path, run: Callable[..., Any]) -> None:
    """Another program that is called like dbt is called for each step."""
    program = (
        write(tmp_path, {"dbt": '#!/bin/sh\necho "dbt-fusion 2.0.0 called with $*"\n'}) / "dbt"
    )
    program.chmod(0o755)
    job = DBTJob(project(tmp_path / "shop"), dbt=program)
    assert job.dbt_version() == "2.0.0"
    with LocalDBTCloud(job) as cloud:
        assert cloud.jobs
    found, logs = run(job)
    assert found["status"] == 10
    assert "called with build" in logs


@pytest.mark.parametrize(
    ("program", "message"),
    [("no/such/dbt", "There is no program"), (shutil.which("false") or "false", "is not a dbt")],
)
def test_no_dbt(tmp_path: Path, program: str, message: str) -> None:
    """A dbt that isn't there, or isn't one, is told before anything runs."""
    with pytest.raises(LocalDBTCloudException, match=message):
        DBTJob(project(tmp_path / "shop"), dbt=program).check()


WINDOWS = """
import os, signal, sys
import dlt, dlt.sources.helpers.requests, flask, werkzeug.serving, yaml, subprocess
sys.modules["fcntl"] = None
for module, names in {signal: ("SIGKILL", "SIGHUP", "SIGTTOU"), os: ("killpg", "setsid")}.items():
    for name in names:
        delattr(module, name)
sys.platform = "win32"
from dlt_dbt_cloud import run_dbt_cloud_job
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, LocalDBTCloudException, ScriptedJob
with LocalDBTCloud(ScriptedJob()) as cloud:
    assert run_dbt_cloud_job(cloud.credentials, wait_seconds=0.1).is_success
try:
    LocalDBTCloud(".").__enter__()
except LocalDBTCloudException as e:
    print(e)
"""


def test_windows() -> None:
    """Without what only POSIX has, scripted jobs run, and dbt jobs say that they don't."""
    printed = subprocess.check_output([sys.executable, "-c", WINDOWS], text=True)
    assert "runs dbt, which the local dbt Cloud doesn't do on Windows" in printed


def test_a_job_alone(make_api: Callable[..., Any]) -> None:
    """A local dbt Cloud can be made of one job, and a script by seconds may come from TOML."""
    with LocalDBTCloud(ScriptedJob(statuses=[[0, 1], [0.0, 10]])) as cloud:
        api = make_api(cloud)
        assert api.finished(api.trigger()["id"])["is_success"]
    with pytest.raises(LocalDBTCloudException, match="the status 4"):
        ScriptedJob(statuses=[[0, 4]]).check()
    with pytest.raises(LocalDBTCloudException, match=r"the status \[1, 2, 3\]"):
        ScriptedJob(statuses=[[1, 2, 3]]).check()
