"""A world, with a dbt Cloud, a weather and callers, and one schedule of what happens in it."""

import logging
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dlt_dbt_cloud._call import follow_run, follow_runs, run_job
from dlt_dbt_cloud._io import logger
from dlt_dbt_cloud.configuration import DBTCloudConfiguration
from tests.simulation.choices import Choices
from tests.simulation.cloud import EPOCH, OK, Cloud, Fate, Habits
from tests.simulation.scheduler import Caller, Scheduler, SimulatedIO
from tests.simulation.view import View

JOB, OTHER_JOB = 1, 2
READS = ("get_run_status", "get_runs")
ALL = (*READS, "post_run", "post_retry", "cancel_run")


def load_of(spec: "Spec") -> dict[str, Any]:
    """Returns the load of a caller. Its id is a time on the clock of the machine that loads."""
    began = EPOCH.timestamp() + spec.skew + zlib.crc32(spec.identity.encode()) / 2**32
    return {"pipeline_name": "flights", "dataset_name": "raw", "loads_ids": [f"{began:.7f}"]}


@dataclass(frozen=True)
class Spec:
    """A caller.

    Attributes:
        at: When it begins.
        identity: Callers with the same one belong together.
        is_load: Whether it passes a load.
        config: Settings.
        skew: Seconds by which the clock that stamped its load is ahead of the API's.
        follows: Ids of runs that it waits for, instead of running a job.
        kill_at: At which await its process dies; it begins again after `again` seconds.
        abort_at: At which await it is aborted.
        abort_again: Seconds until the second signal.
    """

    at: float = 0.0
    identity: str = "load"
    is_load: bool = True
    config: dict[str, Any] = field(default_factory=dict)
    skew: float = 0.0
    follows: Sequence[int] = ()
    kill_at: int = 0
    again: float = 5.0
    abort_at: int = 0
    abort_error: Callable[[], BaseException] = KeyboardInterrupt
    is_sticky: bool = False
    abort_again: float = math.inf


@dataclass(frozen=True)
class Spell:
    """Bad weather: from when to when which requests meet which fates, in per cent of cases."""

    start: float
    end: float
    ops: Sequence[str]
    fates: Sequence[Fate]
    percent: int = 100


@dataclass
class World:
    """A world and what happens in it.

    Attributes:
        expects: Names of the promises beyond safety that hold in it: "return" (each caller that
            is not killed or aborted returns a run), "healthy" (no request fails).
        faults, kills, aborts: How many of them to try at every place, in an exhaustive search.
        fault_ops, fault_fates: What may fail, in an exhaustive search.
        depth: Up to which request or await, in an exhaustive search.
    """

    name: str
    habits: Habits
    specs: list[Spec]
    spells: list[Spell] = field(default_factory=list)
    expects: frozenset[str] = frozenset()
    faults: int = 0
    kills: int = 0
    aborts: int = 0
    fault_ops: Sequence[str] = ALL
    fault_fates: Sequence[Fate] = ()
    depth: int = 8
    crowd_at: float = math.inf
    history: int = 0
    history_duration: float = 100.0
    person_cancels_at: float = math.inf
    vanish: tuple[int, float] | None = None
    prepared: Sequence[float] = ()
    """Durations of runs that others have triggered before."""
    other_job: Sequence[float] = ()
    """Durations of runs of another job."""
    slow: int = 0
    """Per cent of messages that take up to 5 s."""


class Lines(logging.Handler):
    """Gives each line of the log to the caller that says it."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self.scheduler = scheduler

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a line."""
        caller = self.scheduler.current
        if caller:
            message = record.getMessage()
            caller.lines.append((record.levelno, message))
            self.scheduler.tell(caller.name, f"says: {message}")


class Simulation:
    """One schedule of a world.

    Attributes:
        callers: All callers, those that began again included.
    """

    def __init__(self, world: World, choices: Choices) -> None:
        self.world = world
        self.choices = choices
        self.scheduler = Scheduler(choices)
        self.cloud = Cloud(self.scheduler, world.habits)
        self.callers: list[Caller] = []
        self._faults, self._kills, self._aborts = world.faults, world.kills, world.aborts

    def run(self) -> None:
        """Carries out the schedule."""
        world, at = self.world, self.scheduler.at
        self.cloud.history(1, OTHER_JOB, 10.0, age=4000.0)
        self.cloud.history(1 + world.history, JOB, world.history_duration, age=4000.0)
        for duration in world.prepared:
            run = self.cloud.create(JOB, "by others", {}, by="others")
            run.duration = duration
            run.outcome = world.habits.outcomes[0]
        for duration in world.other_job:
            self.cloud.create(OTHER_JOB, "of another job", {}, by="others").duration = duration
        if world.crowd_at < math.inf:
            at(world.crowd_at, self.cloud.crowd, 150, JOB)
        if world.person_cancels_at < math.inf:
            at(world.person_cancels_at, self._person_cancels)
        for number, spec in enumerate(world.specs):
            at(spec.at, self._begin, spec, f"caller {number + 1}")
        if world.vanish:
            at(world.vanish[1], self._vanish, world.vanish[0])
        handler = Lines(self.scheduler)
        logger.addHandler(handler)
        propagate, logger.propagate = logger.propagate, False
        try:
            self.scheduler.run()
        finally:
            logger.removeHandler(handler)
            logger.propagate = propagate

    def _begin(self, spec: Spec, name: str) -> None:
        caller = Caller(self.scheduler, name, spec, self._latency)
        caller.on_await, caller.on_end = self._on_await, self._on_end
        self.callers.append(caller)
        io, api = SimulatedIO(caller), View(self.cloud, caller, self._fate)
        config = DBTCloudConfiguration(job_id=str(JOB), progress="off", **spec.config)
        if len(spec.follows) > 1:
            program: Any = follow_runs(io, api, config, list(spec.follows))
        elif spec.follows:
            config.run_id = str(spec.follows[0])
            program = follow_run(io, api, config)
        else:
            program = run_job(io, api, config, None, load_of(spec) if spec.is_load else None)
        caller.begin(program)

    def _latency(self) -> float:
        if self.choices.is_exhaustive:
            return 0.1
        if self.world.slow and self.choices.chance(self.world.slow):
            return self.choices.between(0.5, 5.0)
        return self.choices.between(0.01, 0.3)

    def _fate(self, caller: Caller, op: str, fates: Sequence[Fate]) -> Fate:
        if self.choices.is_exhaustive:
            return self._systematic_fate(caller, op, fates)
        now = self.scheduler.now
        for spell in self.world.spells:
            if spell.start <= now < spell.end and op in spell.ops:
                possible = [fate for fate in spell.fates if fate in fates]
                if possible and (spell.percent == 100 or self.choices.chance(spell.percent)):
                    return self.choices.pick(possible)
        return OK

    def _systematic_fate(self, caller: Caller, op: str, fates: Sequence[Fate]) -> Fate:
        world = self.world
        is_early = len(caller.requests) <= world.depth
        if not self._faults or not is_early or op not in world.fault_ops:
            return OK
        possible = [OK, *(fate for fate in world.fault_fates or fates if fate in fates)]
        fate = self.choices.pick(possible)
        self._faults -= fate != OK
        return fate

    def _on_await(self, caller: Caller) -> None:
        spec, is_early = caller.spec, caller.awaits <= self.world.depth
        systematic = self.choices.is_exhaustive and is_early and not caller.is_killed
        if caller.awaits == spec.kill_at:
            caller.kill()
        elif systematic and self._kills and self.choices.choose(2):
            self._kills -= 1
            caller.kill()
        elif caller.awaits == spec.abort_at:
            self._abort(caller)
        elif systematic and self._aborts and self.choices.choose(2):
            self._aborts -= 1
            self._abort(caller)

    def _abort(self, caller: Caller) -> None:
        spec, now = caller.spec, self.scheduler.now
        self.scheduler.at(now + 0.05, _raise, caller, spec)
        if spec.abort_again < math.inf:
            self.scheduler.at(now + 0.05 + spec.abort_again, _raise, caller, spec)

    def _on_end(self, caller: Caller) -> None:
        if caller.is_killed:
            spec = replace(caller.spec, kill_at=0, abort_at=0)
            self.scheduler.at(
                self.scheduler.now + spec.again, self._begin, spec, f"{caller.name} again"
            )

    def _person_cancels(self) -> None:
        for run in self.cloud.runs.values():
            if run.identity and run.finished == math.inf:
                self.cloud.cancel(run, "a person")
                return

    def _vanish(self, run_id: int) -> None:
        self.cloud.runs[run_id].vanished = self.scheduler.now
        self.scheduler.tell("cloud", f"loses run {run_id}")


def _raise(caller: Caller, spec: Spec) -> None:
    caller.abort(spec.abort_error(), is_sticky=spec.is_sticky)
