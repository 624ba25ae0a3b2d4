"""Recorded bodies, a clock that jumps, and settings, for the tests to share."""

import json
from pathlib import Path
from typing import Any

import responses

from dlt_dbt_cloud.configuration import DBTCloudConfiguration, resolve_dbt_cloud_configuration
from dlt_dbt_cloud.timing import Timer

SAMPLES = Path(__file__).parent / "samples"
HOST = "https://abc12.us1.dbt.com"
ACCOUNT = f"{HOST}/api/v2/accounts/70403103922125"
JOB_ID = 70403103936332
RUN_ID = 70403110257794
TOKEN = "dbtc_5eCrEt-T0k3n_0123456789"


class JumpingTimer(Timer):
    """A clock that stands still but while one sleeps, and a sleep that takes no time."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        """Returns the time at which the clock stands."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Puts the clock forward."""
        self.sleeps.append(seconds)
        self.time += seconds


def sample(name: str) -> Any:
    """Returns a recorded body."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def sample_run(name: str, **changes: Any) -> dict[str, Any]:
    """Returns a recorded answer with a run, some fields of the run changed."""
    body: dict[str, Any] = sample(name)
    body["data"].update(changes)
    return body


def configured(**settings: Any) -> DBTCloudConfiguration:
    """Returns resolved settings of a job on a cell account, some of them changed."""
    given = {
        "api_token": TOKEN,
        "account_id": "70403103922125",
        "job_id": str(JOB_ID),
        "base_api_url": HOST,
        **settings,
    }
    return resolve_dbt_cloud_configuration(DBTCloudConfiguration(**given))


def bodies(mock: responses.RequestsMock, method: str = "POST") -> list[Any]:
    """Returns the JSON bodies of the requests that were made."""
    made = [call.request for call in mock.calls]
    return [json.loads(request.body or "null") for request in made if request.method == method]
