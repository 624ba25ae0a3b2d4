"""What the laws ask of a schedule that has ended."""

import math
import re

from tests.simulation.cloud import SimulatedRun
from tests.simulation.scheduler import Caller, Request
from tests.simulation.simulation import Simulation

POSTS = {"post_run", "post_retry"}
PROVES_NOTHING_CREATED = re.compile(r"no/(refused|429.*|4\d\d)$")


def posts_of(caller: Caller) -> list[Request]:
    """Returns the triggers that a caller has sent."""
    return [r for r in caller.requests if r.op in POSTS and not r.is_last_word]


def callers_by_identity(simulation: Simulation) -> dict[str, list[Caller]]:
    """Returns the callers by identity."""
    groups: dict[str, list[Caller]] = {}
    for caller in simulation.callers:
        groups.setdefault(caller.spec.identity, []).append(caller)
    return groups


def runs_of(simulation: Simulation, identity: str) -> list[SimulatedRun]:
    """Returns the runs that callers of an identity have created."""
    runs = simulation.cloud.runs.values()
    return [run for run in runs if run.identity == identity and run.retry_of is None]


def all_succeed(simulation: Simulation) -> bool:
    """Returns True if no run fails, or is cancelled by a person."""
    world = simulation.world
    return set(world.habits.outcomes) == {10} and math.isinf(world.person_cancels_at)


def was_aborted(caller: Caller) -> bool:
    """Returns True if a caller was killed or aborted."""
    return caller.is_killed or caller.aborted < math.inf


def was_blind(caller: Caller, start: float, end: float) -> bool:
    """Returns True if all lists failed that the caller wanted to read in a time."""
    reads = [r for r in caller.requests if r.op == "get_runs" and start <= r.sent <= end]
    return bool(reads) and all(r.error or r.arrived == math.inf for r in reads)
