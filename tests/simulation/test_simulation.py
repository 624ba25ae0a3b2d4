"""A tenth of the schedules that `make simulate` runs."""

import ast

import pytest

from tests.simulation.explore import at_random, whole
from tests.simulation.mutants import mutated
from tests.simulation.mutations import MUTANTS
from tests.simulation.small_worlds import SMALL
from tests.simulation.worlds import RANDOM

SCHEDULES = 2_000


@pytest.mark.parametrize("number", range(len(RANDOM)))
def test_random_schedules(number: int) -> None:
    """No schedule of a world breaks a law."""
    findings = at_random(range(number, SCHEDULES, len(RANDOM)))
    assert findings.failures == []
    assert len(findings.states) > 1


@pytest.mark.parametrize("number", range(len(SMALL)))
def test_small_worlds(number: int) -> None:
    """No schedule of a small world breaks a law, as far as the search comes in short time."""
    findings = whole(number, limit=15)
    assert findings.failures == []


@pytest.mark.parametrize("file", MUTANTS)
def test_mutants_fit_the_code(file: str) -> None:
    """Each mutant changes one place of its file, which is Python afterwards.

    If it does not, the rule was reworded: repair its fragment in `mutations.py`.
    """
    for mutant in MUTANTS[file]:
        ast.parse(mutated(file, mutant))
