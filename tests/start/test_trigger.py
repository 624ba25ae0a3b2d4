"""Exactly one run, whatever happens on the way to the API and back."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from dlt.common.exceptions import SignalReceivedException
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud._start.trigger import (
    LOOK_PAUSES,
    MAX_CAUSE,
    Trigger,
    new_tag,
    tagged,
    trigger_once,
)
from dlt_dbt_cloud.exceptions import (
    DBTCloudAPIException,
    DBTCloudConnectionException,
    DBTCloudHTTPException,
    DBTCloudNotTriggeredException,
    DBTCloudResponseException,
    DBTCloudTriggerOutcomeUnknownException,
)
from dlt_dbt_cloud.run import DBTCloudRun
from tests.utils import JumpingTimer

PATIENCE = 600.0


def http_error(status_code: int, retry_after: float | None = None) -> DBTCloudAPIException:
    """An answer with an error status."""
    return DBTCloudHTTPException(
        f"HTTP {status_code}", url="u", status_code=status_code, retry_after=retry_after
    )


def dropped() -> DBTCloudAPIException:
    """A connection that broke after the request was sent."""
    return DBTCloudConnectionException("dropped", url="u", is_transient=True, may_have_acted=True)


def not_connected() -> DBTCloudAPIException:
    """A connection that never stood."""
    return DBTCloudConnectionException("refused", url="u", is_transient=True, may_have_acted=False)


def garbage() -> DBTCloudAPIException:
    """Success with something else than the API's JSON."""
    return DBTCloudResponseException("<html>", url="u")


NEVER_SENT: list[Callable[[], DBTCloudAPIException]] = [
    not_connected,
    lambda: http_error(429),
    lambda: http_error(429, retry_after=20),
]
"""Faults that keep the API from acting."""
AMBIGUOUS: list[Callable[[], DBTCloudAPIException]] = [
    dropped,
    garbage,
    *(lambda code=code: http_error(code) for code in (408, 500, 502, 503, 504)),
]
"""Faults that leave open whether the API has acted."""


@dataclass
class World:
    """A model of the API: it creates runs, answers or not, and its list lags behind.

    Attributes:
        timer: The clock.
        sends: For each trigger request: whether a run is created, and the fault of the answer.
        looks: For each look: the fault of the answer, None for a good one.
        lag: Seconds until a new run is in the list.
    """

    timer: JumpingTimer
    sends: Iterable[tuple[bool, DBTCloudAPIException | None]]
    looks: Iterable[DBTCloudAPIException | None] = ()
    lag: float = 0.0
    runs: list[DBTCloudRun] = field(default_factory=list)
    created_at: dict[int, float] = field(default_factory=dict)
    sent: int = 0
    looked: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        good: tuple[bool, DBTCloudAPIException | None] = (True, None)
        self._sends = itertools.chain(self.sends, itertools.repeat(good))
        self._looks = itertools.chain(self.looks, itertools.repeat(None))

    def send(self) -> DBTCloudRun:
        """Answers a trigger request."""
        self.sent += 1
        creates, fault = next(self._sends)
        if creates:
            run = DBTCloudRun(id=len(self.runs) + 1, status=1)
            self.created_at[run.id] = self.timer.now()
            self.runs.append(run)
        if fault:
            raise fault
        return DBTCloudRun(self.runs[-1])

    def find(self) -> list[DBTCloudRun]:
        """Answers a look at the runs."""
        self.looked.append(self.timer.now())
        if fault := next(self._looks):
            raise fault
        seen = self.timer.now() - self.lag
        return [DBTCloudRun(run) for run in self.runs if self.created_at[run.id] <= seen]

    def cancel(self, run_id: int) -> None:
        """Cancels a run."""
        self.runs[run_id - 1]["status"] = 30

    def trigger(self) -> DBTCloudRun:
        """Triggers one run, as the client does."""
        calls = Trigger(7, "[dlt:x] in its cause", "https://u", self.send, self.find, self.cancel)
        return trigger_once(calls, timer=self.timer, patience=PATIENCE)

    @property
    def alive(self) -> list[int]:
        """The runs that were not cancelled."""
        return [run.id for run in self.runs if run["status"] == 1]


faults_before = st.sampled_from(NEVER_SENT).map(lambda fault: (False, fault()))
faults_about = st.tuples(st.booleans(), st.sampled_from(AMBIGUOUS).map(lambda fault: fault()))
look_faults = st.sampled_from([*NEVER_SENT, *AMBIGUOUS]).map(lambda fault: fault())


class TestLaw:
    """Whatever the faults: one run lives on, or the outcome is reported unknown."""

    @given(
        sends=st.lists(st.one_of(faults_before, faults_about), max_size=8),
        looks=st.lists(st.one_of(st.none(), look_faults), max_size=12),
        lag=st.floats(0, 5.5),
    )
    def test_exactly_one_run(
        self,
        sends: list[tuple[bool, DBTCloudAPIException | None]],
        looks: list[DBTCloudAPIException | None],
        lag: float,
    ) -> None:
        """Faults before and after the run was created, on looks too, and a lagging list."""
        world = World(JumpingTimer(), sends, looks, lag)
        try:
            run = world.trigger()
        except DBTCloudTriggerOutcomeUnknownException:
            assert len(world.alive) <= 1
        except DBTCloudNotTriggeredException:
            assert world.runs == []
        else:
            assert world.alive == [run.id]

    @given(
        sends=st.lists(st.one_of(faults_before, faults_about), max_size=8),
        lag=st.floats(5.5, 12),
    )
    def test_list_that_lags_longer_than_the_looks(
        self, sends: list[tuple[bool, DBTCloudAPIException | None]], lag: float
    ) -> None:
        """A run that shows up late is the one that lives; those in the queue behind it don't."""
        world = World(JumpingTimer(), sends[:1], lag=lag)
        try:
            run = world.trigger()
        except (DBTCloudTriggerOutcomeUnknownException, DBTCloudNotTriggeredException):
            assert len(world.alive) <= 1
        else:
            assert world.alive == [run.id]

    @given(sends=st.lists(st.one_of(faults_before, faults_about), min_size=200, max_size=200))
    def test_bounded(self, sends: list[tuple[bool, DBTCloudAPIException | None]]) -> None:
        """However long the trouble lasts, it is given up on within the patience and the looks."""
        world = World(JumpingTimer(), [(False, fault) for _, fault in sends])
        start = world.timer.now()
        with pytest.raises((DBTCloudTriggerOutcomeUnknownException, DBTCloudNotTriggeredException)):
            world.trigger()
        assert world.timer.now() - start <= PATIENCE + sum(LOOK_PAUSES)
        assert world.sent < 40


class TestAnswers:
    """What each kind of answer leads to."""

    def test_good(self, timer: JumpingTimer) -> None:
        """Without trouble: one request, no look, no wait."""
        world = World(timer, [])
        assert world.trigger().id == 1
        assert (world.sent, world.looked, timer.sleeps) == (1, [], [])

    @pytest.mark.parametrize("fault", AMBIGUOUS)
    def test_created_but_unanswered(
        self, fault: Callable[[], DBTCloudAPIException], timer: JumpingTimer
    ) -> None:
        """The run of a request without an answer is found by a look, and adopted."""
        world = World(timer, [(True, fault())])
        assert world.trigger().id == 1
        assert world.sent == 1
        assert timer.sleeps == [1]

    @pytest.mark.parametrize("fault", AMBIGUOUS)
    def test_not_created(
        self, fault: Callable[[], DBTCloudAPIException], timer: JumpingTimer
    ) -> None:
        """Only after several looks in 3 to 8 s have shown nothing the trigger is sent again."""
        world = World(timer, [(False, fault())])
        assert world.trigger().id == 1
        assert world.sent == 2
        before_resend = world.looked[:3]
        assert 3 <= before_resend[-1] - 1000 <= 8

    @pytest.mark.parametrize("fault", NEVER_SENT)
    def test_never_sent(
        self, fault: Callable[[], DBTCloudAPIException], timer: JumpingTimer
    ) -> None:
        """What can't have reached the API is sent again without a look."""
        world = World(timer, [(False, fault())])
        assert world.trigger().id == 1
        assert (world.sent, world.looked) == (2, [])

    def test_retry_after(self, timer: JumpingTimer) -> None:
        """The pause that the API asks for is made."""
        World(timer, [(False, http_error(429, retry_after=20))]).trigger()
        assert timer.sleeps == [20]

    @pytest.mark.parametrize("status_code", [301, 400, 401, 403, 404, 409])
    def test_refused(self, status_code: int, timer: JumpingTimer) -> None:
        """A refusal surfaces at once, as it is."""
        world = World(timer, [(False, http_error(status_code))])
        with pytest.raises(DBTCloudHTTPException, match=str(status_code)):
            world.trigger()
        assert (world.sent, timer.sleeps) == (1, [])

    def test_refused_while_in_doubt(self, timer: JumpingTimer) -> None:
        """A refusal after an unanswered request does not prove that there is no run."""
        world = World(timer, [(True, dropped()), (False, http_error(401))], lag=1e9)
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException, match="HTTP 401"):
            world.trigger()

    def test_look_is_refused(self, timer: JumpingTimer) -> None:
        """If the runs can't be read, nothing is sent again, and the outcome is unknown."""
        world = World(timer, [(False, dropped())], [http_error(403)])
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException, match="HTTP 403"):
            world.trigger()
        assert world.sent == 1

    def test_host_that_answers_html(self, timer: JumpingTimer) -> None:
        """A host that is not dbt Cloud's is told within seconds."""
        world = World(timer, [(False, garbage())], [garbage() for _ in range(9)])
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException, match="<html>"):
            world.trigger()
        assert sum(timer.sleeps) <= 8

    def test_unknown_tells_where_to_look(self, timer: JumpingTimer) -> None:
        """An unknown outcome has the job, the mark of the run and the URL to look at."""
        world = World(timer, [(True, dropped())], [http_error(503) for _ in range(99)])
        with pytest.raises(DBTCloudTriggerOutcomeUnknownException) as caught:
            world.trigger()
        error = caught.value
        assert (error.job_id, error.mark, error.url) == (7, "[dlt:x] in its cause", "https://u")
        assert "Before you trigger it again, look for a run with [dlt:x] in its cause at" in str(
            error
        )

    def test_down_all_the_time(self, timer: JumpingTimer) -> None:
        """An API that never had the request is certain not to have a run."""
        world = World(timer, [(False, not_connected()) for _ in range(99)])
        with pytest.raises(DBTCloudNotTriggeredException, match=r"Job 7 was not triggered\."):
            world.trigger()


class TestDuplicate:
    """The run of the first request may show up after the trigger was sent again."""

    def test_younger_is_cancelled(self, timer: JumpingTimer, log: pytest.LogCaptureFixture) -> None:
        """The older one lives, and the younger is cancelled in the queue."""
        world = World(timer, [(True, dropped())], lag=8)
        assert world.trigger().id == 1
        assert [run["status"] for run in world.runs] == [1, 30]
        assert "Run 2 of job 7 was created beside run 1, and was cancelled" in log.text

    def test_started_one_is_left(self, timer: JumpingTimer, log: pytest.LogCaptureFixture) -> None:
        """One that has started is not cancelled, and the log says so."""
        world = World(timer, [(True, dropped())], lag=8)

        def send() -> DBTCloudRun:
            return DBTCloudRun(world.send(), status=3)

        calls = Trigger(7, "m", "u", send, world.find, world.cancel)
        assert trigger_once(calls, timer=timer, patience=PATIENCE).id == 1
        assert [run["status"] for run in world.runs] == [1, 1]
        assert "has started: the job runs twice" in log.text

    def test_cancel_fails(self, timer: JumpingTimer, log: pytest.LogCaptureFixture) -> None:
        """A duplicate that could not be cancelled is told, and the run returned all the same."""
        world = World(timer, [(True, dropped())], lag=8)

        def cancel(_: int) -> None:
            raise http_error(502)

        calls = Trigger(7, "m", "u", world.send, world.find, cancel)
        assert trigger_once(calls, timer=timer, patience=PATIENCE).id == 1
        assert "could not be cancelled: HTTP 502" in log.text

    def test_unreadable_list(self, timer: JumpingTimer, log: pytest.LogCaptureFixture) -> None:
        """If that can't be seen, the run is returned with a warning."""
        looks = [None, None, None, *(http_error(503) for _ in range(9))]
        world = World(timer, [(False, dropped())], looks)
        assert world.trigger().id == 1
        assert "Whether run 1 is the only one was not seen." in log.text


def test_interrupt_hands_over_a_known_run(timer: JumpingTimer) -> None:
    """A signal while duplicates are looked for does not lose the run that is known."""
    world = World(timer, [(False, dropped())])
    sleeps = iter([1, 2, 3, 4])

    class Interrupted(JumpingTimer):
        def sleep(self, seconds: float) -> None:
            if next(sleeps, None) is None:
                raise SignalReceivedException(2)
            timer.sleep(seconds)

    calls = Trigger(7, "m", "u", world.send, world.find, world.cancel)
    assert trigger_once(calls, timer=Interrupted(), patience=PATIENCE).id == 1


def test_interrupt_tells_where_to_look(timer: JumpingTimer, log: pytest.LogCaptureFixture) -> None:
    """Ctrl-C while it is unknown whether there is a run leaves the place to look in the log."""
    world = World(timer, [])

    def send() -> DBTCloudRun:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trigger_once(
            Trigger(7, "m", "https://u", send, world.find, world.cancel),
            timer=timer,
            patience=PATIENCE,
        )
    assert "Interrupted. A run with m may exist, see https://u" in log.text


class TestCause:
    """The cause has at most 255 characters, the tag among them."""

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever the text: it fits, the tag is whole, and the text is kept as far as it fits."""
        tag = new_tag()
        cause = tagged(text, tag)
        assert len(cause) <= MAX_CAUSE
        assert cause.endswith(f"[{tag}]")
        assert cause.startswith(text.strip()[:200])

    @pytest.mark.parametrize(("text", "start"), [("x" * 400, "xxx"), ("🛫" * 400, "🛫"), ("", "[")])
    def test_long_emoji_empty(self, text: str, start: str) -> None:
        """Too long a text is shortened and shows it, no text is no matter."""
        cause = tagged(text, "dlt:0011223344556677")
        assert cause.startswith(start)
        assert len(cause) == (255 if text else 22)
        assert ("…" in cause) == bool(text)

    def test_tags_differ(self) -> None:
        """Two triggers never have the same tag."""
        assert len({new_tag() for _ in range(1000)}) == 1000
