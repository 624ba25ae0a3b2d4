"""When to poll a run."""

import random
from collections.abc import Callable
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_dbt_cloud._follow.schedule import next_look, poll_interval
from dlt_dbt_cloud.run import UsualTimes

usual_times = st.none() | st.builds(
    UsualTimes, queued=st.floats(0, 1000), ran=st.floats(0, 1e5), spread=st.floats(0.5, 1e4)
)


@given(
    waited=st.floats(0, 1e6),
    wait_seconds=st.floats(0, 1000),
    ran=st.floats(0, 1e6),
    usual=usual_times,
)
def test_interval_is_bounded(
    waited: float, wait_seconds: float, ran: float, usual: UsualTimes | None
) -> None:
    """Polls never flood the API, and never exceed `wait_seconds`, whatever the history."""
    assert 0.1 <= poll_interval(waited, wait_seconds, ran, usual) <= max(wait_seconds, 0.1)


@given(waited=st.floats(0, 1e6))
def test_unknown_runs_are_seen_within_six_percent(waited: float) -> None:
    """Without history, the end of a run is known within 6 % of its duration, or a second."""
    assert poll_interval(waited, 1e9) <= max(1.0, 0.06 * waited)


@given(waited=st.floats(0, 1e6), usual=usual_times.filter(bool))
def test_outlived_history_is_ignored(waited: float, usual: UsualTimes) -> None:
    """A run that has outlived its history is polled like one without."""
    ran = usual.ran + 3 * usual.spread
    assert poll_interval(waited, 10, ran, usual) == poll_interval(waited, 10)


@pytest.mark.parametrize("usually", [2, 10, 30])
def test_short_runs_are_polled_every_second_or_two(usually: float) -> None:
    """The end of a run of up to 30 s is known within 2 s, with and without history."""
    for usual in (None, UsualTimes(0, usually, usually / 20)):
        now = 0.0
        while now < usually:
            interval = poll_interval(now, 10, now, usual)
            assert interval <= 2
            now += interval


@pytest.mark.parametrize("scatter", [0.05, 0.1])
@pytest.mark.parametrize("usually", [60, 300, 1200, 3600])
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_usual_end_is_known_within_two_seconds(usually: float, law: str, scatter: float) -> None:
    """The usual end is known within 2 s on average, for fewer polls than a fixed interval takes."""
    outcomes = simulated(usually, law, scatter)
    delay, polls = mean(d for d, _ in outcomes), mean(n for _, n in outcomes)
    assert delay <= 2
    assert polls < usually / (2 * delay)


@pytest.mark.parametrize("scatter", [0.01, 0.1, 0.25, 0.5])
def test_ten_minutes_cost_at_most_a_hundred_polls(scatter: float) -> None:
    """A run of 10 min is polled 100 times on average at most: 20 more requests make its 120."""
    outcomes = [polls_of(600, drawn(600, "normal", scatter, seed)) for seed in range(100)]
    assert mean(n for _, n in [*outcomes, polls_of(600, [])]) <= 100
    assert max(n for _, n in outcomes) <= 105


def test_looks_for_duplicates_thin_out() -> None:
    """Duplicates are looked for often in the first minute, and every other minute later on."""
    waited, times = 0.0, []
    while waited < 600:
        times.append(waited)
        waited = next_look(waited)
    assert times == [0, 1, 3, 7, 15, 30, 60, 180, 300, 420, 540]


def drawn(usually: float, law: str, scatter: float, seed: int) -> list[float]:
    """Returns durations of 20 runs."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    draw: Callable[[], float] = {
        "normal": lambda: max(1, rng.gauss(usually, usually * scatter)),
        "uniform": lambda: rng.uniform((1 - scatter) * usually, (1 + scatter) * usually),
    }[law]
    return [draw() for _ in range(20)]


def simulated(usually: float, law: str, scatter: float) -> list[tuple[float, int]]:
    """Returns delays and polls of many runs that scatter as their history does."""
    draws = [drawn(usually, law, scatter, seed) for seed in range(300)]
    return [polls_of(length, earlier) for length, *earlier in draws]


def polls_of(length: float, earlier: list[float]) -> tuple[float, int]:
    """Returns the delay in seeing the end of a run, and the polls that it took."""
    usual = UsualTimes.of([0.0] * len(earlier), earlier)
    now, polls = 0.0, 0
    while now < length:
        now += poll_interval(now, 10, now, usual)
        polls += 1
    return now - length, polls
