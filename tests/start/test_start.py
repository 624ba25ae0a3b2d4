"""How a run comes to be: single cases of the laws that the simulation holds in all schedules."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from dlt_dbt_cloud._start.duplicates import judge
from dlt_dbt_cloud._start.order import MAX_CAUSE, Order, RetryOrder, new_tag, overrides, tagged
from dlt_dbt_cloud._start.search import Found
from dlt_dbt_cloud.exceptions import (
    DBTCloudHTTPException,
    DBTCloudNotTriggeredException,
    DBTCloudTriggerOutcomeUnknownException,
    DBTCloudWaitTimeoutException,
)
from dlt_dbt_cloud.run import DBTCloudRun
from tests.utils import ACCOUNT, JOB_ID, RUN_ID, Fault, PlayedJob, list_of, sample_run

RunWith = Callable[..., DBTCloudRun]
AMBIGUOUS: list[Fault] = [
    *(408, 500, 502, 504),
    requests.ConnectionError("broken"),
    requests.ReadTimeout("slow"),
    *("<html>", '{"data": {"id": 1}}', '{"data"'),
    json.dumps(sample_run("run_queued", job_definition_id=JOB_ID + 1)),
    json.dumps(sample_run("run_success", id=RUN_ID - 1)),
    json.dumps(sample_run("run_queued", trigger={"cause": "another's"})),
]
"""What leaves open whether the API has acted."""
REFUSED = requests.ConnectionError(NewConnectionError(None, "refused"))  # type: ignore[arg-type]
NEVER_SENT: list[Fault] = [REFUSED, requests.ConnectTimeout(ConnectTimeoutError("slow")), 429]
"""What proves that it has not."""


class TestLostAnswer:
    """The answer to a trigger is lost."""

    @pytest.mark.parametrize("fault", AMBIGUOUS)
    def test_created_run_is_found(self, run_with: RunWith, job: PlayedJob, fault: Fault) -> None:
        """The run that exists all the same is followed, and nothing is sent again."""
        job.fail("trigger", fault, acts=True)
        assert run_with().id == RUN_ID
        assert len(job.sent) == 1

    @pytest.mark.parametrize("lag", [5, 29])
    def test_late_run_is_found(self, run_with: RunWith, job: PlayedJob, lag: float) -> None:
        """A run that the list shows within 30 s is found, and nothing is sent again."""
        job.lag = lag
        job.fail("trigger", 502, acts=True)
        assert run_with().id == RUN_ID
        assert len(job.sent) == 1

    def test_later_run_is_followed_and_the_second_cancelled(
        self, run_with: RunWith, job: PlayedJob, log: pytest.LogCaptureFixture
    ) -> None:
        """If the list shows the first run after the second trigger, the second one is cancelled."""
        job.lag, job.ran = 50, 120
        job.fail("trigger", 502, acts=True)
        assert run_with().id == RUN_ID
        assert job.statuses == [10, 30]
        assert f"Cancelled run {RUN_ID + 1} in the queue in favour of run {RUN_ID}" in log.text

    def test_started_duplicate_is_reported(
        self, run_with: RunWith, job: PlayedJob, log: pytest.LogCaptureFixture
    ) -> None:
        """A duplicate that started before it became visible is an error with both URLs."""
        job.lag, job.queued, job.ran = 45, 1, 10
        job.fail("trigger", 502, acts=True)
        assert run_with().id == RUN_ID
        (error,) = [record.message for record in log.records if record.levelname == "ERROR"]
        assert f"/runs/{RUN_ID}/" in error
        assert f"/runs/{RUN_ID + 1}/" in error

    @pytest.mark.parametrize("fault", AMBIGUOUS)
    def test_nothing_is_sent_again_before_30_seconds(
        self, run_with: RunWith, job: PlayedJob, fault: Fault
    ) -> None:
        """The trigger is sent again only after 30 s of lookups found nothing."""
        job.fail("trigger", fault)
        assert run_with().is_success
        first, second = job.sent
        assert second - first >= 30
        assert len([at for at in job.looked if first < at < second]) > 3

    def test_three_triggers_at_most(self, run_with: RunWith, job: PlayedJob) -> None:
        """A trigger that keeps failing is given up after the third, with the server's message."""
        job.fail("trigger", *[500] * 9)
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException, match="answered 500") as caught:
            run_with()
        assert len(job.sent) == 3
        assert job.time - job.sent[-1] >= 60
        assert "in its cause" in caught.value.mark
        assert "job_definition_id" in caught.value.url

    @pytest.mark.parametrize(("fault", "seconds"), [(503, 600), ("<html>", 60), (403, 60)])
    def test_unreadable_list_is_unknown(
        self, run_with: RunWith, job: PlayedJob, fault: Fault, seconds: float
    ) -> None:
        """If the list stays unreadable, nothing is sent again, and the message says where to look.

        A host that answers everything with a page is one of the cases.
        """
        job.fail("trigger", fault if fault == "<html>" else 502, acts=True)
        job.fail("list", *[fault] * 999)
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException) as caught:
            run_with()
        error, tag = caught.value, job.runs[RUN_ID]["trigger"]["cause"].split()[0]
        assert (len(job.sent), error.job_id) == (1, JOB_ID)
        assert error.mark == f"{tag} in its cause"
        runs = f"{ACCOUNT}/runs/?job_definition_id={JOB_ID}&order_by=-id&include_related=trigger"
        assert error.url == runs
        assert f"look for a run with {error.mark}, in dbt Cloud or" in str(error)
        assert str(error).endswith(f" at {error.url}")
        assert job.time == pytest.approx(seconds, abs=2)

    def test_interrupt_says_where_to_look(
        self, run_with: RunWith, job: PlayedJob, log: pytest.LogCaptureFixture
    ) -> None:
        """Ctrl-C while it is unknown whether there is a run leaves its mark in the log."""
        job.fail("trigger", KeyboardInterrupt(), acts=True)
        with pytest.raises(KeyboardInterrupt):
            run_with()
        tag = job.runs[RUN_ID]["trigger"]["cause"].split()[0]
        last = f"A dbt Cloud run of job {JOB_ID} may exist: look for {tag} in its cause."
        assert log.records[-1].message == last

    def test_duplicate_that_cant_be_cancelled(
        self, run_with: RunWith, job: PlayedJob, log: pytest.LogCaptureFixture
    ) -> None:
        """A cancellation that fails is logged, and tried again before the duplicate starts."""
        job.lag, job.ran = 45, 120
        job.fail("trigger", 502, acts=True)
        job.fail("cancel", 502, 502)
        assert run_with().id == RUN_ID
        assert log.text.count(f"Couldn't cancel run {RUN_ID + 1}, a duplicate: dbt Cloud") == 2
        assert job.statuses == [10, 30]

    def test_duplicates_that_cant_be_looked_for(
        self, run_with: RunWith, job: PlayedJob, log: pytest.LogCaptureFixture
    ) -> None:
        """If duplicates can't be looked for, the run is returned with a warning."""
        job.fail("trigger", 502, acts=True)
        job.fail("list", None, *[503] * 99)
        assert run_with().id == RUN_ID
        assert f"Couldn't check that run {RUN_ID} is the only one: dbt Cloud" in log.text

    def test_list_without_causes_is_unknown(self, run_with: RunWith, job: PlayedJob) -> None:
        """If the list shows no causes, nothing is sent again, and the outcome is unknown."""
        job.create({})
        job.fail("trigger", 502)
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException):
            run_with()
        assert len(job.sent) == 1

    def test_refusal_after_a_lost_answer_is_unknown(
        self, run_with: RunWith, job: PlayedJob
    ) -> None:
        """A refusal proves nothing about an earlier trigger."""
        job.fail("trigger", 502, 400)
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException, match="answered 400"):
            run_with()

    def test_unreadable_list_is_waited_for(self, run_with: RunWith, job: PlayedJob) -> None:
        """While the list can't be read, nothing is sent."""
        job.fail("trigger", 502, acts=True)
        job.fail("list", *[503] * 9)
        assert run_with().id == RUN_ID
        assert len(job.sent) == 1


class TestNothingCreated:
    """Some answers prove that no run was created."""

    @pytest.mark.parametrize("status_code", [301, 400, 401, 403, 404, 409])
    def test_refused_at_once(self, run_with: RunWith, job: PlayedJob, status_code: int) -> None:
        """A refusal is raised at once, as it is."""
        job.fail("trigger", status_code)
        with pytest.raises(DBTCloudHTTPException, match=f"answered {status_code}"):
            run_with()
        assert (job.time, job.looked) == (0, [])

    @pytest.mark.parametrize("fault", NEVER_SENT, ids=repr)
    def test_sent_again_without_a_lookup(
        self, run_with: RunWith, job: PlayedJob, fault: Fault
    ) -> None:
        """What can't have reached the API is simply sent again."""
        job.fail("trigger", fault)
        assert run_with(wait_for_outcome=False).id == RUN_ID
        assert (len(job.sent), job.looked) == (2, [])

    def test_rate_limit_is_waited_out(self, run_with: RunWith, job: PlayedJob) -> None:
        """After a 429 the trigger is sent again without a lookup, five minutes later."""
        job.fail("trigger", 429)
        assert run_with().is_success
        assert job.sent == [0, 300]

    def test_unavailable(self, run_with: RunWith, job: PlayedJob) -> None:
        """An API that can't be reached for `outage_timeout` leaves the job untriggered."""
        job.fail("trigger", *[REFUSED] * 99)
        with pytest.raises(DBTCloudNotTriggeredException, match=r"was not triggered\. .*refused"):
            run_with()
        assert (job.time, job.looked) == (600, [])


class TestRetry:
    """A retry of a failed run has no cause of ours."""

    @pytest.mark.parametrize("changes", [{}, {"retrying_run_id": None}])
    def test_lost_answer(self, run_with: RunWith, job: PlayedJob, changes: dict[str, None]) -> None:
        """A committed retry whose answer is lost is found, also without `retrying_run_id`."""
        job.outcome, job.retry_changes = 20, changes
        job.fail("retry", 502, acts=True)
        assert run_with(retry_failed=1).id == RUN_ID + 1
        assert len(job.sent) == 2

    @pytest.mark.parametrize(
        ("fields", "owns"),
        [
            ({"retrying_run_id": 5}, True),
            ({"retrying_run_id": 4}, False),
            ({"trigger": {"cause_category": "rerun"}}, True),
            ({"trigger": {"cause_category": "api"}}, False),
            ({"trigger": None}, None),
        ],
    )
    def test_is_told_from_other_runs(self, fields: dict[str, object], owns: bool | None) -> None:
        """A retry names its failed run, or at least its category; else nobody knows."""
        order = RetryOrder(job_id=1, failed_id=5)
        assert order.owns(DBTCloudRun(id=6, **fields)) is owns
        assert order.owns(DBTCloudRun({**fields, "id": 4})) is False


class TestReuse:
    """`reuse_queued`: a queued run with the same overrides will see the load."""

    def test_queued_run_is_reused(self, run_with: RunWith, job: PlayedJob) -> None:
        """A run of another that is still queued is followed instead of a new one."""
        job.create({"cause": "theirs"})
        assert run_with(reuse_queued=True).id == RUN_ID
        assert job.sent == []

    def test_started_run_is_not(self, run_with: RunWith, job: PlayedJob) -> None:
        """A run that has started may have missed the load."""
        job.create({"cause": "theirs"}, status=3)
        assert run_with(reuse_queued=True).id == RUN_ID + 1

    def test_run_that_started_meanwhile_is_not(self, run_with: RunWith, job: PlayedJob) -> None:
        """A list may be older than it looks: the run itself is asked."""
        stale = sample_run("run_queued", trigger={"cause": "theirs"})["data"]
        job.create({"cause": "theirs"}, status=3)
        job.fail("list", json.dumps(list_of(stale)))
        assert run_with(reuse_queued=True).id == RUN_ID + 1

    def test_unreadable_list_triggers_nothing(self, run_with: RunWith, job: PlayedJob) -> None:
        """If the queue can't be read, nothing is triggered."""
        job.fail("list", *[503] * 99)
        with pytest.raises(DBTCloudNotTriggeredException):
            run_with(reuse_queued=True)
        assert job.sent == []

    def test_older_one_that_shows_up_later_is_followed(
        self, run_with: RunWith, job: PlayedJob
    ) -> None:
        """Two callers at one moment settle on the older run, and the younger is cancelled."""
        job.lag, job.queued = 2, 20
        job.create({"cause": "theirs"})
        assert run_with(reuse_queued=True).id == RUN_ID
        assert job.statuses == [10, 30]

    def test_cancelled_run_is_replaced(self, run_with: RunWith, job: PlayedJob) -> None:
        """If the reused run is cancelled in the queue, the load gets another one."""
        job.create({"cause": "theirs"})
        job.runs[RUN_ID]["cancelled_at"] = 8
        job.queued = 20
        assert run_with(reuse_queued=True).id == RUN_ID + 1
        assert len(job.sent) == 1

    def test_reused_run_is_not_ours_to_cancel(self, run_with: RunWith, job: PlayedJob) -> None:
        """A run of another is not cancelled at the deadline."""
        job.create({"cause": "theirs"})
        with pytest.raises(DBTCloudWaitTimeoutException):
            run_with(reuse_queued=True, cancel_on_abort=True, wait_timeout=20)
        assert job.statuses == [3]

    def test_overrides(self) -> None:
        """Nulls of the API are no overrides, nor is the cause; False is one."""
        request = {"cause": "a", "schema_override": "ci", "generate_docs_override": False}
        assert overrides({**request, "cause": "b", "git_branch": None, "id": 5}) == {
            "schema_override": "ci",
            "generate_docs_override": False,
        }

    def test_other_overrides_are_not(self, run_with: RunWith, job: PlayedJob) -> None:
        """A queued run that builds elsewhere will not do."""
        job.create({"cause": "theirs", "schema_override": "ci"})
        assert run_with(reuse_queued=True).id == RUN_ID + 1


@pytest.mark.parametrize(
    ("changes", "is_left"),
    [
        ({"status": 20}, False),
        ({"status": 30, "status_message": "The run timed out."}, False),
        ({"status": 30}, True),
    ],
)
def test_run_anew_is_no_duplicate(changes: dict[str, Any], is_left: bool) -> None:
    """The run that a load gets after one failed or was cancelled is not cancelled as a duplicate.

    Callers that follow the failed one return it, those of a cancelled one go over to the new one.
    """
    trigger = {"cause": "[dlt:1] x"}
    ended = DBTCloudRun(id=1, job_definition_id=JOB_ID, trigger=trigger, **changes)
    anew = DBTCloudRun(id=2, job_definition_id=JOB_ID, trigger=trigger, status=1)
    found = Found([ended, anew], {1: ended, 2: anew}, is_unclear=False)
    order = Order(job_id=JOB_ID, tag="dlt:1", is_shared=True)
    assert judge(order, ended, found) == (anew if is_left else ended, [])


class TestCause:
    """The tag stands in the cause so that it is found again."""

    @given(text=st.text(max_size=400))
    def test_fits_and_is_found(self, text: str) -> None:
        """Any cause keeps the tag, in at most 255 characters, also if it comes back cut."""
        tag = new_tag()
        cause = tagged(text, tag)
        assert len(cause) <= MAX_CAUSE
        order = Order(job_id=1, request={}, tag=tag)
        assert order.owns(DBTCloudRun(id=1, trigger={"cause": cause[:40]}))

    def test_tags_differ(self) -> None:
        """Each call has a tag of its own."""
        assert len({new_tag() for _ in range(100)}) == 100

    @pytest.mark.parametrize("trigger", [None, {}, {"cause": None}, "text"])
    def test_hidden_cause_is_unknown(self, trigger: object) -> None:
        """A run that shows no cause may be of the order or not."""
        assert Order(job_id=1, request={}).owns(DBTCloudRun(id=1, trigger=trigger)) is None


def test_pages_are_read_as_far_as_needed(run_with: RunWith, job: PlayedJob) -> None:
    """The run of a lost answer is found behind any number of newer runs of others."""
    job.fail("trigger", 502, acts=True)
    for number in itertools.repeat(0, 150):
        job.create({"cause": "theirs"}, status=10, number=number)
    found = run_with()
    assert (found.id, len(job.sent)) == (RUN_ID + 150, 1)
