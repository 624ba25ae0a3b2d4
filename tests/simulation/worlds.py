"""The worlds that are drawn at random, each for a few laws."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.simulation.choices import Choices
from tests.simulation.cloud import (
    BARE,
    LOST,
    READ_FATES,
    STATUS_FATES,
    TRANSIENT,
    WRITE_FATES,
    Fate,
    Habits,
)
from tests.simulation.scheduler import stopped
from tests.simulation.simulation import ALL, READS, Spec, Spell, World

ALLOWED_LAGS = (0.0, 5.0, 10.0)
CAUSES = ("plain", "escaped", "collapsed", "cut")
FOREVER = 1e9


def _habits(choices: Choices, **changes: Any) -> Habits:
    lag = choices.pick(ALLOWED_LAGS)
    habits = Habits(
        prep=choices.pick((1.0, 10.0)),
        durations=(choices.between(150.0, 200.0),),
        lag=lag,
        commit_late=58.0 - lag,
        cause=choices.pick(CAUSES),
        is_ascending=choices.chance(20),
        is_unfiltered=choices.chance(10),
        no_total=choices.chance(10),
        new_run_404=choices.pick((0.0, 0.0, 20.0)),
    )
    return replace(habits, **changes)


def starting(choices: Choices) -> World:
    """Returns one call whose triggers are lost."""
    reads = [fate for fate in READ_FATES if fate.answer in TRANSIENT]
    return World(
        "starting",
        _habits(choices),
        [Spec(identity="call", is_load=choices.chance(50))],
        [
            Spell(0, FOREVER, ("post_run",), WRITE_FATES, choices.pick((50, 90, 100))),
            Spell(0, FOREVER, READS, reads, choices.pick((0, 0, 20))),
        ],
        crowd_at=choices.pick((*[FOREVER] * 9, 20.0)),
        slow=choices.pick((0, 0, 20)),
    )


def identity(choices: Choices) -> World:
    """Returns several callers with one load, or with one key and loads of their own."""
    skew, has_key = choices.pick((-3600.0, 0.0, 900.0)), choices.chance(30)
    key = {"run_key": "daily"} if has_key else {}
    specs = [
        Spec(
            at=choices.pick((0.0, 0.3, choices.between(0.0, 60.0))),
            skew=skew,
            is_load=not has_key or choices.chance(50),
            kill_at=choices.pick((0, 0, 1 + choices.choose(12))),
            again=choices.pick((0.5, 5.0, 40.0)),
            config={"wait_seconds": choices.pick((10.0, 60.0)), **key},
        )
        for _ in range(2 + choices.choose(3))
    ]
    return World(
        "identity",
        _habits(choices),
        specs,
        [Spell(0, FOREVER, ("post_run",), [*LOST, BARE], choices.pick((0, 30, 60)))],
        frozenset({"return"}),
        crowd_at=choices.pick((*[FOREVER] * 18, 2.0, 20.0)),
        history=choices.pick((0, *[5] * 14, 120)),
        history_duration=175.0,
        slow=choices.pick((0, 0, 10)),
    )


def rerun(choices: Choices) -> World:
    """Returns callers with one load whose first run fails, or is cancelled by a person."""
    is_cancelled = choices.chance(50)
    specs = [
        Spec(at=choices.pick((0.0, 0.3, choices.between(0.0, 200.0), 400.0))) for _ in range(2)
    ]
    outcomes = (10,) if is_cancelled else (20, 10)
    return World(
        "rerun",
        _habits(choices, outcomes=outcomes),
        specs,
        [Spell(0, FOREVER, ("post_run",), LOST, choices.pick((0, 40)))],
        person_cancels_at=choices.between(1.0, 100.0) if is_cancelled else math.inf,
    )


def blind(choices: Choices) -> World:
    """Returns callers for whom lists show no causes."""
    return World(
        "blind",
        _habits(choices, cause=choices.pick(("null", "absent"))),
        [
            Spec(
                identity="call",
                is_load=choices.chance(50),
                config={"reuse_queued": choices.chance(50)},
            )
        ],
        [Spell(0, FOREVER, ("post_run",), WRITE_FATES, choices.pick((50, 100)))],
        prepared=choices.pick(((), (), (30.0, 30.0))),
    )


def retrying(choices: Choices) -> World:
    """Returns a run that fails and is retried, over a network that loses the retry."""
    return World(
        "retrying",
        _habits(choices, outcomes=(20, 10), names_retried=choices.chance(50)),
        [Spec(config={"retry_failed": 1}, is_load=choices.chance(50))],
        [Spell(0, FOREVER, ("post_retry",), WRITE_FATES, 70)],
    )


def queueing(choices: Choices) -> World:
    """Returns many callers that reuse queued runs."""
    is_load = choices.chance(50)
    callers = choices.pick((3, 3, 4, 4, 6, 20))
    spread = choices.pick((0.0, 1.0, 10.0))
    specs = [
        Spec(
            at=choices.between(0.0, spread) if spread else 0.0,
            identity=f"load {number}",
            is_load=is_load,
            config={"reuse_queued": True},
        )
        for number in range(callers)
    ]
    lag = choices.pick((0.0, 5.0))
    return World(
        "queueing",
        _habits(choices, lag=lag, durations=(120.0,), prep=choices.pick((1.0, 10.0))),
        specs,
        expects=frozenset({"return"}),
        prepared=choices.pick(((), (60.0,), (5.0,))),
        other_job=(200.0, 200.0) if choices.chance(30) else (),
        history=5,
    )


def healthy(choices: Choices) -> World:
    """Returns a run on an API without any fault."""
    ran = choices.pick((2.0, 25.0, 25.0, 90.0, 600.0, 1800.0))
    usual = choices.pick((ran, 2 * ran, ran / 2))
    config = {"wait_seconds": choices.pick((10.0, 10.0, 10.0, 2.0, 60.0))}
    return World(
        "healthy",
        _habits(
            choices,
            durations=(ran,),
            lag=0.0,
            new_run_404=0.0,
            outcomes=(choices.pick((10, 10, 20)),),
        ),
        [Spec(is_load=choices.chance(50), config=config)],
        expects=frozenset({"return", "healthy"}),
        history=choices.pick((0, 5)),
        history_duration=usual,
    )


def deadline(choices: Choices) -> World:
    """Returns calls whose deadline comes in bad weather."""
    fates = [fate for fate in READ_FATES if fate.answer in {"stall", "502", "drop", "429-300"}]
    spells = [
        Spell(choices.between(0.0, 60.0), FOREVER, ALL, [*fates, *LOST], choices.pick((20, 100)))
    ]
    config = {
        "wait_timeout": choices.pick((3.0, 40.0, 100.0)),
        "cancel_on_abort": choices.chance(20),
        "reuse_queued": choices.chance(20),
    }
    return World(
        "deadline",
        _habits(choices, durations=(choices.pick((20.0, 37.0, 200.0)),)),
        [Spec(is_load=choices.chance(50), config=config)],
        choices.pick(([], spells)),
        slow=choices.pick((0, 20)),
    )


def _time_limit() -> BaseException:
    return ValueError("SoftTimeLimitExceeded")


def _cancelled() -> BaseException:
    return asyncio.CancelledError()


ABORTS: tuple[Callable[[], BaseException], ...] = (
    KeyboardInterrupt,
    stopped,
    _time_limit,
    _cancelled,
)


def aborted(choices: Choices) -> World:
    """Returns a call that is aborted, in any phase and any weather."""
    spell = Spell(0, FOREVER, ALL, [*LOST, *READ_FATES], choices.pick((0, 20, 60)))
    return World(
        "aborted",
        _habits(choices, durations=(choices.pick((5.0, 150.0, 180.0)),)),
        [
            Spec(
                is_load=choices.chance(50),
                config={
                    "cancel_on_abort": choices.chance(50),
                    "reuse_queued": choices.chance(20),
                    "wait_seconds": choices.pick((1.0, 10.0)),
                },
                abort_at=1 + choices.choose(choices.pick((4, 25))),
                abort_error=choices.pick(ABORTS),
                is_sticky=choices.chance(50),
                abort_again=choices.pick((math.inf, math.inf, 0.5, 2.0)),
            )
        ],
        [spell],
        slow=choices.pick((0, 10)),
        prepared=choices.pick(((), (30.0,))),
    )


def trouble(choices: Choices) -> World:
    """Returns a run that is followed through outages, refusals and odd answers."""
    start = choices.between(3.0, 120.0)
    transient = [fate for fate in READ_FATES if fate.answer in TRANSIENT]
    brief = [fate for fate in transient if fate.answer != "stall"]  # else refusals last too long
    refusals = [fate for fate in READ_FATES if fate.answer in {"401", "403", "404"}]
    spells = choices.pick(
        (
            [Spell(start, start + choices.between(1.0, 500.0), READS, transient)],
            [Spell(start, start + choices.between(1.0, 40.0), READS, refusals)],
            [Spell(0, FOREVER, READS, transient, 20)],
            [Spell(0, FOREVER, READS, STATUS_FATES, 20)],
            [Spell(5.0, FOREVER, READS, [*brief, *refusals, *STATUS_FATES], 20)],
        )
    )
    outcome = choices.pick((10, 10, 20))
    follows = choices.pick(((), (1004,)))
    return World(
        "trouble",
        _habits(choices, outcomes=(outcome,)),
        [Spec(is_load=choices.chance(50), follows=follows)],
        spells,
        frozenset({"return"}),
        prepared=(200.0,) if follows else (),
        history=1,
    )


def outage(choices: Choices) -> World:
    """Returns a call that begins while the API is unavailable."""
    fates = [Fate("no", answer) for answer in ("500", "502", "drop", "refused", "429")]
    return World(
        "outage",
        _habits(choices),
        [Spec(), Spec(at=choices.between(0, 60.0))],
        [Spell(choices.pick((0.0, 0.2, 0.5)), choices.between(1.0, 400.0), ALL, fates)],
        frozenset({"return"}),
    )


def many(choices: Choices) -> World:
    """Returns a wait for many runs."""
    durations = [choices.between(5.0, 100.0) for _ in range(2 + choices.choose(4))]
    ids = [1003 + number for number in range(len(durations))]
    transient = [fate for fate in READ_FATES if fate.answer in TRANSIENT]
    given = [*ids, ids[0]] if choices.chance(30) else ids
    return World(
        "many",
        _habits(choices, outcomes=(choices.pick((10, 20)),), new_run_404=0.0),
        [Spec(at=20.0, follows=given)],
        [Spell(0, FOREVER, READS, transient, choices.pick((0, 20)))],
        frozenset({"return"}),
        prepared=durations,
        vanish=(choices.pick(ids), choices.between(20.0, 200.0)) if choices.chance(30) else None,
    )


RANDOM = (
    starting,
    identity,
    identity,
    rerun,
    blind,
    retrying,
    queueing,
    healthy,
    deadline,
    deadline,
    aborted,
    aborted,
    trouble,
    trouble,
    outage,
    many,
)
