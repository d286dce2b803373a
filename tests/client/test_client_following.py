"""Logs and events through connections that break: every byte and every event once, in order, to the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest
from client_fake import FakeGateway, problem
from hypothesis import given
from hypothesis import strategies as st

import jobgate
from jobgate.client import line as lines


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway(at_once=False)


@pytest.fixture
def client(fake: FakeGateway) -> Iterator[jobgate.Client]:
    with jobgate.Client("http://fake", "key", transport=fake.transport) as made:
        yield made


@given(content=st.text(st.characters(codec="utf-8"), max_size=40), breaks=st.lists(st.integers(1, 9), max_size=6))
def test_a_followed_log_is_whole_wherever_the_connection_breaks(content: str, breaks: list[int]) -> None:
    fake = FakeGateway(at_once=False)
    with (
        pytest.MonkeyPatch.context() as patch,
        jobgate.Client("http://fake", "key", transport=fake.transport) as client,
    ):
        patch.setattr(lines, "REST", 0.0)
        job = client.submit(["run"])
        fake.say(lambda: (fake.write(job.id, content.encode()), fake.end(job.id)))
        fake.breaks = breaks
        found = list(job.logs(follow=True))
    assert "".join(found) == content
    assert all("\n" not in line[:-1] for line in found)


def test_a_log_is_told_as_it_grows_and_ends_with_the_job(fake: FakeGateway, client: jobgate.Client) -> None:
    job = client.submit(["run"])
    fake.say(lambda: fake.write(job.id, b"one\n"))
    seen = []
    for line in job.logs(follow=True):
        seen.append(line)
        if line == "one\n":
            fake.say(lambda: fake.write(job.id, b"two\n"))
        else:
            fake.say(lambda: fake.end(job.id))
    assert seen == ["one\n", "two\n"]


def test_a_stream_that_ends_before_the_job_does_is_no_end(fake: FakeGateway, client: jobgate.Client) -> None:
    job = client.submit(["run"])
    fake.say(lambda: fake.write(job.id, b"one\n"))
    fake.trouble = [httpx.Response(200, content=b"o", headers={"Log-Offset": "0"}), None]
    told = iter(job.logs(follow=True))
    assert next(told) == "one\n"
    fake.say(lambda: (fake.write(job.id, b"two"), fake.end(job.id)))
    assert list(told) == ["two"]


def test_the_last_lines_of_a_log_are_followed_from_where_they_begin(fake: FakeGateway, client: jobgate.Client) -> None:
    job = client.submit(["run"])
    fake.say(lambda: fake.write(job.id, b"1\n2\n3\n4\n"))
    fake.breaks = [1, 1]
    told = iter(job.logs(follow=True, tail=2))
    assert [next(told), next(told)] == ["3\n", "4\n"]
    fake.say(lambda: fake.end(job.id))
    assert list(told) == []
    assert str(job.logs(tail=1)) == "4\n"
    assert job.logs(tail=1)._repr_html_() == "<pre>4\n</pre>"


def test_a_log_that_breaks_again_and_again_without_a_byte_is_an_error(
    fake: FakeGateway, client: jobgate.Client
) -> None:
    job = client.submit(["run"])
    fake.say(lambda: fake.write(job.id, b"one\n"))
    fake.breaks = [0] * 100
    with pytest.raises(jobgate.Unreachable, match="not read to its end"):
        str(job.logs())


@pytest.mark.parametrize("breaks", [[], [0, 0, 1, 2], [1] * 30])
def test_events_come_once_and_in_order_through_breaks_and_end_with_the_batch(
    fake: FakeGateway, client: jobgate.Client, breaks: list[int]
) -> None:
    batch = client.sweep(["run"], 5)
    fake.say(lambda: [fake.end(f"{batch.id}-{number}") for number in range(1, 6)])
    fake.breaks = breaks
    found = list(batch.events())
    assert [event.cursor for event in found] == list(range(1, 11))
    assert [event.kind for event in found] == ["job", "batch"] * 5
    assert found == list(batch.events(follow=False))
    assert [event.cursor for event in batch.events(after=4, kinds=["job"])] == [5, 7, 9]


def test_a_reconnect_after_the_end_ends(fake: FakeGateway, client: jobgate.Client) -> None:
    batch = client.sweep(["run"], 1)
    fake.trouble = [httpx.Response(204)]
    assert list(batch.events()) == []


def test_a_cursor_that_is_gone_says_where_to_go_on_and_zero_goes_on_by_itself(
    fake: FakeGateway, client: jobgate.Client
) -> None:
    batch = client.sweep(["run"], 3)
    fake.say(lambda: [fake.end(f"{batch.id}-{number}") for number in range(1, 4)])
    fake.trouble = [problem(410, "gone", "older than what is kept", oldest=4)]
    with pytest.raises(jobgate.Gone) as caught:
        list(client.events(batch=batch.id, after=2))
    assert caught.value.oldest == 4
    fake.trouble = [problem(410, "gone", "older than what is kept", oldest=4)]
    assert [event.cursor for event in client.events(batch=batch.id, after=0)] == [5, 6]


def test_events_are_followed_in_asyncio_and_left_at_will(fake: FakeGateway) -> None:
    async def main() -> list[int]:
        async with jobgate.AsyncClient("http://fake", "key", transport=fake.transport) as client:
            batch = await client.sweep(["run"], 3)
            fake.end(f"{batch.id}-1")
            seen = []
            async for event in client.events(batch=batch.id, after=0):
                seen.append(event.cursor)
                if len(seen) == 2:
                    fake.end(f"{batch.id}-2")
                if len(seen) == 4:
                    break
            return seen

    assert asyncio.run(main()) == [1, 2, 3, 4]


def test_two_threads_use_one_client(fake: FakeGateway, client: jobgate.Client) -> None:
    fake.at_once = True
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(client.submit(["true"]).id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8
