"""When to look at a run."""

import random
from collections.abc import Callable
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud._follow.schedule import MAX_SPARSE, UsualTimes, growing_interval, poll_interval


class TestGrowing:
    """Without history."""

    @given(waited=st.floats(0, 1e6), wait_seconds=st.floats(0, 1000))
    def test_bounds(self, waited: float, wait_seconds: float) -> None:
        """The interval never floods the API, never exceeds `wait_seconds`, never shrinks."""
        interval = growing_interval(waited, wait_seconds)
        assert 0.1 <= interval <= max(wait_seconds, 0.1)
        assert growing_interval(waited + 10, wait_seconds) >= interval
        assert interval <= max(1.0, waited * 0.06)

    @pytest.mark.parametrize("length", [5, 30, 60, 600, 4 * 3600])
    def test_at_most_50_looks_more(self, length: float) -> None:
        """No run costs more than 50 looks more than looking every 10 s would."""
        waited, looks = 0.0, 0
        while waited < length:
            waited += growing_interval(waited, 10)
            looks += 1
        assert looks <= length / 10 + 50


class TestUsualTimes:
    """What the last successful runs tell."""

    @pytest.mark.parametrize("ran", [[], [60.0], [60.0, 61.0]])
    def test_too_few(self, ran: list[float]) -> None:
        """One or two runs tell nothing."""
        assert UsualTimes.of(ran, ran) is None

    def test_median_and_spread(self) -> None:
        """The usual time is the median, and a job that is always as fast still varies a little."""
        assert UsualTimes.of([1, 2, 90], [100, 100, 100]) == UsualTimes(2, 100, 5)

    def test_much_longer(self) -> None:
        """Far longer than usual is half as long again, and beyond the usual scatter."""
        usual = UsualTimes(0, 100, 5)
        assert not usual.is_much_exceeded_by(149)
        assert usual.is_much_exceeded_by(151)
        assert not UsualTimes(0, 100, 50).is_much_exceeded_by(200)


@given(
    earlier=st.lists(st.floats(0, 1e6), min_size=3, max_size=20),
    now=st.floats(0, 1e6),
    wait_seconds=st.floats(0, 1000),
)
def test_any_history(earlier: list[float], now: float, wait_seconds: float) -> None:
    """Whatever the durations of earlier runs, all of no time among them, there is an interval."""
    usual = UsualTimes.of(earlier, earlier)
    assert 0.1 <= poll_interval(now, wait_seconds, now, usual) <= max(wait_seconds, MAX_SPARSE)
    assert poll_interval(now, wait_seconds, 0, UsualTimes.of([0] * 3, [0] * 3)) >= 0.1


usual_times = st.builds(
    UsualTimes,
    queued=st.floats(0, 1000),
    ran=st.floats(1, 1e5),
    spread=st.floats(0.1, 1e4),
)


class TestWithHistory:
    """With history."""

    @given(
        waited=st.floats(0, 1e6),
        wait_seconds=st.floats(0, 1000),
        ran=st.floats(0, 1e6),
        usual=usual_times,
    )
    def test_bounds(
        self, waited: float, wait_seconds: float, ran: float, usual: UsualTimes
    ) -> None:
        """Whatever the history, the interval neither floods the API nor sleeps through an end."""
        interval = poll_interval(waited, wait_seconds, ran, usual)
        assert 0.1 <= interval <= max(wait_seconds, MAX_SPARSE)

    @given(waited=st.floats(0, 1e6), usual=usual_times)
    def test_outlived(self, waited: float, usual: UsualTimes) -> None:
        """A run that has outlived its history is looked at as one without."""
        ran = usual.ran + 3 * usual.spread
        assert poll_interval(waited, 10, ran, usual) == growing_interval(waited, 10)

    def test_sparse_then_dense(self) -> None:
        """Sparse while nothing can end, dense around where runs have ended."""
        usual = UsualTimes(0, 600, 30)
        assert poll_interval(100, 10, 100, usual) == MAX_SPARSE
        assert poll_interval(600, 10, 600, usual) < 3

    @pytest.mark.parametrize("usually", [60, 300, 1200, 3600])
    @pytest.mark.parametrize("law", ["normal", "uniform"])
    def test_better_than_any_fixed_interval(self, usually: float, law: str) -> None:
        """On runs that scatter by 10 %: a mean delay of at most 2 s, and no more requests than
        every 10 s would make, the one for the history among them. A fixed interval with the same
        mean delay makes more requests, one with as few requests has a longer delay."""  # noqa: D205, D209  # one law
        rng = random.Random(7)  # noqa: S311  # no secret
        draw: Callable[[], float] = {
            "normal": lambda: rng.gauss(usually, usually / 10),
            "uniform": lambda: rng.uniform(0.9 * usually, 1.1 * usually),
        }[law]
        outcomes = [looks(draw(), [draw() for _ in range(20)]) for _ in range(400)]
        delay, requests = mean(d for d, _ in outcomes), mean(n for _, n in outcomes)
        assert delay <= 2
        assert requests <= usually / 10 + 0.5
        assert requests < usually / (2 * delay)


def looks(length: float, earlier: list[float]) -> tuple[float, int]:
    """Returns the delay in seeing the end of a run, and the requests that it took."""
    usual = UsualTimes.of([0.0] * len(earlier), earlier)
    now, requests = 0.0, 1
    while now < length:
        now += poll_interval(now, 10, now, usual)
        requests += 1
    return now - length, requests
