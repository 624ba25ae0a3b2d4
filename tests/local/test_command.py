"""The command: wraps another command, or serves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from dlt_dbt_cloud import InvalidCredentialsException
from dlt_dbt_cloud._settings.checks import api_v2_url
from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, LocalDBTCloudException, ScriptedJob
from dlt_dbt_cloud.local.config import jobs_from_toml

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "dlt_dbt_cloud.local")
REPORT = "import os; print({k: v for k, v in os.environ.items() if k.startswith('DBT_CLOUD__')})"


def wrapped(job: DBTJob, *command: str) -> subprocess.Popen[str]:
    """Start the command around another one."""
    env = [f"--env={name}={value}" for name, value in job.env.items()]
    return subprocess.Popen(
        [*COMMAND, "--project-dir", str(job.project_dir), *env, "--", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a command."""
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def test_the_command_finds_the_job(make_project: Callable[..., DBTJob]) -> None:
    """The settings are in the environment of the command, and its exit code is the result."""
    code, out, err = outcome(wrapped(make_project(), sys.executable, "-c", f"{REPORT}; exit(7)"))
    assert (code, err) == (7, "")
    for name in ("API_TOKEN", "ACCOUNT_ID", "JOB_ID", "BASE_API_URL"):
        assert f"'DBT_CLOUD__{name}': " in out


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM, ""),
        (["no-such-command"], 127, "error: can't run no-such-command: No such file or directory\n"),
    ],
)
def test_exit_codes(
    make_project: Callable[..., DBTJob], command: list[str], code: int, message: str
) -> None:
    """A command that a signal ended, or that is missing, is reported as by a shell."""
    assert outcome(wrapped(make_project(), *command)) == (code, "", message)


CLIENT = """
import json, os, signal, sys, time, urllib.request
env = {name: os.environ["DBT_CLOUD__" + name]
       for name in ("BASE_API_URL", "ACCOUNT_ID", "JOB_ID", "API_TOKEN")}
api = f"{env['BASE_API_URL']}/api/v2/accounts/{env['ACCOUNT_ID']}"
headers = {"Authorization": "Token " + env["API_TOKEN"], "Content-Type": "application/json"}
def call(path, body=None):
    request = urllib.request.Request(api + path, body and json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))["data"]
received = []
signal.signal(signal.SIGINT, lambda *_: received.append("SIGINT"))
run_id = 0
if "run" in sys.argv:
    run_id = call(f"/jobs/{env['JOB_ID']}/run/", {"cause": "x"})["id"]
    while "START" not in (run := json.dumps(call(f"/runs/{run_id}/?include_related=run_steps"))):
        if '"is_complete": true' in run:
            sys.exit(run)
        time.sleep(0.2)
print(run_id, flush=True)
while not received:
    time.sleep(0.05)
time.sleep(0.2)  # a second signal would come by now
print(received)
sys.exit(3)
"""


@pytest.mark.parametrize(("to", "what"), [(os.killpg, "run"), (os.killpg, ""), (os.kill, "")])
def test_ctrl_c(
    make_project: Callable[..., DBTJob],
    tmp_path: Path,
    processes: Callable[[int], list[str]],
    to: Callable[[int, int], None],
    what: str,
) -> None:
    """Ctrl-C reaches the command once; it ends as it likes, then dbt is ended too."""
    (tmp_path / "client.py").write_text(CLIENT, encoding="utf-8")
    job = make_project(env={"TINY_SLOW": "yes"})
    process = wrapped(job, sys.executable, str(tmp_path / "client.py"), what)
    assert process.stdout
    run_id = int(process.stdout.readline() or process.communicate()[1])
    to(process.pid, signal.SIGINT)
    assert outcome(process) == (3, "['SIGINT']\n", "")
    assert not processes(run_id)


IN_A_TERMINAL = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""
READER = """
import os, signal, sys, time
received = []
signal.signal(signal.SIGINT, lambda *_: received.append("SIGINT"))
print("Name? ", end="", flush=True)
print(f"Hello {input()}, in front:", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
while not received:
    time.sleep(0.05)
time.sleep(0.2)  # a second signal would come by now
print(received)
sys.exit(3)
"""


def test_in_a_terminal(make_project: Callable[..., DBTJob]) -> None:
    """The command has the terminal: it reads from it, and gets its Ctrl-C once."""
    job = make_project()
    project = ("--project-dir", str(job.project_dir))
    reader = (sys.executable, "-c", READER)
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *COMMAND, *project, "--", *reader],
        env={**os.environ, **job.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    with process:
        for shown, typed in ((b"Name? ", b"Ada\n"), (b"in front: True", b"\x03")):
            seen = b""
            while not seen.endswith(shown):
                seen += process.stdout.read(1)
            process.stdin.write(typed)
            process.stdin.flush()
        assert b"['SIGINT']" in process.stdout.read()
    assert process.returncode == 3


def test_serving(make_project: Callable[..., DBTJob], serve: Callable[..., Any]) -> None:
    """Without a command it serves until SIGTERM, and prints what belongs in `secrets.toml`."""
    job = make_project()
    env = [f"--env={name}={value}" for name, value in job.env.items()]
    served = serve("--project-dir", str(job.project_dir), "--api-token=mine", *env)
    assert list(served.settings) == ["api_token", "account_id", "job_id", "base_api_url"]
    assert served.settings["api_token"] == "mine"
    assert served.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name a dbt project with --project-dir"),
        (["--project-dir", "no/such/project"], "there is no dbt_project.yml"),
        (["--config", "no/such/file.toml"], "can't be read"),
        (["--project-dir", ".", "--env", "nonsense"], "is not NAME=VALUE"),
    ],
)
def test_what_can_not_start(options: list[str], message: str) -> None:
    """What is wrong is said before anything starts, with exit code 2."""
    done = subprocess.run(
        [*COMMAND, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def toml(path: Path, text: str) -> Path:
    """Write a file of jobs."""
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_jobs_of_a_file(tmp_path: Path) -> None:
    """Several jobs are described in TOML, their folders relative to the file."""
    path = toml(
        tmp_path / "jobs.toml",
        """
        [[jobs]]
        name = "Nightly"
        project_dir = "flights_dbt"
        steps = ["dbt build", "dbt docs generate"]
        env = {A = "b"}

        [[jobs]]
        project_dir = "/other"
        profiles_dir = "profiles"
        target = "prod"
        timeout_seconds = 60
        """,
    )
    nightly, other = jobs_from_toml(path)
    assert nightly == DBTJob(
        tmp_path / "flights_dbt",
        name="Nightly",
        steps=["dbt build", "dbt docs generate"],
        env={"A": "b"},
    )
    assert other == DBTJob(
        "/other", profiles_dir=tmp_path / "profiles", target="prod", timeout_seconds=60
    )
    assert other.name == "other"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("jobs = 1", "describes no jobs"),
        ("[[jobs", "can't be read"),
        ("[[jobs]]\nname = 'x'\nstatus = 10", "'status'"),
        ("[[jobs]]\nproject_dir = 'x'\nstep = 'dbt build'", "'step'"),
    ],
)
def test_files_without_jobs(tmp_path: Path, text: str, match: str) -> None:
    """A file that describes no jobs, or jobs that aren't any, is refused."""
    with pytest.raises(LocalDBTCloudException, match=match):
        jobs_from_toml(toml(tmp_path / "jobs.toml", text))


def test_runs_stay_with_the_project(make_project: Callable[..., DBTJob]) -> None:
    """What the log of a failed run names still exists after the command: runs stay in `target`."""
    job = make_project()
    model = Path(job.project_dir) / "models" / "doubled.sql"
    model.write_text("select no_such_column from {{ ref('numbers') }}", encoding="utf-8")
    script = "from dlt_dbt_cloud import run_dbt_cloud_job as run; print(run(wait_seconds=0.1))"
    code, out, err = outcome(wrapped(job, sys.executable, "-c", script))
    assert code == 0, err
    (named,) = set(re.findall(r"compiled: (\S+)", out))
    found = list(Path(job.project_dir, "target", "local_dbt_cloud", "runs").glob("run_*"))
    assert len(found) == 1
    assert Path(job.project_dir, named).is_file()


def test_old_runs_are_pruned(make_project: Callable[..., DBTJob]) -> None:
    """The command keeps the folders of the last 100 runs."""
    job = make_project()
    runs = Path(job.project_dir) / "target" / "local_dbt_cloud" / "runs"
    for number in range(103):
        (runs / f"run_{number:03}").mkdir(parents=True)
    assert outcome(wrapped(job, "true"))[0] == 0
    assert min(path.name for path in runs.iterdir()) == "run_003"


def test_listening_beyond_this_machine() -> None:
    """Other machines reach it only by consent on both sides: the name of the host."""
    with pytest.raises(
        LocalDBTCloudException, match="anyone on the network path can read the token"
    ):
        LocalDBTCloud(ScriptedJob(), host="0.0.0.0").__enter__()  # noqa: S104  # it is refused
    cloud = LocalDBTCloud(ScriptedJob(), host="0.0.0.0", plain_http_host="dbt-cloud")  # noqa: S104
    with cloud:
        assert cloud.url == f"http://dbt-cloud:{cloud.port}"
        assert cloud.environment["DBT_CLOUD_PLAIN_HTTP_HOST"] == "dbt-cloud"
        url = (
            f"http://127.0.0.1:{cloud.port}/api/v2/accounts/{cloud.settings()['account_id']}/jobs/"
        )
        headers = {"Authorization": f"Token {cloud.settings()['api_token']}"}
        named = requests.get(url, headers={**headers, "Host": f"dbt-cloud:{cloud.port}"}, timeout=9)
        assert named.status_code == 200
        other = {**headers, "Host": "elsewhere"}
        assert requests.get(url, headers=other, timeout=9).status_code == 421


def test_the_client_needs_the_same_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token goes over plain HTTP to the one host that the environment names, and no other."""
    with pytest.raises(InvalidCredentialsException, match="must use https"):
        api_v2_url("http://dbt-cloud:8580")
    monkeypatch.setenv("DBT_CLOUD_PLAIN_HTTP_HOST", "dbt-cloud")
    assert api_v2_url("http://dbt-cloud:8580") == "http://dbt-cloud:8580/api/v2"
    with pytest.raises(InvalidCredentialsException, match="must use https"):
        api_v2_url("http://dbt-cloud.example:8580")
