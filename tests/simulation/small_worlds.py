"""The small worlds that are searched whole."""

from tests.simulation.choices import Choices
from tests.simulation.cloud import BARE, LOST, TRANSIENT, Fate, Habits
from tests.simulation.simulation import Spec, World
from tests.simulation.worlds import ABORTS, CAUSES

_FEW_POLLS = {"wait_seconds": 60.0}
_LOST_ONCE = [
    *(Fate("now", answer) for answer in ("drop", "stall")),
    *(Fate("late", answer) for answer in ("502", "garbage")),
    *(Fate("no", answer) for answer in ("502", "stall", "refused", "429")),
    BARE,
]


def two_callers_one_fault(choices: Choices) -> World:
    """Returns two callers with one load and one lost trigger or read."""
    habits = Habits(lag=choices.pick((0.0, 10.0)), commit_late=45.0, durations=(150.0,))
    return World(
        "two callers, one fault",
        habits,
        [Spec(config=_FEW_POLLS), Spec(at=choices.pick((0.0, 0.2, 0.3)), config=_FEW_POLLS)],
        expects=frozenset({"return"}),
        faults=1,
        fault_fates=[*LOST, BARE, *(Fate("no", answer) for answer in TRANSIENT)],
        history=5,
        history_duration=150.0,
        depth=5,
    )


def two_callers_one_kill(choices: Choices) -> World:
    """Returns two callers with one load, of whom one dies anywhere and begins again."""
    habits = Habits(lag=choices.pick((0.0, 10.0)), durations=(150.0,))
    again = choices.pick((1.0, 30.0))
    return World(
        "two callers, one kill",
        habits,
        [
            Spec(config=_FEW_POLLS, again=again),
            Spec(at=choices.pick((0.0, 0.2, 0.3)), config=_FEW_POLLS, again=again),
        ],
        expects=frozenset({"return"}),
        kills=1,
        history=5,
        history_duration=150.0,
    )


def two_callers_fault_and_kill(choices: Choices) -> World:
    """Returns two callers with one load, a lost trigger and a death."""
    habits = Habits(lag=5.0, commit_late=50.0, durations=(150.0,))
    return World(
        "two callers, one fault, one kill",
        habits,
        [Spec(config=_FEW_POLLS), Spec(at=choices.pick((0.0, 0.2)), config=_FEW_POLLS)],
        expects=frozenset({"return"}),
        faults=1,
        kills=1,
        fault_ops=("post_run",),
        fault_fates=[*LOST, BARE],
        history=5,
        history_duration=150.0,
        depth=6,
    )


def one_caller_three_losses(choices: Choices) -> World:
    """Returns one call that loses its triggers, in every combination."""
    habits = Habits(lag=5.0, commit_late=50.0, durations=(150.0,), cause=choices.pick(CAUSES))
    return World(
        "one caller, three losses",
        habits,
        [Spec(identity="call", is_load=False, config=_FEW_POLLS)],
        faults=3,
        fault_ops=("post_run",),
        fault_fates=[
            *(Fate(commit, "500") for commit in ("no", "now", "late")),
            *(Fate("no", answer) for answer in ("stall", "refused", "429-300")),
        ],
        depth=60,
        history=5,
        history_duration=150.0,
    )


def one_abort(choices: Choices) -> World:
    """Returns a call that is aborted at every place, with one fault."""
    config = {**_FEW_POLLS, "cancel_on_abort": bool(choices.choose(2))}
    return World(
        "one abort, one fault",
        Habits(durations=(150.0,), lag=2.0),
        [
            Spec(
                is_load=bool(choices.choose(2)),
                config=config,
                abort_error=choices.pick(ABORTS[:2]),
                is_sticky=True,
            )
        ],
        faults=1,
        aborts=1,
        fault_fates=_LOST_ONCE,
        depth=10,
        history=5,
        history_duration=150.0,
    )


SMALL = (
    two_callers_one_fault,
    two_callers_one_kill,
    two_callers_fault_and_kill,
    one_caller_three_losses,
    one_abort,
)
