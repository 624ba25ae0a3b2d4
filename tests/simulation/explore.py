"""Runs schedules: drawn from seeds, or all of a small world."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.simulation.choices import Choices
from tests.simulation.laws import violations
from tests.simulation.scheduler import Unending
from tests.simulation.simulation import Simulation, World
from tests.simulation.small_worlds import SMALL
from tests.simulation.worlds import RANDOM

MAX_SCHEDULES = 30_000
"""Schedules of a small world at most: more would mean that it is not small."""


@dataclass
class Findings:
    """What schedules have shown.

    Attributes:
        failures: How to replay them, and what they break.
    """

    schedules: int = 0
    events: int = 0
    states: set[int] = field(default_factory=set)
    failures: list[tuple[str, list[str]]] = field(default_factory=list)
    by_world: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Findings") -> None:
        """Adds what others have found."""
        self.schedules += other.schedules
        self.events += other.events
        self.states |= other.states
        self.failures += other.failures
        for name, number in other.by_world.items():
            self.by_world[name] = self.by_world.get(name, 0) + number


def simulate(make: Callable[[Choices], World], choices: Choices) -> tuple[Simulation, list[str]]:
    """Returns a schedule that has ended, and which laws it breaks."""
    simulation = Simulation(make(choices), choices)
    try:
        simulation.run()
    except Unending as error:
        return simulation, [str(error)]
    return simulation, violations(simulation)


def of_seed(seed: int) -> tuple[Callable[[Choices], World], Choices]:
    """Returns the world and the choices of a seed."""
    return RANDOM[seed % len(RANDOM)], Choices(seed)


def at_random(seeds: Iterable[int], *, stop_at: int = 1_000_000) -> Findings:
    """Returns what the schedules of some seeds show."""
    findings = Findings()
    for seed in seeds:
        make, choices = of_seed(seed)
        _note(findings, f"--seed {seed}", *simulate(make, choices))
        if len(findings.failures) >= stop_at:
            break
    return findings


def whole(
    number: int, *, part: int = 0, parts: int = 1, limit: int = MAX_SCHEDULES, stop_at: int = 100
) -> Findings:
    """Returns what all schedules of a small world show.

    Args:
        number: Which world.
        part: Which part of the schedules, by the choices of the world itself.
        parts: How many parts there are. Each process enumerates one.
        limit: Number of schedules at most that begin with the same choices of the world.
        stop_at: Number of failures at which to stop.
    """
    findings = Findings()
    for prefix in _prefixes(SMALL[number], part, parts):
        choices: Sequence[int] | None = prefix
        left = limit
        while choices is not None and choices[: len(prefix)] == prefix and left:
            attempt = Choices(prefix=choices)
            how = f"--small {number} --choices {','.join(map(str, choices))}"
            _note(findings, how, *simulate(SMALL[number], attempt))
            if len(findings.failures) >= stop_at:
                return findings
            choices, left = attempt.following(), left - 1
    return findings


def _prefixes(make: Callable[[Choices], World], part: int, parts: int) -> Iterator[list[int]]:
    """Yields the beginnings of the schedules of a part: the choices of the world itself."""
    choices: list[int] | None = []
    number = 0
    while choices is not None:
        attempt = Choices(prefix=choices)
        make(attempt)
        if number % parts == part:
            yield list(attempt.taken)
        number += 1
        choices = attempt.following()


def _note(findings: Findings, how: str, simulation: Simulation, broken: list[str]) -> None:
    findings.schedules += 1
    findings.events += len(simulation.scheduler.story)
    findings.states |= simulation.cloud.states
    name = simulation.world.name
    findings.by_world[name] = findings.by_world.get(name, 0) + 1
    if broken:
        findings.failures.append((how, [f"[{name}]", *broken]))


def story(simulation: Simulation) -> str:
    """Returns the operations of a schedule."""
    lines = (f"{time:9.2f}  {who:18} {what}" for time, who, what in simulation.scheduler.story)
    return "\n".join(lines)
