"""dbt-cloud-cli, as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared import ACCOUNT, BAD, GOOD, HOST, SLOW, TOKEN, report

COMMAND = "import shared; shared.use_plain_http(); from dbt_cloud.cli import dbt_cloud; dbt_cloud()"
ENV = {
    **os.environ,
    "PYTHONPATH": str(Path(__file__).parent),
    "DBT_CLOUD_API_TOKEN": TOKEN,
    "DBT_CLOUD_ACCOUNT_ID": str(ACCOUNT),
    "DBT_CLOUD_HOST": HOST,
}


def call(*arguments: str) -> Any:
    """Returns what the command prints."""
    command = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(command, env=ENV, stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout)


good = call("job", "run", "--job-id", str(GOOD), "--wait")["data"]
failed = call("job", "run", "--job-id", str(BAD), "--wait")["data"]
slow = call("job", "run", "--job-id", str(SLOW))["data"]
run_id = ["--run-id", str(good["id"])]
runs = call("run", "list", "--job-id", str(GOOD), "--order-by=-id")["data"]
report(
    status=good["status"],
    listed=[run["id"] for run in runs],
    jobs=[job["id"] for job in call("job", "list")["data"]],
    run_id=good["id"],
    artifacts=call("run", "list-artifacts", *run_id)["data"],
    results=call("run", "get-artifact", *run_id, "--path", "run_results.json")["results"],
    cancelled=call("run", "cancel", "--run-id", str(slow["id"]))["data"]["status"],
    failed=failed["status"],
)
