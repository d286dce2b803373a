from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from front_links import Gate
from hypothesis import given
from hypothesis import strategies as st

from jobgate.auth.links import Links
from jobgate.model.ids import BatchId, JobId, JobName
from jobgate.model.operations import Read

NOW = 1_760_000_000.0
PATH = "/remotejobs/v2/files/j1/a%20b.txt"
LINKS = Links(b"k" * 32, lambda: NOW)
QUERY = LINKS(PATH, NOW + 60)
WITH = "output=1&" + LINKS(f"{PATH}?output=1", NOW + 60)


def test_an_address_opens_with_what_was_signed_for_it() -> None:
    assert LINKS.verify(PATH, QUERY)
    assert LINKS.verify(PATH, WITH)
    assert LINKS.verify(PATH, QUERY, "HEAD")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""])
def test_it_opens_for_reading_alone(method: str) -> None:
    assert not LINKS.verify(PATH, QUERY, method)


@pytest.mark.parametrize(
    "path",
    [PATH + "/", PATH[:-1], "/" + PATH, PATH.replace("%20", "+"), PATH.replace("%20", " "), PATH.upper(), "", "/"],
)
def test_it_opens_no_other_path_nor_the_same_written_otherwise(path: str) -> None:
    assert not LINKS.verify(path, QUERY)


@pytest.mark.parametrize(
    "query",
    [
        WITH.replace("output=1", "output=2"),
        WITH.replace("output=1&", ""),
        WITH + "&output=1",
        "output=2&" + WITH,
        WITH + "&path=x",
        WITH.replace("output=1", "output=01"),
        WITH.replace("output=1", "Output=1"),
        QUERY + "&output=1",
        QUERY + "&x",
        QUERY + "&",
        QUERY + "&exp=9999999999",
        "exp=9999999999&" + QUERY,
        QUERY + "&" + QUERY.split("&")[1],
        QUERY.split("&")[0],
        QUERY.split("&")[1],
        "",
        "exp=&sig=",
        QUERY.replace("exp=1", "exp=01"),
        QUERY.replace("exp=1", "exp=%2B1"),
        QUERY.replace("exp=", "exp=-"),
        QUERY.replace("exp=1", "exp=\u0661"),
        QUERY.replace("exp=1", "exp=2"),
        QUERY.replace("sig=", "sig=%ff"),
        "&".join([QUERY, *("a=1",) * 200]),
    ],
)
def test_no_parameter_can_be_changed_added_left_out_or_doubled(query: str) -> None:
    assert not LINKS.verify(PATH, query)


def test_the_order_of_parameters_and_how_they_are_escaped_do_not_matter() -> None:
    query = LINKS(f"{PATH}?a=x%20y&b=", NOW + 60)
    assert LINKS.verify(PATH, f"b=&{query}&a=x+y")
    assert LINKS.verify(PATH, f"{query}&b=&%61=x%20y")
    assert not LINKS.verify(PATH, f"{query}&b=x+y&a=")


def test_it_closes_at_its_time() -> None:
    clock = [NOW]
    links = Links(b"k" * 32, lambda: clock[0])
    query = links(PATH, NOW + 10)
    clock[0] = NOW + 9
    assert links.verify(PATH, query)
    clock[0] = NOW + 10
    assert not links.verify(PATH, query)


def test_it_opens_nothing_for_a_server_with_another_key() -> None:
    assert not Links(b"l" * 32, lambda: NOW).verify(PATH, QUERY)


@pytest.mark.parametrize("query", ["exp=5", "sig=a", "a=1&a=2", "a"])
def test_an_address_whose_query_could_be_read_two_ways_is_not_signed(query: str) -> None:
    with pytest.raises(ValueError, match=query):
        LINKS(f"{PATH}?{query}", NOW + 60)


@given(place=st.integers(0, len(WITH) - 1), char=st.sampled_from("0123456789abcdefxyz=&%+#\x00é"))
def test_whatever_one_character_is_changed_to_it_opens_nothing_else(place: int, char: str) -> None:
    changed = WITH[:place] + char + WITH[place + 1 :]
    if LINKS.verify(PATH, changed):
        assert sorted(parse_qsl(changed)) == sorted(parse_qsl(WITH))


def test_neither_its_repr_nor_what_it_refuses_shows_the_key() -> None:
    assert "kkkk" not in repr(LINKS)


# --- at the server's front


def test_a_signed_address_reads_the_one_file_it_names() -> None:
    gate = Gate(NOW)
    address = gate.sign("/p/files/j1/out.txt?output=1")
    assert gate.ask("GET", address).text == "content"
    assert gate.ask("HEAD", address).status_code == 200
    assert [type(request.operation) for request in gate.requests] == [Read, Read]
    assert gate.requests[0].operation == Read(job=JobName(BatchId(1), JobId(1)), path="out.txt")


@pytest.mark.parametrize(
    ("change", "into"),
    [("output=1", "output=2"), ("out.txt", "in.txt"), ("j1", "j2"), ("?", "?path=x&"), ("?", "?output=2&")],
)
def test_a_changed_address_is_refused_at_the_front(change: str, into: str) -> None:
    gate = Gate(NOW)
    answer = gate.ask("GET", gate.sign("/p/files/j1/out.txt?output=1").replace(change, into, 1))
    assert answer.status_code == 401
    assert gate.requests == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_signed_address_permits_no_other_method(method: str) -> None:
    gate = Gate(NOW)
    assert gate.ask(method, gate.sign("/p/files/j1/out.txt")).status_code in (401, 405)
    assert gate.ask("POST", gate.sign("/p/echo")).status_code == 401
    assert gate.requests == []


@pytest.mark.parametrize("path", ["/p/me", "/p/jobs/j1"])
def test_a_signed_address_of_something_that_is_no_file_permits_nothing(path: str) -> None:
    gate = Gate(NOW)
    assert gate.ask("GET", gate.sign(path)).status_code == 403
    assert gate.requests == []
