"""The wait for a run: what is retried, for how long, and when it ends."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud import (
    DBTCloudClientV2,
    DBTCloudHTTPException,
    DBTCloudRun,
    DBTCloudRunUnreachableException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud._follow.wait import LAST_POLL, Follow, Limits
from dlt_dbt_cloud._follow.watch import Watch
from dlt_dbt_cloud._io import run as run_program
from tests.utils import ACCOUNT, JOB_ID, RUN_ID, JumpingIO, configured, list_of, sample_run

Answer = int | str | Exception | dict[str, Any]
"""A status of the run, from 100 on one of HTTP, a body, what `requests` raises, or all of it."""
Wait = Callable[..., DBTCloudRun]

RUN_URL = f"{ACCOUNT}/runs/{RUN_ID}/"
QUEUED = DBTCloudRun(id=RUN_ID, job_definition_id=JOB_ID, status=1)
OTHER_RUN = json.dumps(sample_run("run_success", id=RUN_ID + 1))
TRANSIENT: list[Answer] = [
    *(408, 429, 500, 502, 503, 504),
    requests.ReadTimeout("slow"),
    requests.ConnectionError("reset by peer"),
    *("<html>", "[]", '{"data": null}', OTHER_RUN),
]
REFUSALS = [401, 403, 404]


def waited(io: JumpingIO, *answers: Answer, **settings: float) -> DBTCloudRun:
    """Returns the run when it has finished. Of the answers to polls, the last one repeats."""
    policy = {"wait_timeout": 3600.0, "wait_seconds": 10.0, "outage_timeout": 600.0, **settings}
    limits = Limits(
        io.now() + policy["wait_timeout"], policy["wait_seconds"], policy["outage_timeout"]
    )
    with responses.RequestsMock(assert_all_requests_are_fired=False) as api:
        api.get(f"{ACCOUNT}/runs/", json=list_of())
        for answer in answers:
            api.get(RUN_URL, **_played(answer))
        client = DBTCloudClientV2(credentials=configured(), outage_timeout=0)
        follow = Follow(io, client, Watch(io), limits)
        return run_program(follow.to_the_end(QUEUED))


def _played(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, dict):
        return answer
    if isinstance(answer, int) and answer < 100:
        return {"json": sample_run("run_running", status=answer)}
    return {"status": answer} if isinstance(answer, int) else {"body": answer}


@given(
    answers=st.lists(st.one_of(st.integers(-5, 40), st.sampled_from(TRANSIENT)), max_size=8),
    timeout=st.floats(0, 1000),
    wait_seconds=st.floats(0, 100),
)
def test_any_answers(answers: list[Answer], timeout: float, wait_seconds: float) -> None:
    """Whatever polls answer, the wait ends by its deadline, with the first final status.

    Before, it gives up only an API that was unavailable for all of `outage_timeout`.
    """
    io = JumpingIO()
    started, deadline = io.now(), io.now() + timeout
    try:
        run = waited(io, *answers, 10, wait_timeout=timeout, wait_seconds=wait_seconds)
    except DBTCloudWaitTimeoutException as error:
        assert deadline == pytest.approx(io.now(), abs=LAST_POLL)
        assert error.run.in_progress  # noqa: PT017  # one of two outcomes
    except DBTCloudRunUnreachableException:
        assert io.now() - started >= 600
    else:
        finals = (answer for answer in [*answers, 10] if answer in (10, 20, 30))
        assert run.status == next(finals)
    assert io.now() <= deadline + LAST_POLL + 1e-6


class TestEnd:
    """How a wait ends."""

    def test_finished_run(self, io: JumpingIO) -> None:
        """A run that has finished already is returned without a request."""
        finished = DBTCloudRun({**QUEUED, "status": 20})
        client = DBTCloudClientV2(credentials=configured(), outage_timeout=0)
        follow = Follow(io, client, Watch(io), Limits(0, 1, 1))
        with responses.RequestsMock():
            assert run_program(follow.to_the_end(finished)) is finished

    def test_deadline(self, io: JumpingIO) -> None:
        """The last sleep ends at the deadline, and the run is read once more there."""
        with pytest.raises(
            DBTCloudWaitTimeoutException, match=r"\(Running\) didn't finish within 33 s"
        ):
            waited(io, 1, 3, wait_timeout=33)
        assert sum(io.sleeps) == pytest.approx(33)

    def test_end_at_the_deadline(self, io: JumpingIO) -> None:
        """A run that finishes just before the deadline has not timed out."""
        assert waited(io, 1, 10, wait_timeout=1.5).is_success
        assert sum(io.sleeps) == 1.5

    @pytest.mark.parametrize("fault", [503, 404, "<html>"])
    def test_failing_poll_before_the_deadline(self, fault: Answer, io: JumpingIO) -> None:
        """If the API answers again at the deadline, the status that it tells counts."""
        assert waited(io, fault, 10, wait_timeout=1.5).is_success

    def test_no_time(self, io: JumpingIO) -> None:
        """With `wait_timeout=0` the status is read once."""
        assert waited(io, 10, wait_timeout=0).is_success
        with pytest.raises(DBTCloudWaitTimeoutException):
            waited(io, 3, wait_timeout=0)
        assert sum(io.sleeps) == 0

    @pytest.mark.parametrize("status", [0, 4, 11, 40])
    def test_unknown_status(self, status: int, io: JumpingIO) -> None:
        """An unknown number is neither an error nor an end."""
        assert waited(io, status, 10).is_success

    def test_longest_interval(self, io: JumpingIO) -> None:
        """No pause is longer than `wait_seconds`."""
        waited(io, *[3] * 200, 10, wait_seconds=2)
        assert max(io.sleeps) == 2


class TestTrouble:
    """Polls without an answer."""

    @pytest.mark.parametrize("fault", TRANSIENT, ids=repr)
    def test_transient(self, fault: Answer, io: JumpingIO) -> None:
        """A poll that fails is no run that fails."""
        assert waited(io, 3, fault, fault, 10).is_success

    def test_outage(self, io: JumpingIO) -> None:
        """An API that stays unavailable is given up: the run is still in progress."""
        with pytest.raises(DBTCloudRunUnreachableException, match="503") as caught:
            waited(io, 1, 3, 503)
        assert 600 <= sum(io.sleeps) < 620
        assert caught.value.run.status == 3

    def test_each_outage_counts_anew(self, io: JumpingIO) -> None:
        """Two outages that are short enough each are waited out, though not in sum."""
        down = [503] * 45
        assert waited(io, *down, 3, *down, 10).is_success

    @pytest.mark.parametrize("status_code", REFUSALS)
    def test_refusal(self, status_code: int, io: JumpingIO) -> None:
        """A refusal of a run that was readable is retried for 60 s, then raised as it is."""
        assert waited(io, *[status_code] * 5, 10).is_success
        start = io.now()
        with pytest.raises(DBTCloudHTTPException, match=str(status_code)):
            waited(io, 3, status_code)
        assert 60 <= io.now() - start <= 65

    @pytest.mark.parametrize("status_code", [301, 400, 409])
    def test_mistake(self, status_code: int, io: JumpingIO) -> None:
        """What no later attempt can change is raised at once."""
        with pytest.raises(DBTCloudHTTPException, match=str(status_code)):
            waited(io, status_code)
        assert io.sleeps == [1]

    @pytest.mark.parametrize(
        ("retry_after", "pause"), [("30", 30), ("0", 1), ("-5", 300), ("soon", 300)]
    )
    def test_rate_limit(self, retry_after: str, pause: float, io: JumpingIO) -> None:
        """The wait pauses as long as the API asks."""
        limited = {"status": 429, "headers": {"Retry-After": retry_after}}
        assert waited(io, limited, 10).is_success
        assert io.sleeps == [1, pause]

    def test_long_rate_limit(self, io: JumpingIO) -> None:
        """A longer pause than `outage_timeout` is cut to it."""
        limited = {"status": 429, "headers": {"Retry-After": "99999999"}}
        with pytest.raises(DBTCloudRunUnreachableException):
            waited(io, limited)
        assert io.sleeps == [1, 600]

    def test_rate_limit_ends_at_the_deadline(self, io: JumpingIO) -> None:
        """No pause that the API asks for outlasts the deadline."""
        with pytest.raises(DBTCloudWaitTimeoutException):
            waited(io, 429, wait_timeout=100)
        assert sum(io.sleeps) == pytest.approx(100, abs=LAST_POLL)
