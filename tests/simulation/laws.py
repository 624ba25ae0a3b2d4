"""All laws."""

from collections.abc import Callable, Iterator

from tests.simulation.following_laws import (
    abort_cancels,
    abort_is_quick,
    deadline_holds,
    documented_errors,
    end_is_known_soon,
    last_line_is_true,
    nothing_after_death,
    requests_are_few,
    returns,
    success_stays,
)
from tests.simulation.simulation import Simulation
from tests.simulation.starting_laws import (
    all_return_the_same,
    failed_is_run_anew,
    given_up_in_time,
    late_runs_are_found,
    loads_are_covered,
    no_false_claim,
    one_retry,
    one_run_starts,
    returns_its_own,
    sends_are_rare,
    unknown_is_not_none,
)

LAWS: tuple[Callable[[Simulation], Iterator[str]], ...] = (
    one_run_starts,
    all_return_the_same,
    sends_are_rare,
    unknown_is_not_none,
    no_false_claim,
    documented_errors,
    given_up_in_time,
    late_runs_are_found,
    returns_its_own,
    failed_is_run_anew,
    returns,
    success_stays,
    deadline_holds,
    abort_is_quick,
    abort_cancels,
    end_is_known_soon,
    requests_are_few,
    loads_are_covered,
    one_retry,
    last_line_is_true,
    nothing_after_death,
)


def violations(simulation: Simulation) -> list[str]:
    """Returns what breaks a law."""
    return [f"{law.__name__}: {what}" for law in LAWS for what in law(simulation)]
