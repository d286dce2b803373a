from __future__ import annotations

import pytest
from canned import Canned, fit, train, train_batch
from hypothesis import given
from hypothesis import strategies as st
from typed import Type

from jobgate.cli.connect import Wrong
from jobgate.cli.ids import Named, named

NUMBERS = st.integers(1, 1000)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5), st.sampled_from(["..", "-"]))
def test_ranges_and_commas_name_each_job_they_say(spans: list[tuple[int, int]], dash: str) -> None:
    pairs = [(min(pair), max(pair)) for pair in spans]
    word = "2n6r0kqa-" + ",".join(f"{low}{dash}{high}" if low != high else f"{low}" for low, high in pairs)
    assert named(word).ids() == [f"2n6r0kqa-{n}" for low, high in pairs for n in range(low, high + 1)]


@given(st.text(max_size=30))
def test_any_text_is_an_id_or_wrong_usage(text: str) -> None:
    try:
        found = named(text)
    except Wrong as error:
        wrong = error
    else:
        assert found.batch.isascii()
        assert found.ids()
        return
    assert wrong.next
    assert wrong.what.isprintable()


@pytest.mark.parametrize(
    "word", ["", "a b", "2n6r0kqa-", "2n6r0kqa-0", "2n6r0kqa-9..3", "2n6r0kqa-1..999999999", "../x"]
)
def test_what_names_no_job_is_wrong_usage(type_: Type, word: str) -> None:
    seen = type_("status", "--", word)
    assert seen.code == 2
    assert len(seen.err.splitlines()) == 3


def test_an_id_is_one_batch_or_one_job() -> None:
    assert named("2N6R0KQA") == Named("2n6r0kqa")
    assert named("2n6r0kqa-640").ids() == ["2n6r0kqa-640"]


def test_last_is_the_newest_batch_and_the_job_of_a_lone_one(canned: Canned, type_: Type) -> None:
    canned.tell("GET", "/v1/batches", {"items": [train_batch()], "next": None})
    canned.show(train_batch(), train(), fit())
    assert type_("status", "last", "-q").out == "2n6r1abc-1\n"
    canned.tell("GET", "/v1/batches", {"items": [fit()], "next": None})
    assert type_("status", "last", "-q").out == "2n6r0kqa\n"


def test_a_log_of_a_batch_of_many_is_refused_with_the_line_that_is_meant(canned: Canned, type_: Type) -> None:
    canned.show(fit())
    seen = type_("logs", "2n6r0kqa")
    assert (seen.code, seen.err.splitlines()[2]) == (2, "  next  jobgate logs 2n6r0kqa-1")
