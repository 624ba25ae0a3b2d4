"""Everything that may go one way or another, drawn from a seed or tried one after the other."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Decides what happens: by a seed, or by a list of choices and then always the first."""

    def __init__(self, seed: int | None = None, prefix: Sequence[int] = ()) -> None:
        self._random = None if seed is None else random.Random(seed)  # noqa: S311
        self._prefix = prefix
        self.taken: list[int] = []
        self.sizes: list[int] = []

    @property
    def is_exhaustive(self) -> bool:
        """Whether all choices are to be tried, one after the other."""
        return self._random is None

    def choose(self, options: int) -> int:
        """Returns a number below `options`."""
        position = len(self.taken)
        if position < len(self._prefix):
            choice = self._prefix[position]
        else:
            choice = int(self._random.random() * options) if self._random else 0
        self.taken.append(choice)
        self.sizes.append(options)
        return choice

    def pick(self, options: Sequence[T]) -> T:
        """Returns one of the options."""
        return options[self.choose(len(options))]

    def between(self, low: float, high: float) -> float:
        """Returns a number between two."""
        return low + (high - low) * self.choose(1001) / 1000

    def chance(self, percent: int) -> bool:
        """Returns True in so many cases of a hundred."""
        return self.choose(100) < percent

    def following(self) -> list[int] | None:
        """Returns the choices to try next, depth first, None if all were tried."""
        for position in reversed(range(len(self.taken))):
            if self.taken[position] + 1 < self.sizes[position]:
                return [*self.taken[:position], self.taken[position] + 1]
        return None
