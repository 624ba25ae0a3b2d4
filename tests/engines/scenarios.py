"""What goes wrong, and what must come of it: the same for every engine and client.

A piece of work is an `EngineWork`, with what the engine can do of these: `start` it, `again` by
hand, `wait` for what the engine shows in the end, `kill_worker` and `kill_waiter` with `kill -9`,
`stop` and `clear` as a person does in the page of the engine.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dlt_dbt_cloud.local import Fault
from tests.engines.cloud import ScenarioTimeoutError, until

LONG = 300.0
"""Seconds that a run takes if it is to be in progress all the time."""


@dataclass(frozen=True)
class Scenario:
    """Something that goes wrong.

    Attributes:
        name: What people call it.
        act: Lets it happen, and returns what the engine shows in the end.
        runs: How many runs there must be.
        cancelled: How many of them must be cancelled.
        seconds: How long a run takes.
        retries: How many times the engine tries again.
        time_limit: The engine's limit on the work, in seconds.
        copies: How many times the work is done at once, for different items.
        needs: Operation that an engine may lack.
    """

    name: str
    act: Callable[[Any], Any]
    runs: int = 1
    cancelled: int = 0
    seconds: float = 4.0
    retries: int = 3
    time_limit: float | None = None
    copies: int = 1
    needs: str = "start"

    @property
    def slug(self) -> str:
        """The name as an identifier."""
        return self.act.__name__


def lost_answer(work: Any) -> Any:
    """The gateway answers 502, but the run was created."""
    work.cloud.fail_next(Fault.commit_then_answer(502), r"/run/$", method="POST")
    work.start()
    return work.wait()


def bad_poll(work: Any) -> Any:
    """One poll is answered with 500."""
    work.start()
    work.cloud.until_created()
    work.cloud.fail_next(Fault.answer(500), r"/runs/", method="GET")
    return work.wait()


def killed_triggering(work: Any) -> Any:
    """The process dies after the request was sent, and before it has read the answer."""
    work.cloud.fail_next(Fault.slow(5), r"/run/$", method="POST")
    work.start()
    work.cloud.until_created()
    work.kill_worker()
    return work.wait()


def killed_waiting(work: Any) -> Any:
    """The process dies while the run is in progress."""
    work.start()
    work.cloud.until_polled()
    work.kill_worker()
    return work.wait()


def waiter_killed(work: Any) -> Any:
    """The triggerer dies while the run is in progress, and is started again."""
    work.start()
    work.cloud.until_polled()
    work.kill_waiter()
    return work.wait()


def stopped(work: Any) -> Any:
    """A person stops the work while the run is in progress."""
    work.start()
    work.cloud.until_polled()
    work.stop()
    shown = work.wait()
    _until_cancelled(work)
    return shown


def cleared(work: Any) -> Any:
    """A person has finished work done again."""
    work.start()
    work.wait()
    work.clear()
    until(lambda: work.cloud.runs > 1, "a new run")
    return work.wait()


def too_slow(work: Any) -> Any:
    """The engine's own limit on the time passes."""
    work.start()
    shown = work.wait()
    _until_cancelled(work)
    return shown


def api_down(work: Any) -> Any:
    """The API is unavailable for longer than the client retries."""
    work.start()
    work.cloud.until_polled()
    work.cloud.fail_next(Fault.answer(503), "", seconds=8)
    return work.wait()


def two_items(work: Any) -> Any:
    """The work is done for two items at once, and the answer to the first trigger is lost."""
    work.cloud.fail_next(Fault.commit_then_answer(502), r"/run/$", method="POST")
    work.start()
    return work.wait()


def manual_rerun(work: Any) -> Any:
    """A person starts the work anew."""
    work.start()
    work.wait()
    work.again()
    return work.wait()


def _until_cancelled(work: Any) -> None:
    with suppress(ScenarioTimeoutError):  # the count tells
        until(lambda: work.cloud.cancelled, "a cancelled run", 15)


SCENARIOS = (
    Scenario("502 after the run was created", lost_answer),
    Scenario("one 500 in a poll", bad_poll),
    Scenario("worker killed while triggering", killed_triggering),
    Scenario("worker killed while waiting", killed_waiting, seconds=12),
    Scenario("triggerer killed", waiter_killed, seconds=15, needs="kill_waiter"),
    Scenario("marked failed", stopped, cancelled=1, seconds=LONG, needs="stop"),
    Scenario("cleared", cleared, runs=2, needs="clear"),
    Scenario("execution time-out", too_slow, cancelled=1, seconds=LONG, retries=0, time_limit=45),
    Scenario("API down for longer than the limit", api_down, seconds=15, retries=6),
    Scenario("two mapped tasks, 502 after the run was created", two_items, runs=2, copies=2),
    Scenario("manual re-run", manual_rerun, runs=2),
)

CI = tuple(
    it for it in SCENARIOS if it.act in {lost_answer, killed_waiting, stopped, waiter_killed}
)
"""The scenarios that every change is tested with: each of them breaks in another part."""
