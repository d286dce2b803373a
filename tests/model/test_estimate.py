"""Estimates: what must hold of every one, and how often they hold."""

from __future__ import annotations

import heapq
import itertools
import random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobgate.model.estimate import Busy, Forecast, Sample, Span

MOST: Final = settings().max_examples
enough = settings(max_examples=max(MOST // 3, 1))
seconds = st.floats(0, 1e12, allow_nan=False)
pasts = st.lists(seconds, min_size=1, max_size=30)
some = st.none() | pasts.map(Sample)
jobs = st.lists(st.builds(Busy, some, seconds, st.integers(1, 3), st.booleans()), max_size=6)
forecasts = st.builds(Forecast, st.integers(1, 5000), jobs, jobs, some)


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # run times for a test


def sound(span: Span) -> None:
    assert 0.0 <= span.low <= span.value <= span.high < float("inf")
    assert span.runs >= 1


@given(pasts)
def test_every_interval_holds_its_value_and_begins_at_nothing_less_than_zero(past: list[float]) -> None:
    sound(Sample(past).span())


@given(pasts, st.floats(0.1, 10))
def test_runs_that_are_all_longer_by_a_factor_make_an_interval_that_is(past: list[float], factor: float) -> None:
    past = [min(max(one, 0.01), 1e6) for one in past]
    short, long = Sample(past).span(), Sample([one * factor for one in past]).span()
    assert long.value == pytest.approx(short.value * factor)
    assert long.low == pytest.approx(short.low * factor)
    assert long.high == pytest.approx(short.high * factor)


@given(st.lists(st.floats(0, 1e6), min_size=9, max_size=60))
def test_of_enough_runs_the_interval_leaves_out_a_tenth_at_each_side_at_most(past: list[float]) -> None:
    span = Sample(past).span()
    assert sum(one < span.low - 1e-4 for one in past) <= len(past) / 10
    assert sum(one > span.high + 1e-4 for one in past) <= len(past) / 10


@enough
@given(forecasts, st.integers(0, 1 << 40), st.integers(1, 64))
def test_no_queue_and_no_past_makes_a_start_or_an_end_that_cannot_be(
    forecast: Forecast, ahead: int, width: int
) -> None:
    for span in (forecast.start(ahead, width), forecast.finish(ahead)):
        if span is not None:
            sound(span)


@enough
@given(st.builds(Forecast, st.integers(1, 5000), jobs, jobs, st.none()))
def test_who_has_more_before_him_is_not_said_to_start_earlier(forecast: Forecast) -> None:
    starts = [forecast.start(ahead) for ahead in (0, 1, 2, 3, 10, 100, 10_000)]
    values = [span.value for span in starts if span is not None]
    assert all(later >= earlier * (1 - 1e-9) for earlier, later in itertools.pairwise(values))


@enough
@given(pasts, st.integers(0, 200))
def test_the_same_past_gives_the_same_estimate(past: list[float], ahead: int) -> None:
    def told() -> Span | None:
        return Forecast(2, [Busy(Sample(past))] * 2, [Busy(Sample(past))] * 9, None).start(ahead)

    assert told() == told()


def test_where_a_slot_is_free_the_start_is_what_a_start_takes() -> None:
    lag = Sample([0.01] * 20)
    forecast = Forecast(2, [Busy(Sample([100.0] * 20))], [], lag)
    assert forecast.start(0) == lag.span()
    later = forecast.start(1)
    assert later is not None
    assert later.value > 10


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert Forecast(1, [Busy(None)], [], Sample([0.1])).start(0) is None
    assert Forecast(1, [], [], None).start(0) is None
    assert Forecast(1, [], [Busy(None, own=True)], None).finish(0) is None


def test_one_that_fills_the_whole_place_waits_for_all_that_runs() -> None:
    past = Sample([10.0] * 20)
    forecast = Forecast(4, [Busy(past, 9.0), Busy(past, 1.0)], [], Sample([0.0] * 20))
    narrow, wide = forecast.start(0), forecast.start(0, 4)
    assert narrow is not None
    assert wide is not None
    assert narrow.value < 1
    assert wide.value == pytest.approx(9.0, abs=0.1)


@pytest.mark.parametrize("runs", [2, 3, 5, 9, 20, 100])
def test_the_interval_of_a_run_holds_about_four_times_in_five(runs: int) -> None:
    chance = dice(runs)
    held = 0
    for _ in range(1000):
        *past, true = (chance.lognormvariate(0, 1) for _ in range(runs + 1))
        span = Sample(past).span()
        held += span.low <= true <= span.high
    assert 0.75 <= held / 1000 <= 0.87


@pytest.mark.parametrize(("slots", "queued"), [(1, 3), (2, 0), (2, 10), (8, 40), (2, 150), (60, 200)])
def test_the_interval_of_a_start_holds_about_four_times_in_five(slots: int, queued: int) -> None:
    chance = dice(slots * 1000 + queued)
    held, rounds = 0, 80
    for _ in range(rounds):
        past = Sample([chance.expovariate(1) for _ in range(50)])
        span = Forecast(slots, [Busy(past)] * slots, [Busy(past)] * queued, None).start(queued)
        assert span is not None
        lanes = [chance.expovariate(1) for _ in range(slots)]
        heapq.heapify(lanes)
        for _ in range(queued):
            heapq.heapreplace(lanes, lanes[0] + chance.expovariate(1))
        held += span.low <= lanes[0] <= span.high
    assert 0.65 <= held / rounds <= 0.95


@pytest.mark.parametrize(("slots", "count"), [(2, 1), (2, 5), (4, 40), (2, 300)])
def test_the_interval_of_a_batchs_end_holds_about_four_times_in_five(slots: int, count: int) -> None:
    chance = dice(slots * 1000 + count)
    held, rounds = 0, 60
    for _ in range(rounds):
        past = Sample([chance.lognormvariate(0, 0.8) for _ in range(60)])
        span = Forecast(slots, [], [Busy(past, own=True)] * min(count, 256), None).finish(count - 1)
        assert span is not None
        lanes, over = [0.0] * slots, 0.0
        for _ in range(count):
            end = lanes[0] + chance.lognormvariate(0, 0.8)
            over = max(over, end)
            heapq.heapreplace(lanes, end)
        held += span.low <= over <= span.high
    assert 0.65 <= held / rounds <= 0.95
