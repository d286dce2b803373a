from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobgate.runner.pace import SECONDS, Pace


@given(st.lists(st.floats(0, 100), max_size=200), st.floats(0, 30))
def test_the_rate_is_of_the_last_whole_seconds(starts: list[float], later: float) -> None:
    pace = Pace()
    for at in sorted(starts):
        pace.note(at)
    now = max(starts, default=0.0) + later
    counted = sum(int(now) - SECONDS <= int(at) < int(now) for at in starts)
    assert pace.rate(now) == counted / SECONDS


def test_a_clock_that_was_set_back_loses_no_start() -> None:
    pace = Pace()
    for at in (100.0, 50.0, 100.5):
        pace.note(at)
    assert pace.rate(101.0) == 3 / SECONDS
