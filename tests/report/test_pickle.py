"""Exceptions and runs keep their message and attributes when they are pickled and copied."""

import copy
import inspect
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
import requests

from dlt_dbt_cloud import (
    DBTCloudException,
    DBTCloudResponseException,
    DBTCloudRun,
    DBTCloudRunFailedException,
    InvalidCredentialsException,
    exceptions,
)
from dlt_dbt_cloud._http.responses import http_exception, without_token
from dlt_dbt_cloud._report import nodes
from dlt_dbt_cloud.configuration import required_id
from dlt_dbt_cloud.run import UsualTimes
from tests.utils import SAMPLES, sample


def failed_run() -> DBTCloudRun:
    """Returns a run with all that a report adds."""
    run = DBTCloudRun(sample("run_error_related")["data"])
    run.nodes = tuple(nodes(sample("run_results")))
    run.usual = UsualTimes(1.0, 2.0, 0.5)
    return run


ARGUMENTS: dict[str, Any] = {
    "job_name": "Nightly",
    "matches": [{"id": 1}],
    "url": "https://u/",
    "status_code": 400,
    "user_message": "No",
    "data": {"a": [1]},
    "retry_after": 7.0,
    "is_transient": True,
    "may_have_acted": True,
    "job_id": 7,
    "mark": "[dlt:1]",
    "problems": ["no token"],
    "runs": [failed_run()],
    "run": failed_run(),
}
KINDS = [
    kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, DBTCloudException)
]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def error(request: pytest.FixtureRequest) -> DBTCloudException:
    """One of each exception, with all its attributes."""
    names = inspect.signature(request.param).parameters
    made: DBTCloudException = request.param(
        "It failed.", **{name: value for name, value in ARGUMENTS.items() if name in names}
    )
    return made


def assert_same(one: DBTCloudException, other: DBTCloudException) -> None:
    """Asserts that an exception has all that another has."""
    assert type(one) is type(other)
    assert (str(one), repr(one), vars(one)) == (str(other), repr(other), vars(other))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled(error: DBTCloudException, protocol: int) -> None:
    """A pickled exception has the type, the message and the attributes of the original."""
    assert str(error).startswith("It failed.")
    assert_same(pickle.loads(pickle.dumps(error, protocol)), error)  # noqa: S301  # our own


def test_terminal() -> None:
    """No message steers a terminal, whatever a server wrote into it."""
    assert str(DBTCloudException("\x1b]0;title\x07It failed.\u202e")).isprintable()


def test_copied(error: DBTCloudException) -> None:
    """A copied exception does, too."""
    assert_same(copy.copy(error), error)
    assert_same(copy.deepcopy(error), error)


def test_run() -> None:
    """A pickled or copied run has the failed nodes and usual times of the original."""
    run = failed_run()
    for again in (pickle.loads(pickle.dumps(run)), copy.copy(run), copy.deepcopy(run)):  # noqa: S301
        assert type(again) is DBTCloudRun
        assert (again, str(again), vars(again)) == (run, str(run), vars(run))


def test_answer() -> None:
    """The answer that hangs on the exception of an HTTP status is pickled with it."""
    body = bytearray((SAMPLES / "400.json").read_bytes())
    answer = requests.Response()
    answer.status_code, answer.headers["X-Id"] = 400, "7"
    error = http_exception(without_token(answer, "GET", "https://u/", body, str))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    assert str(again) == str(error)
    assert again.response.json() == sample("400")
    assert (again.response.status_code, again.response.headers["x-id"]) == (400, "7")


def test_other_process() -> None:
    """A run goes to another process and back, and what it raises there comes out here."""
    run = failed_run()
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:
        back = pool.submit(copy.copy, run).result()
        with pytest.raises(DBTCloudRunFailedException) as caught:
            pool.submit(DBTCloudRun.raise_on_failure, run).result()
        with pytest.raises(InvalidCredentialsException, match="`run_id` is missing"):
            pool.submit(required_id, "run_id", None).result()
        with pytest.raises(DBTCloudResponseException) as answered:
            pool.submit(DBTCloudRun.from_api, None, "https://u/").result()
    assert (back, vars(back)) == (run, vars(run))
    assert (str(caught.value), caught.value.run) == (str(run), run)
    assert str(answered.value) == "https://u/ answered without a run: NoneType"
    assert answered.value.url == "https://u/"
