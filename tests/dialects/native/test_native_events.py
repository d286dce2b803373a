"""Events on the wire: what is asked, and how pages and streams word it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st
from native_examples import BATCH, JOB, setup

from jobgate.dialects.dialect import Call, Reply, Stream
from jobgate.dialects.native.routes import Native
from jobgate.model.errors import Gone, Invalid, NotFound
from jobgate.model.ids import EnvironmentName, batch_id, job_name
from jobgate.model.operations import Follow, Until
from jobgate.model.outcomes import End, Following, News, Page
from jobgate.model.state import Failure, JobState, Limit
from jobgate.model.told import Kind, Told
from jobgate.testing.outcomes import NOW

NATIVE = Native(setup())
STREAM = {"accept": "text/event-stream"}


def call(verb: str = "events", path: dict[str, str] | None = None, **more: Any) -> Call:
    return Call(verb=verb, method="GET", path=path or {}, now=NOW, **more)


def asked(one: Call) -> Follow:
    operation = NATIVE.decode(one).operation
    assert isinstance(operation, Follow)
    return operation


def content(reply: Reply) -> Any:
    assert isinstance(reply.body, bytes)
    return msgspec.json.decode(reply.body)


async def none() -> AsyncIterator[News]:
    yield News()


def worded(*items: News | End) -> bytes:
    reply = NATIVE.encode(call(), Following(items=none()))
    assert isinstance(reply.body, Stream)
    return b"".join(map(reply.body.encode, items))


def read(content: bytes) -> list[Any]:
    """As a client's own reader of such streams has it."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=content)
    return list(EventSource(answer).iter_sse())


def told(cursor: int = 9, event: str = "job.running", **more: Any) -> Told:
    return Told(cursor=cursor, event=event, at=NOW, batch=batch_id(BATCH), **more)


def test_without_a_word_a_page_is_of_the_account_its_jobs_and_batches_from_the_oldest_kept() -> None:
    assert asked(call()) == Follow(kinds=frozenset({Kind.JOB, Kind.BATCH}), after=None, limit=100)


def test_all_can_be_said_of_what_is_followed() -> None:
    pairs = (("kinds", "attempt,failure"), ("kinds", "batch"), ("after", "12"), ("limit", "7"), ("wait", "90"))
    ask = NATIVE.decode(call("batch-events", {"id": BATCH}, query=dict(pairs), pairs=pairs))
    kinds = frozenset({Kind.ATTEMPT, Kind.FAILURE, Kind.BATCH})
    assert ask.operation == Follow(batch=batch_id(BATCH), kinds=kinds, after=12, limit=7, within=60.0)
    assert asked(call("job-events", {"id": JOB})).job == job_name(JOB)
    assert asked(call(query={"job": JOB})).job == job_name(JOB)
    assert asked(call(query={"batch": BATCH})).batch == batch_id(BATCH)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"kinds": "jobs"}, "kinds"),
        ({"after": "-1"}, "after"),
        ({"after": "x"}, "after"),
        ({"after": str(1 << 63)}, "after"),
        ({"limit": "0"}, "limit"),
        ({"batch": BATCH, "job": JOB}, "job"),
        ({"follow": "1"}, "follow"),
    ],
)
def test_a_wrong_parameter_is_named(query: dict[str, str], parameter: str) -> None:
    with pytest.raises(Invalid) as error:
        NATIVE.decode(call(query=query))
    assert content(NATIVE.refuse(call(), error.value))["errors"][0]["parameter"] == parameter


def test_an_unknown_name_is_not_found() -> None:
    for unknown in (call(query={"batch": "x"}), call(query={"job": "x"}), call("job-events", {"id": "x"})):
        with pytest.raises(NotFound):
            NATIVE.decode(unknown)


def test_what_a_stream_was_told_last_wins_over_its_address() -> None:
    begun = call(headers=STREAM, query={"after": "3"})
    assert (asked(begun).live, asked(begun).after) == (True, 3)
    again = call(headers={**STREAM, "last-event-id": "17"}, query={"after": "3"})
    assert asked(again).after == 17
    page = call(headers={"last-event-id": "17"}, query={"after": "3"})
    assert (asked(page).live, asked(page).after) == (False, 3)
    assert asked(call(headers=STREAM)).after is None


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "٣", "9" * 30])
def test_a_last_event_id_that_is_no_cursor_is_refused(last: str) -> None:
    with pytest.raises(Invalid):
        NATIVE.decode(call(headers={**STREAM, "last-event-id": last}))


def test_a_page_names_the_next_with_all_that_was_asked() -> None:
    pairs = (("kinds", "job"), ("after", "3"), ("wait", "5"), ("limit", "1"))
    first = call("batch-events", {"id": BATCH}, query=dict(pairs), pairs=pairs)
    reply = NATIVE.encode(first, Page(events=(told(9),), cursor=9, more=True))
    body = content(reply)
    assert body["next"] == f"/v1/batches/{BATCH}/events?kinds=job&limit=1&after=9"
    assert reply.headers["Link"] == f'<{body["next"]}>; rel="next"'
    last = content(NATIVE.encode(first, Page(events=(), cursor=11)))
    assert last == {"items": [], "cursor": 11, "next": None}


def test_an_event_shows_what_it_has_and_leaves_out_the_rest() -> None:
    job = job_name(JOB).job
    event = told(
        event="attempt.collecting",
        job=job,
        seq=5,
        attempt=2,
        environment=EnvironmentName("local"),
        exit_code=0,
        failure=Failure.LIMIT,
        limit=Limit.DISK,
        message="full",
    )
    reply = NATIVE.encode(call(), Page(events=(event,), cursor=9))
    (shown,) = content(reply)["items"]
    assert shown == {
        "cursor": 9,
        "event": "attempt.collecting",
        "at": "2025-10-09T08:53:20.000Z",
        "batch": BATCH,
        "job": JOB,
        "seq": 5,
        "attempt": f"{JOB}-2",
        "environment": "local",
        "exit_code": 0,
        "failure": "limit",
        "limit": "disk",
        "message": "full",
    }


def test_a_beat_is_no_event_and_the_end_is_one_that_bears_the_cursor() -> None:
    stream = worded(News(), News((told(8),)), News(), News((told(9), told(10))), News(), End(21))
    assert stream.startswith(b": jobgate\nretry: 2000\n: still here\n")
    assert [(event.id, event.event) for event in read(stream)] == [
        ("8", "job.running"),
        ("9", "job.running"),
        ("10", "job.running"),
        ("21", "end"),
    ]


@given(message=st.text(max_size=40), state=st.sampled_from(JobState))
def test_no_text_of_a_stranger_breaks_an_event(message: str, state: JobState) -> None:
    stream = worded(News(), News((told(8, "job.failed", message=message, state=state), told(9))), End(9))
    assert len(stream.decode().splitlines()) == stream.count(b"\n")
    events = read(stream)
    assert [event.id for event in events] == ["8", "9", "9"]
    assert msgspec.json.decode(events[0].data).get("message", "") == message


def test_after_the_end_there_is_no_content() -> None:
    reply = NATIVE.encode(call(headers=STREAM), Following(items=None))
    assert (reply.status, reply.body) == (204, b"")


def test_a_cursor_that_is_too_old_is_told_where_to_go_on() -> None:
    error = Gone("they were kept for their time")
    error.oldest = 41
    reply = NATIVE.refuse(call(), error)
    body = content(reply)
    assert (reply.status, body["code"], body["oldest"]) == (410, "gone", 41)
    assert "after=41" in body["next"]


@pytest.mark.parametrize(("verb", "ident"), [("job", JOB), ("batch", BATCH)])
def test_who_has_a_version_waits_for_another_and_who_has_none_for_the_end(verb: str, ident: str) -> None:
    ask = NATIVE.decode(call(verb, {"id": ident}, query={"wait": "5"}))
    assert (ask.until, ask.within) == (Until.ENDED, 5.0)
    for tags, seen in (('"7"', (7,)), ('W/"12", "9"', (9, 12)), ('"a,7", x', ())):
        ask = NATIVE.decode(call(verb, {"id": ident}, query={"wait": "5"}, headers={"if-none-match": tags}))
        assert (ask.until, ask.within, ask.seen) == (Until.CHANGED, 5.0, seen)
    assert NATIVE.decode(call(verb, {"id": ident}, headers={"if-none-match": "*"})).until is Until.ENDED
