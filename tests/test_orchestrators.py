"""The page about orchestrators: what it shows is so. Its DAG runs in `make test-engines`."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dlt_dbt_cloud._start.engines import HOSTS, IN_PROCESS
from dlt_dbt_cloud.local import LocalDBTCloud, ScriptedJob

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs" / "orchestrators.md").read_text()


def test_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls of the example in one workflow run and job share a run."""
    (example,) = re.findall(r"```python\n(from .*?)```", PAGE, re.DOTALL)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REPOSITORY", "shop/orders")
    monkeypatch.setenv("GITHUB_RUN_ID", "1")
    monkeypatch.setenv("GITHUB_JOB", "orders")
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[10])]) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        exec(example, {})  # noqa: S102  # our own page
        exec(example, {})  # noqa: S102  # as above
        assert sum(request.path.endswith("/run/") for request in cloud.requests) == 1


def test_table_of_engines() -> None:
    """The table names every engine, and every variable that is read."""
    table = PAGE[PAGE.index("| orchestrator | key") : PAGE.index("If the process runs in none")]
    assert len(table.strip().splitlines()) - 2 == len(HOSTS) + len(IN_PROCESS)
    marks = {"GITHUB_ACTIONS", "GITLAB_CI", "KUBERNETES_SERVICE_HOST"}  # say where, not what
    variables = {name for host in HOSTS for name in (*host.variables, *host.more)} - marks
    assert variables <= set(re.findall(r"`([A-Z_]+)`", table))


def test_airflow_starts() -> None:
    """Airflow asks for the facts of the package as it starts: telling them imports no Airflow."""
    code = "import sys, dlt_dbt_cloud.airflow as a; a.get_provider_info(); print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'airflow'" not in done.stdout
    assert "'dlt'" not in done.stdout


def test_leave_and_look_later() -> None:
    """A scheduler triggers, leaves, and later learns from the exit code how the run has ended."""
    (block,) = re.findall(r"```sh\n(dlt .*?)```", PAGE, re.DOTALL)
    trigger, status = block.strip().splitlines()
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[1, 3, 3, 20])]) as cloud:

        def call(line: str) -> "subprocess.CompletedProcess[str]":
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            environment = {**os.environ, **cloud.environment, "PATH": path}
            command = shlex.split(line)
            return subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=False
            )

        triggered = call(trigger)
        assert triggered.returncode == 0
        found = re.search(r"dbt Cloud run (\d+) of job", triggered.stdout)
        assert found
        codes = [call(status.replace("RUN_ID", found[1])).returncode for _ in range(4)]
    assert codes[0] == 6
    assert codes[-1] == 1
