"""Many loads, few runs: each load is covered by a run that started after it."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dlt.common.exceptions import SignalReceivedException
from hypothesis import given, settings
from hypothesis import strategies as st

from dlt_dbt_cloud._start.reuse import QueuedRuns, overrides
from dlt_dbt_cloud.exceptions import DBTCloudAPIException, DBTCloudResponseException
from dlt_dbt_cloud.run import DBTCloudRun
from tests.utils import JumpingTimer


class Turns:
    """Lets threads run one at a time, in an order that is given: each takes a turn a request."""

    def __init__(self) -> None:
        self._turn: dict[int, threading.Semaphore] = {}
        self._done = threading.Semaphore(0)
        self._alive: list[int] = []

    def take(self) -> None:
        """Waits for the turn of this thread."""
        self._done.release()
        self._turn[threading.get_ident()].acquire()

    def play(self, actors: list[Callable[[], None]], order: Iterator[int]) -> None:
        """Runs the actors to their ends."""
        threads = [threading.Thread(target=self._act, args=(actor,)) for actor in actors]
        for thread in threads:
            thread.start()
            self._done.acquire()
        while self._alive:
            self._turn[self._alive[next(order) % len(self._alive)]].release()
            self._done.acquire()
        for thread in threads:
            thread.join()

    def _act(self, actor: Callable[[], None]) -> None:
        me = threading.get_ident()
        self._turn[me] = threading.Semaphore(0)
        self._alive.append(me)
        self.take()
        actor()
        self._alive.remove(me)
        self._done.release()


class Queue:
    """A model of the API: one run of the job at a time, in order of arrival."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.runs: list[DBTCloudRun] = []
        self.triggers = 0
        self.now = 0
        self.started_at: dict[int, int] = {}

    def request(self) -> int:
        """Takes a turn. Time goes on with each."""
        self.turns.take()
        self.now += 1
        return self.now

    def work(self) -> None:
        """Ends the run under way and starts the next in the queue, as dbt Cloud does."""
        self.request()
        for run in self.runs:
            if run.status == 3:
                run["status"] = 10
        waiting = [run for run in self.runs if run.is_queued]
        if waiting:
            waiting[0]["status"] = 3
            self.started_at[waiting[0].id] = self.now

    def queued(self) -> list[DBTCloudRun]:
        """Answers a look at the queue."""
        self.request()
        return [DBTCloudRun(run) for run in self.runs if run.is_queued]

    def read(self, ids: list[int]) -> list[DBTCloudRun]:
        """Answers a look at some runs."""
        self.request()
        return [DBTCloudRun(run) for run in self.runs if run.id in ids]

    def trigger(self) -> DBTCloudRun:
        """Creates a run."""
        self.request()
        self.triggers += 1
        self.runs.append(DBTCloudRun(id=len(self.runs) + 1, status=1))
        return DBTCloudRun(self.runs[-1])

    def cancel(self, run_id: int) -> None:
        """Cancels a run, also one that has started; one that has ended stays as it is."""
        self.request()
        run = self.runs[run_id - 1]
        run["status"] = 30 if run.in_progress else run.status

    def for_one_load(self) -> QueuedRuns:
        """Returns the queue as the call for one load sees it."""
        return QueuedRuns(self.queued, self.read, self.trigger, self.cancel, JumpingTimer())


class Load:
    """A pipeline that has loaded, and waits for a run that sees the load."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.run = 0
        self.loaded_at = 0

    def act(self) -> None:
        """Loads, joins a run, and joins again while that one is cancelled."""
        self.loaded_at = self.queue.request()
        queued = self.queue.for_one_load()
        while True:
            run, is_own = queued.join()
            while (seen := self.queue.read([run.id])[0]).in_progress:
                self.queue.work()
            if is_own or seen.status != 30:
                self.run = run.id
                return


orders = st.lists(st.integers(0, 99), min_size=30, max_size=200)


@settings(max_examples=300)
@given(loads=st.integers(1, 6), order=orders, working=st.integers(0, 20))
def test_every_load_is_covered(loads: int, order: list[int], working: int) -> None:
    """For all interleavings of requests: each load's run started after the load, and ended well;
    triggers are bounded, and loads that come at the same moment cost few runs."""  # noqa: D205, D209  # one law
    turns = Turns()
    queue = Queue(turns)
    actors = [Load(queue) for _ in range(loads)]

    def dbt_cloud() -> None:
        for _ in range(working):
            queue.work()

    turns.play([*(actor.act for actor in actors), dbt_cloud], iter([*order, *[0] * 100_000]))
    for actor in actors:
        assert queue.started_at[actor.run] > actor.loaded_at
        assert queue.runs[actor.run - 1].is_success
    assert queue.triggers <= 2 * loads
    assert {actor.run for actor in actors} <= {run.id for run in queue.runs if run.is_success}


@settings(max_examples=150)
@given(loads=st.integers(2, 8), order=orders)
def test_concurrent_loads_cost_two_runs(loads: int, order: list[int]) -> None:
    """Loads that come while nothing starts settle on the oldest run, and cancel their own."""
    turns = Turns()
    queue = Queue(turns)
    joined: list[int] = []

    def join() -> None:
        joined.append(queue.for_one_load().join()[0].id)

    turns.play([join] * loads, iter([*order, *[0] * 100_000]))
    assert [run.id for run in queue.runs if run.is_queued] == [1]
    assert queue.triggers <= loads


class TestJoin:
    """One call."""

    def queue(self, *runs: DBTCloudRun, **changes: Any) -> QueuedRuns:
        """Returns a queue with these runs, in which a new one has the id 9."""
        calls: dict[str, Any] = {
            "queued": lambda: [run for run in runs if run.is_queued],
            "read": lambda ids: [run for run in runs if run.id in ids],
            "trigger": lambda: DBTCloudRun(id=9, status=1),
            "cancel": lambda run_id: pytest.fail(f"cancelled {run_id}"),
            "timer": JumpingTimer(),
        }
        return QueuedRuns(**{**calls, **changes})

    def test_queued_run_is_joined(self) -> None:
        """The oldest queued run is joined, nothing is triggered."""
        queue = self.queue(DBTCloudRun(id=4, status=1), DBTCloudRun(id=5, status=1))
        assert queue.join() == ({"id": 4, "status": 1}, False)

    @pytest.mark.parametrize("status", [2, 3, 10, 20, 30])
    def test_started_run_is_not(self, status: int) -> None:
        """A run that has started may have missed the load: it never is."""
        run, is_own = self.queue(DBTCloudRun(id=4, status=status)).join()
        assert (run.id, is_own) == (9, True)

    @pytest.mark.parametrize(("own", "older"), [(3, 1), (1, 3)])
    def test_own_run_is_kept_once_one_has_started(self, own: int, older: int) -> None:
        """The own run is cancelled only while both are queued: a started one may miss the load."""
        looks = iter([[], [DBTCloudRun(id=5, status=1)]])
        runs = [DBTCloudRun(id=5, status=older), DBTCloudRun(id=9, status=own)]
        queue = self.queue(queued=lambda: next(looks, []), read=lambda _: runs)
        run, is_own = queue.join()
        assert (run.id, is_own) == (9, True)

    def test_trouble_while_settling(self, log: pytest.LogCaptureFixture) -> None:
        """If the queue can't be read after the trigger, the own run is kept."""
        answers: Iterator[list[DBTCloudRun]] = iter([[]])

        def queued() -> list[DBTCloudRun]:
            for answer in answers:
                return answer
            raise DBTCloudResponseException("HTML", url="u")

        run, is_own = self.queue(queued=queued).join()
        assert (run.id, is_own) == (9, True)
        assert "was not seen. HTML" in log.text

    def test_lost_answer_to_the_cancel(self, log: pytest.LogCaptureFixture) -> None:
        """The older run covers the load, whether or not the own one was cancelled."""
        looks = iter([[], [DBTCloudRun(id=5, status=1)]])
        runs = [DBTCloudRun(id=5, status=1), DBTCloudRun(id=9, status=1)]

        def cancel(_: int) -> None:
            raise DBTCloudResponseException("HTML", url="u")

        queue = self.queue(queued=lambda: next(looks, []), read=lambda _: runs, cancel=cancel)
        run, is_own = queue.join()
        assert (run.id, is_own) == (5, False)
        assert "Whether run 9 was cancelled is not known" in log.text

    def test_interrupt_while_settling(self) -> None:
        """A signal hands the own run over, so that the watch can cancel it or tell where it is."""

        class Interrupted(JumpingTimer):
            def sleep(self, seconds: float) -> None:
                raise SignalReceivedException(2)

        run, is_own = self.queue(timer=Interrupted()).join()
        assert (run.id, is_own) == (9, True)

    def test_trouble_before(self) -> None:
        """If the queue can't be read at all, nothing is triggered."""

        def queued() -> list[DBTCloudRun]:
            raise DBTCloudResponseException("HTML", url="u")

        with pytest.raises(DBTCloudAPIException):
            self.queue(queued=queued, trigger=pytest.fail).join()


class TestOverrides:
    """Only a run that builds the same is shared."""

    def test_request_and_run(self) -> None:
        """A request and the nulls of the run that it became are the same; the cause is none."""
        request = {"cause": "a", "schema_override": "ci", "steps_override": ["dbt build"]}
        trigger = {**request, "cause": "b [dlt:x]", "git_branch": None, "id": 5, "job": None}
        assert overrides(request) == overrides(trigger)

    @pytest.mark.parametrize(
        "other", [{}, {"schema_override": "x"}, {"schema_override": "ci", "git_sha": "8cb"}]
    )
    def test_other(self, other: dict[str, Any]) -> None:
        """Any other override makes it another run."""
        assert overrides({"schema_override": "ci"}) != overrides(other)

    def test_false_is_an_override(self) -> None:
        """No documentation is not the same as the job's own setting."""
        assert overrides({"generate_docs_override": False}) != overrides({})
