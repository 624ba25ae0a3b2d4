"""What is left of a server, however its process ends: nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from dlt_dbt_cloud.local import DBTJob

pytestmark = pytest.mark.slow

SCRIPT = """
    import json, sys, time
    import requests
    from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud

    project, env, ends = sys.argv[1:]
    job = DBTJob(project, env=json.loads(env), steps=["dbt build --select slow"])
    with LocalDBTCloud(job) as cloud:
        settings = cloud.settings()
        api = f"{cloud.url}/api/v2/accounts/{settings['account_id']}"
        headers = {"Authorization": f"Token {settings['api_token']}"}
        path = f"{api}/jobs/{settings['job_id']}/run/"
        requests.post(path, json={"cause": "x"}, headers=headers).raise_for_status()
        while not any(cloud.runs_dir.rglob("stdout.log")):
            time.sleep(0.05)
        print(cloud.port, cloud.runs_dir, flush=True)
        if ends == "exception":
            raise RuntimeError("on purpose")
        time.sleep(60)
"""


def processes(marker: str) -> list[str]:
    """Returns the processes that have a marker in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is another user's
            if marker.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def until(is_so: Callable[[], bool]) -> bool:
    """Wait until something is so, some seconds at most."""
    give_up = time.monotonic() + 20
    while not is_so() and time.monotonic() < give_up:
        time.sleep(0.1)
    return is_so()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
@pytest.mark.parametrize("ends", ["exception", "SIGINT", "SIGKILL"])
def test_nothing_is_left(tmp_path: Path, make_project: Callable[..., DBTJob], ends: str) -> None:
    """No process, folder or port is left, though dbt was at work when the process ended."""
    job, marker = make_project(), f"MARKER={uuid4()}"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    name, value = marker.split("=")
    process = subprocess.Popen(
        [sys.executable, script, job.project_dir, json.dumps(dict(job.env)), ends],
        env={**os.environ, name: value, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout
        port, folder = process.stdout.readline().split()
        assert Path(folder).parent == temporary
        if ends != "exception":
            process.send_signal(signal.Signals[ends])
    assert until(lambda: not processes(marker)), processes(marker)
    assert until(lambda: not list(temporary.iterdir())), list(temporary.iterdir())
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", int(port)))
