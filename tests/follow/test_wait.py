"""The wait: when it looks, and when it ends."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud._follow.wait import NEW_RUN_GRACE, Wait
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudResponseException,
    DBTCloudRunUnreachableException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud.run import DBTCloudRun
from tests.utils import JumpingTimer

QUEUED = DBTCloudRun(id=1, status=1)

Answer = int | DBTCloudAPIException


def http_error(status_code: int, retry_after: float | None = None) -> DBTCloudAPIException:
    """An answer with an error status."""
    return DBTCloudHTTPException(
        f"HTTP {status_code}", url="u", status_code=status_code, retry_after=retry_after
    )


PASSING: list[DBTCloudAPIException] = [
    *(http_error(code) for code in (408, 429, 500, 502, 503, 504)),
    http_error(429, retry_after=30),
    DBTCloudConnectionException("no host", url="u", is_transient=False, may_have_acted=False),
    DBTCloudResponseException("<html>", url="u"),
]


def wait(answers: Iterator[Answer], timer: JumpingTimer, **changes: Any) -> DBTCloudRun:
    """Waits for a run whose polls are answered with a status or an error."""

    def poll(_: list[int]) -> list[DBTCloudRun]:
        answer = next(answers)
        if isinstance(answer, DBTCloudAPIException):
            raise answer
        return [DBTCloudRun(id=1, status=answer)]

    policy: dict[str, Any] = {
        "deadline": timer.now() + 3600,
        "wait_seconds": 10,
        "outage_timeout": 600,
    }
    (run,) = Wait(poll, timer, **{**policy, **changes}).ended([QUEUED])
    return run


def statuses(*given: Answer) -> Iterator[Answer]:
    """Yields the given answers, and the last one for ever."""
    yield from given
    while True:
        yield given[-1]


class TestLaw:
    """Whatever the polls answer, the wait ends by its deadline, with the right status."""

    @given(
        answers=st.lists(st.one_of(st.integers(-5, 40), st.sampled_from(PASSING))),
        timeout=st.floats(0, 5000),
        wait_seconds=st.floats(0, 100),
    )
    def test_any_answers(self, answers: list[Answer], timeout: float, wait_seconds: float) -> None:
        """Statuses in any order, unknown ones, and errors that pass."""
        timer = JumpingTimer()
        deadline = timer.now() + timeout
        last_seen = iter([*answers, 10])
        try:
            run = wait(statuses(*last_seen), timer, deadline=deadline, wait_seconds=wait_seconds)
        except DBTCloudWaitTimeoutException as error:
            assert timer.now() == pytest.approx(deadline)
            assert error.run.in_progress  # noqa: PT017  # one of three outcomes
        except DBTCloudRunUnreachableException:
            assert timer.now() > 600
        else:
            assert run.is_complete
            first_end = next(a for a in [*answers, 10] if a in (10, 20, 30))
            assert run.status == first_end
        assert timer.now() <= deadline + 1e-6


class TestEnd:
    """How a wait ends."""

    def test_ended_run(self, timer: JumpingTimer) -> None:
        """A run that has ended already is returned without a request."""
        run = DBTCloudRun(id=1, status=20)
        wait = Wait(
            lambda _: pytest.fail("asked"), timer, deadline=0, wait_seconds=1, outage_timeout=1
        )
        assert list(wait.ended([run])) == [run]

    def test_deadline(self, timer: JumpingTimer) -> None:
        """The last sleep ends at the deadline, and the run is read once more there."""
        with pytest.raises(
            DBTCloudWaitTimeoutException, match=r"run 1 \(Running\) has not ended within 33 s"
        ) as e:
            wait(statuses(1, 3), timer, deadline=timer.now() + 33)
        assert sum(timer.sleeps) == pytest.approx(33)
        assert e.value.run.status == 3

    def test_end_at_the_deadline(self, timer: JumpingTimer) -> None:
        """A run that ends just at the deadline has ended, it has not timed out."""
        deadline = timer.now() + 1.5
        assert wait(statuses(1, 10), timer, deadline=deadline).is_success
        assert timer.now() == deadline

    def test_no_time(self, timer: JumpingTimer) -> None:
        """With `wait_timeout=0` the run is looked at once."""
        assert wait(statuses(10), timer, deadline=timer.now()).is_success
        with pytest.raises(DBTCloudWaitTimeoutException):
            wait(statuses(3), timer, deadline=timer.now())

    @pytest.mark.parametrize("status", [0, 4, 11, 40])
    def test_unknown_status(self, status: int, timer: JumpingTimer) -> None:
        """An unknown number is neither a crash nor an end."""
        assert wait(statuses(status, 10), timer).is_success

    def test_log(self, timer: JumpingTimer, log: pytest.LogCaptureFixture) -> None:
        """The log has a line at each change of status, not at each poll."""
        wait(statuses(1, 1, 2, 3, 3, 3, 10), timer)
        assert [r.message for r in log.records] == [
            "dbt Cloud run 1: Starting",
            "dbt Cloud run 1: Running",
            "dbt Cloud run 1: Success",
        ]


class TestTrouble:
    """Polls without an answer."""

    @pytest.mark.parametrize("error", PASSING)
    def test_passes(self, error: DBTCloudAPIException, timer: JumpingTimer) -> None:
        """A poll that fails is no run that fails."""
        assert wait(statuses(1, error, error, 10), timer).is_success

    def test_stays(self, timer: JumpingTimer) -> None:
        """An API that stays down is given up on, and the error says that the run goes on."""
        with pytest.raises(
            DBTCloudRunUnreachableException, match=r"HTTP 503 The run goes on\."
        ) as e:
            wait(statuses(1, 3, http_error(503)), timer)
        assert 600 < sum(timer.sleeps) < 620
        assert e.value.run.id == 1

    def test_one_error_between_rare_looks(self, timer: JumpingTimer) -> None:
        """An outage begins with its first error, not with the last good look."""
        assert wait(statuses(1, http_error(502), 10), timer, outage_timeout=0.5).is_success

    def test_long_retry_after(self, timer: JumpingTimer) -> None:
        """A pause longer than the patience is cut to it."""
        with pytest.raises(DBTCloudRunUnreachableException):
            wait(statuses(http_error(503, retry_after=50_000)), timer, deadline=1e9)
        assert sum(timer.sleeps) < 1300

    def test_each_outage_counts_anew(self, timer: JumpingTimer) -> None:
        """Two outages that are short enough each are ridden out, though not in sum."""
        down = [http_error(503)] * 45
        assert wait(statuses(*down, 3, *down, 10), timer).is_success

    @pytest.mark.parametrize("status_code", [301, 400, 401, 403, 404])
    def test_refusal(self, status_code: int, timer: JumpingTimer) -> None:
        """A refusal surfaces at once."""
        with pytest.raises(DBTCloudHTTPException):
            wait(statuses(http_error(status_code)), timer)
        assert timer.sleeps == [1]

    def test_new_run_is_not_found_yet(self, timer: JumpingTimer) -> None:
        """Right after an own trigger a 404 is ridden out for 60 s."""
        missing = http_error(404)
        assert wait(statuses(missing, missing, missing, 10), timer, is_new=True).is_success
        start = timer.now()
        with pytest.raises(DBTCloudHTTPException):
            wait(statuses(missing), timer, is_new=True)
        assert NEW_RUN_GRACE <= timer.now() - start <= NEW_RUN_GRACE + 4

    def test_rate_limit(self, timer: JumpingTimer) -> None:
        """The pause that the API asks for is made, but not past the deadline."""
        wait(statuses(http_error(429, retry_after=300), 10), timer)
        assert timer.sleeps == [1, 300]
        with pytest.raises(DBTCloudWaitTimeoutException):
            wait(statuses(http_error(429, retry_after=300)), timer, deadline=timer.now() + 100)
        assert timer.sleeps[2:] == [1, 99]
