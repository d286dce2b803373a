from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from front_fakes import KEY, World, drive, scope
from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.errors import Unsatisfiable
from jobgate.model.files import Artifact
from jobgate.model.ids import Digest
from jobgate.server.files import answer

CONTENT = b"0123456789"
URL = "/p/files/j1/out.txt"


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    ("asked", "status", "content", "named"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, CONTENT, "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=5-2", 200, CONTENT, None),
        ("bytes=99-98", 200, CONTENT, None),
        ("bytes=" + "9" * 5000 + "-1", 200, CONTENT, None),
        ("bytes=002-3", 206, b"23", "bytes 2-3/10"),
        ("bytes=-", 200, CONTENT, None),
        ("Bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=0-1,4-5", 200, CONTENT, None),
        ("lines=0-3", 200, CONTENT, None),
        ("bytes=a-b", 200, CONTENT, None),
        (None, 200, CONTENT, None),
    ],
)
def test_a_range(*, inline: bool, asked: str | None, status: int, content: bytes, named: str | None) -> None:
    world = World()
    world.keep(CONTENT, inline=inline)
    got = world.ask("GET", URL, headers=KEY | ({"range": asked} if asked else {}))
    assert (got.status_code, got.content, got.headers.get("content-range")) == (status, content, named)
    assert got.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_behind_the_end_is_refused_in_the_dialects_words(asked: str) -> None:
    world = World()
    world.keep(CONTENT)
    got = world.ask("GET", URL, headers=KEY | {"range": asked})
    assert (got.status_code, got.json()["code"]) == (416, "range")
    with pytest.raises(Unsatisfiable) as caught:
        answer(Artifact("f", Digest("a" * 64), 10), "f", {"range": asked})
    assert caught.value.size == 10


def test_a_file_is_a_download_that_no_browser_runs() -> None:
    world = World()
    artifact = world.keep(CONTENT)
    headers = world.ask("GET", URL, headers=KEY).headers
    assert headers["etag"] == f'"{artifact.digest}"'
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-disposition"].startswith('attachment; filename="out.txt"')
    assert headers["content-security-policy"] == "sandbox"
    assert headers.get_list("x-content-type-options") == ["nosniff"]


def test_head_of_a_file_has_its_length_and_reads_nothing() -> None:
    world = World()
    world.keep(CONTENT)
    got = world.ask("HEAD", URL, headers=KEY | {"range": "bytes=0-1"})
    assert (got.status_code, got.headers["content-length"], got.content, world.memory.opened) == (200, "10", b"", 0)


def test_a_known_file_is_not_sent_again() -> None:
    world = World()
    tag = f'"{world.keep(CONTENT).digest}"'
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        got = world.ask("GET", URL, headers=KEY | {"if-none-match": known})
        assert (got.status_code, got.content, got.headers["etag"]) == (304, b"", tag)
    assert world.ask("GET", URL, headers=KEY | {"if-none-match": '"other"'}).status_code == 200


def test_a_range_of_another_version_is_the_whole_file() -> None:
    world = World()
    tag = f'"{world.keep(CONTENT).digest}"'
    asked = KEY | {"range": "bytes=0-1"}
    assert world.ask("GET", URL, headers=asked | {"if-range": tag}).status_code == 206
    for other in ('"other"', f"W/{tag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert world.ask("GET", URL, headers=asked | {"if-range": other}).content == CONTENT


def test_a_file_that_is_gone_is_refused_in_the_dialects_words() -> None:
    world = World()
    world.keep(CONTENT)
    world.memory.blobs.clear()
    got = world.ask("GET", URL, headers=KEY)
    assert (got.status_code, got.json()["code"]) == (404, "file-not-found")


def test_a_client_gone_in_the_middle_ends_the_stream_and_closes_the_file() -> None:
    world = World()
    world.keep(CONTENT)
    closed = asyncio.Event()
    yielded = 0

    async def pieces(*_: Any) -> AsyncIterator[bytes]:
        nonlocal yielded
        try:
            for _i in range(1000):
                yielded += 1
                yield b"x"
                await asyncio.sleep(0)  # the disconnect is heard between two pieces
        finally:
            closed.set()

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def work() -> list[Any]:
        world.memory.open = pieces  # type: ignore[method-assign, assignment]  # a file of a thousand pieces
        return await drive(world, scope(URL, "GET"), receive)

    sent = asyncio.run(work())
    assert closed.is_set()
    assert yielded < 5
    assert all(message.get("more_body", True) for message in sent)


@given(name=st.text(max_size=40).filter(lambda s: s.isprintable()))
def test_no_name_leaves_its_quotes(name: str) -> None:
    world = World()
    world.keep(CONTENT, path=name)
    text = world.ask("GET", URL, headers=KEY).headers["content-disposition"]
    assert text.isascii()
    assert text.count('"') == 2


_NUMBER = st.one_of(st.just(""), st.integers(0, 30).map(str), st.text("0123456789", max_size=40))


@given(
    size=st.integers(0, 20),
    asked=st.one_of(st.text(max_size=20), st.tuples(_NUMBER, _NUMBER).map(lambda t: f"bytes={t[0]}-{t[1]}")),
)
def test_whatever_is_asked_what_is_announced_is_what_is_sent(size: int, asked: str) -> None:
    try:
        got = answer(Artifact("f", Digest("a" * 64), size), "f", {"range": asked})
    except Unsatisfiable:
        return
    assert got.status in (200, 206)
    assert 0 <= got.offset <= got.offset + got.length <= size
    assert got.headers["content-length"] == str(got.length)
    if got.status == 206:
        last = got.offset + got.length - 1
        assert got.headers["content-range"] == f"bytes {got.offset}-{last}/{size}"
