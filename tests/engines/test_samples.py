"""The samples for engines, run as their README says, each in the environment of its engine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("engine", ["dagster", "prefect"])
def test_sample(engine: str, tmp_path: Path) -> None:
    """The commands of the README load orders, and the job sums them up."""
    samples = shutil.copytree(ROOT / "sample_pipelines", tmp_path / "sample_pipelines")
    page = (samples / engine / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    commands = [it for it in block.splitlines() if not it.startswith("pip ")]  # it is installed
    environment = {
        "PATH": f"{ROOT}/.venv-{engine}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
    done = subprocess.run(
        ["bash", "-ec", "\n".join(commands)],  # noqa: S607  # of whatever machine
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(samples / engine / "orders.duckdb")) as connection:
        built = connection.sql("select customer, amount from analytics.customers order by 1")
        assert built.fetchall() == [("Ada", 9.5), ("Grace", 7.0)]
