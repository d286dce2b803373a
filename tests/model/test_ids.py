from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.attempt import AttemptId
from jobgate.model.errors import NotFound
from jobgate.model.ids import (
    STRIDE,
    AccountId,
    BatchId,
    Ids,
    JobId,
    JobName,
    account_text,
    batch_id,
    batch_text,
    bound,
    job_name,
    job_text,
    number,
    place,
)

NOW = 1_760_000_000.0
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
draws = st.lists(st.tuples(st.floats(NOW - 10, NOW + 10), st.integers(1, 200_000)), max_size=20)
numbers = st.one_of(
    st.integers(1, (1 << 63) - 1),
    st.builds(lambda ms, low: max(ms << 22 | low, 1), st.integers(0, (1 << 41) - 1), st.integers(0, 3 * STRIDE)),
)
"""Any; and as a calm server draws them, few in one millisecond."""
spelled = st.one_of(
    st.text(max_size=24),
    st.text(ALPHABET + "u-", max_size=24),
    st.builds(
        lambda head, tail, which: head + tail + which,
        st.text(ALPHABET + "uo", min_size=7, max_size=9),
        st.text(ALPHABET, max_size=6),
        st.sampled_from(["", "-1", "-0", "-01", "-640", "-640-2", "-640-02", "-", "--1", "-1-", "-+1", "-1_0", "-١"]),  # noqa: RUF001  # a digit of another script is none of ours
    ),
)


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


# --- texts


def test_ids_look_as_the_pages_show_them() -> None:
    batch = batch_id("2n6r0kqa")
    name = JobName(batch, JobId(batch + 639 * STRIDE))
    assert (batch_text(batch), str(name), job_text(name.batch, name.job)) == (
        "2n6r0kqa",
        "2n6r0kqa-640",
        "2n6r0kqa-640",
    )
    assert str(AttemptId(name.batch, name.job, 2)) == "2n6r0kqa-640-2"
    assert batch_text(BatchId(batch + 64)) == "2n6r0kqa20"
    assert (batch_text(BatchId(1)), batch_text(BatchId(1 << 62))) == ("000000001", "u4000000000000")


@given(numbers)
def test_the_text_of_a_batch_is_the_batch(value: int) -> None:
    wire = batch_text(BatchId(value))
    assert batch_id(wire) == value
    assert set(wire) <= set("u" + ALPHABET)
    assert 8 <= len(wire) <= 14


@given(numbers, st.integers(0, 1 << 40), st.integers(1, 1 << 20))
def test_the_text_of_a_job_and_of_an_attempt_are_the_job_and_the_attempt(value: int, at: int, attempt: int) -> None:
    name = JobName(BatchId(value), JobId(value + at * STRIDE))
    if name.job >= 1 << 63:
        with pytest.raises(NotFound):
            job_name(str(name))
        return
    assert job_name(str(name)) == name
    assert job_text(name.batch, name.job) == str(name) == f"{batch_text(name.batch)}-{at + 1}"
    ident = AttemptId(name.batch, name.job, attempt)
    assert AttemptId.parse(str(ident)) == ident
    assert str(ident) == f"{name}-{attempt}"


@given(spelled)
def test_a_text_is_the_one_spelling_of_one_id_or_of_none(wire: str) -> None:
    readings: tuple[tuple[Callable[[str], object], Callable[[Any], str]], ...] = (
        (batch_id, batch_text),
        (job_name, str),
        (AttemptId.parse, str),
    )
    read = 0
    for parse, text in readings:
        try:
            found = parse(wire)
        except NotFound:
            continue
        read += 1
        assert text(found) == wire
    assert read <= 1


@given(st.integers(1, (1 << 40) - 1), st.integers(1, (1 << 40) - 1), st.integers(0, (1 << 22) - 1))
def test_texts_sort_by_the_time_they_were_drawn_at(one: int, other: int, low: int) -> None:
    texts = sorted(batch_text(BatchId(ms << 22 | low)) for ms in (one, other))
    assert texts == [batch_text(BatchId(ms << 22 | low)) for ms in sorted((one, other))]
    if one < other:
        assert batch_text(BatchId(one << 22 | low)) < batch_text(BatchId(other << 22))


@given(st.floats(NOW, 2_800_000_000.0))
def test_a_calm_servers_ids_have_eight_characters(now: float) -> None:
    assert len(batch_text(BatchId(Ids().draw(now)))) == 8


@pytest.mark.parametrize(
    "wire",
    [
        *("", "2n6r0kq", "2N6R0KQA", "2n6r0kqa0", "2n6r0kqazzzzz", "2n6r0kqai", "2n6r0kqa ", "00000000"),
        *("u", "u2n6r0kqa", "u0000000000001", "u3zzzzzzzzzzzz", "u8000000000000", "-", "-1", "2n6r0kqa\n"),
    ],
)
def test_what_is_no_batch_is_not_found(wire: str) -> None:
    with pytest.raises(NotFound):
        batch_id(wire)


@given(st.integers(1, (1 << 63) - 1))
def test_an_account_keeps_its_letter(value: int) -> None:
    wire = account_text(AccountId(value))
    assert wire.startswith("a")
    assert number("a", wire) == value
    with pytest.raises(NotFound):
        number("c", wire)


def test_the_place_of_a_job_in_its_batch_follows_from_the_two_numbers() -> None:
    first = Ids(5).draw(NOW, 10)
    assert [place(BatchId(first), JobId(first + n * STRIDE)) for n in range(10)] == list(range(10))


@pytest.mark.parametrize("node", [-1, STRIDE])
def test_a_node_that_has_no_place_in_an_id_is_refused(node: int) -> None:
    with pytest.raises(ValueError, match="node"):
        Ids(node)
