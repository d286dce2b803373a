from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.errors import NotFound
from jobgate.model.ids import STRIDE, BatchId, Ids, JobId, batch_id, batch_text, bound, job_id, job_text, place

NOW = 1_760_000_000.0
draws = st.lists(st.tuples(st.floats(NOW - 10, NOW + 10), st.integers(1, 200_000)), max_size=20)


@given(draws, st.integers(0, STRIDE - 1), st.integers(0, 1 << 62))
def test_each_run_of_ids_lies_after_all_drawn_before_though_the_clock_goes_back(
    drawn: list[tuple[float, int]], node: int, last: int
) -> None:
    ids = Ids(node, last)
    for now, count in drawn:
        first = ids.draw(now, count)
        assert first > last
        last = first + (count - 1) * STRIDE


@given(draws, draws)
def test_two_gateways_never_draw_the_same_though_one_has_seen_the_others(
    ours: list[tuple[float, int]], theirs: list[tuple[float, int]]
) -> None:
    one = Ids(0)
    drawn = {one.draw(now, count) for now, count in ours}
    other = Ids(63, last=max(drawn, default=0))
    for now, count in theirs:
        assert other.draw(now, count) % STRIDE == 63
    assert all(ident % STRIDE == 0 for ident in drawn)


@given(st.floats(0, 2 * NOW), st.integers(0, STRIDE - 1))
def test_the_bound_of_a_time_lies_after_the_ids_drawn_until_then_and_before_those_drawn_later(
    now: float, node: int
) -> None:
    assert Ids(node).draw(now) < bound(now)
    later = max(now, NOW) + 0.002
    assert Ids(node).draw(later) >= bound(later - 0.002)


@given(st.integers(1, (1 << 63) - 1))
def test_the_wire_form_of_an_id_is_the_id(number: int) -> None:
    assert job_id(job_text(JobId(number))) == number
    assert batch_id(batch_text(BatchId(number))) == number
    with pytest.raises(NotFound):
        job_id(batch_text(BatchId(number)))


@given(st.text(max_size=16))
def test_a_text_is_the_wire_form_of_one_id_or_of_none(wire: str) -> None:
    for text in (wire, "j" + wire):
        try:
            number = job_id(text)
        except NotFound:
            continue
        assert job_text(number) == text


def test_the_place_of_a_job_in_its_batch_follows_from_the_two_numbers() -> None:
    first = Ids(5).draw(NOW, 10)
    assert [place(BatchId(first), JobId(first + n * STRIDE)) for n in range(10)] == list(range(10))


@pytest.mark.parametrize("node", [-1, STRIDE])
def test_a_node_that_has_no_place_in_an_id_is_refused(node: int) -> None:
    with pytest.raises(ValueError, match="node"):
        Ids(node)
