"""The workflow of the sample: its steps, run as GitHub runs them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from dlt_dbt_cloud.local import Fault, LocalDBTCloud, ScriptedJob

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[1] / "sample_pipelines" / "github_actions"
WORKFLOW: dict[str, Any] = yaml.safe_load((SAMPLE / "orders.yml").read_text())
JOB: dict[str, Any] = WORKFLOW["jobs"]["orders"]


class Runner:
    """Runs the steps of the workflow in a folder, as `bash -e` does on a runner.

    Args:
        folder: A checkout.
        cloud: What the secrets and variables of the repository name.
    """

    def __init__(self, folder: Path, cloud: LocalDBTCloud) -> None:
        self.folder = shutil.copytree(SAMPLE, folder / "checkout")
        names = cloud.settings()
        secrets = {f"DBT_CLOUD_{name.upper()}": value for name, value in names.items()}
        self.environment = {
            name: next((secrets[s] for s in secrets if f".{s} " in value), value)
            for name, value in JOB["env"].items()
        }

    def run(self, run_id: str, attempt: int, *names: str) -> int:
        """Returns the exit code of the first step that fails, 0 if none does."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "PYTEST_"))},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "shop/orders",
            "GITHUB_RUN_ID": run_id,
            "GITHUB_RUN_ATTEMPT": str(attempt),
            "GITHUB_JOB": "orders",
            **self.environment,
        }
        for step in JOB["steps"]:
            if step.get("name") in names:
                command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
                done = subprocess.run(  # the sample's own command
                    command, cwd=self.folder, env=environment, check=False
                )
                if done.returncode:
                    return done.returncode
        return 0


@pytest.fixture
def cloud() -> Any:
    """A dbt Cloud with a job."""
    with LocalDBTCloud(jobs=[ScriptedJob(statuses=[3, 10])]) as cloud:
        yield cloud


def triggers(cloud: LocalDBTCloud) -> int:
    """Returns how many runs were triggered."""
    return sum(request.path.endswith("/run/") for request in cloud.requests)


def test_an_attempt_is_no_new_run(cloud: LocalDBTCloud, tmp_path: Path) -> None:
    """A second attempt of a workflow run returns its run, a new workflow run has another."""
    runner = Runner(tmp_path, cloud)
    assert runner.run("1", 1, "Load", "Transform") == 0
    assert runner.run("1", 2, "Load", "Transform") == 0
    assert triggers(cloud) == 1
    assert runner.run("2", 1, "Transform") == 0
    assert triggers(cloud) == 2


def test_a_failed_attempt_is_tried_again(cloud: LocalDBTCloud, tmp_path: Path) -> None:
    """If the answer to the trigger is refused, the step fails, and the next attempt triggers."""
    runner = Runner(tmp_path, cloud)
    cloud.fail_next(Fault.answer(401), "/run/$")
    assert runner.run("1", 1, "Transform") != 0
    assert runner.run("1", 2, "Transform") == 0
    assert triggers(cloud) == 2
