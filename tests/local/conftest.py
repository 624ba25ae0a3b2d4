"""What the tests of the local dbt Cloud share: a tiny dbt project, and a client of the API."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from dlt_dbt_cloud.local import DBTJob, LocalDBTCloud, ScriptedJob
from tests.local import openapi

SAMPLES = Path(__file__).parent.parent / "samples" / "local"


@dataclass
class Api:
    """The API as a client sees it, and as strange as a test wants it."""

    settings: dict[str, str]

    def __post_init__(self) -> None:
        """Open a session with the token."""
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Token {self.settings['api_token']}"
        self.account = (
            f"{self.settings['base_api_url']}/api/v2/accounts/{self.settings['account_id']}"
        )
        self.job_id = int(self.settings["job_id"])

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send any request. One that is served is as described, and so is its answer."""
        answer = self.session.request(method, f"{self.account}/{path}", timeout=30, **more)
        basis = answer.headers[openapi.BASIS]
        if openapi.PATH and answer.status_code == 200 and "fault." not in basis:
            openapi.check(answer)
        return answer

    def get(self, path: str, **query: Any) -> Any:
        """Get the data of an answer that must be a success."""
        return self._data(self.request("GET", path, params=query))

    def post(self, path: str, body: Any = None) -> Any:
        """Post, and get the data of an answer that must be a success."""
        return self._data(self.request("POST", path, json=body))

    def refusal(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Send a request that is refused, get status and body."""
        answer = self.request(method, path, **more)
        assert answer.json()["status"]["code"] == answer.status_code
        return answer.status_code, answer.json()

    def trigger(self, job_id: int | None = None, **overrides: Any) -> Any:
        """Trigger a job, the first one by default."""
        return self.post(f"jobs/{job_id or self.job_id}/run/", {"cause": "a test", **overrides})

    def run(self, run_id: int, *include: str) -> Any:
        """Get a run."""
        return self.get(f"runs/{run_id}/", include_related=json.dumps(include))

    def until(self, run_id: int, is_so: Callable[[Any], bool]) -> Any:
        """Poll a run, with its steps, until it is as wanted."""
        give_up = time.monotonic() + 240  # a busy machine is no fault
        while not is_so(run := self.run(run_id, "run_steps")):
            assert time.monotonic() < give_up, (
                f"{run['status_humanized']} since {run['updated_at']}"
            )
            time.sleep(0.05)
        return run

    def finished(self, run_id: int) -> Any:
        """Poll a run, with its steps, until it has ended."""
        return self.until(run_id, lambda run: run["is_complete"])

    def artifact(self, run_id: int, path: str, **query: Any) -> Any:
        """Get a JSON artifact."""
        return self.request("GET", f"runs/{run_id}/artifacts/{path}", params=query).json()

    @staticmethod
    def _data(answer: requests.Response) -> Any:
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == {
            "code": 200,
            "is_success": True,
            "user_message": "Success!",
            "developer_message": "",
        }
        return answer.json()["data"]


def sample(name: str) -> Any:
    """Read a recorded body."""
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def read_sample() -> Callable[[str], Any]:
    """Recorded bodies of dbt Cloud."""
    return sample


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., DBTJob]:
    """Make a job with a dbt project and a database of its own."""

    def make(**fields: Any) -> DBTJob:
        folder = tmp_path_factory.mktemp("project")
        shutil.copytree(SAMPLES / "tiny_dbt", folder / "tiny_dbt")
        env = {"TINY_DATABASE": str(folder / "tiny.duckdb"), **fields.pop("env", {})}
        return DBTJob(folder / "tiny_dbt", env=env, **fields)

    return make


@pytest.fixture(scope="session")
def make_api() -> Callable[..., Api]:
    """Make a client of a local dbt Cloud."""

    def make(cloud: LocalDBTCloud, job: int | str = 0) -> Api:
        return Api(cloud.settings(job))

    return make


GOOD: dict[str, Any] = {"name": "Good", "artifacts": {"run_results.json": {"results": []}}}
BAD: dict[str, Any] = {
    "name": "Bad",
    "statuses": [1, 3, 20],
    "status_message": "dbt command failed",
    "artifacts": {},
}


@pytest.fixture
def scripted() -> Iterator[LocalDBTCloud]:
    """A local dbt Cloud with a job that succeeds and one that fails, both without dbt."""
    with LocalDBTCloud(jobs=[ScriptedJob(**GOOD), ScriptedJob(**BAD)]) as cloud:
        yield cloud


@pytest.fixture
def api(scripted: LocalDBTCloud, make_api: Callable[..., Api]) -> Api:
    """A client of it."""
    return make_api(scripted)


@pytest.fixture(scope="session")
def processes() -> Callable[[int], list[str]]:
    """The processes of a run, which its environment marks."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("looks into /proc")

    def find(run_id: int) -> list[str]:
        found = []
        # Other tests, beside this one, have runs with the same ids.
        this_test = os.environ["PYTEST_CURRENT_TEST"].split(" ")[0].encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):  # it has ended, or is another user's
                environ = path.read_bytes()
                if f"DBT_CLOUD_RUN_ID={run_id}\0".encode() in environ and this_test in environ:
                    found.append(path.parent.name)
        return found

    return find


@dataclass
class Served:
    """The command without a command, which serves."""

    process: subprocess.Popen[str]
    settings: dict[str, str]

    @classmethod
    def start(cls, *options: str) -> Served:
        """Start it, and read what it prints for `secrets.toml`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "dlt_dbt_cloud.local", *options],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        settings: dict[str, str] = {}
        assert process.stdout
        for line in process.stdout:
            found = re.fullmatch(r'(\w+) = "(.*)"\n', line)
            if found:
                settings[found[1]] = found[2]
            if "base_api_url" in settings:
                return cls(process, settings)
        raise AssertionError(process.wait())

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """End it as a person would, and get its exit code."""
        self.process.send_signal(how)
        with self.process:
            return self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def serve() -> Callable[..., Served]:
    """Start the command."""
    return Served.start
