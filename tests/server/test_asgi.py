from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from front_fakes import KEY, Plain, World
from socket_talk import head, one, said, served
from starlette import types

from jobgate.model.operations import Request
from jobgate.model.outcomes import Outcome
from jobgate.server.asgi import build, serve
from jobgate.server.protocol import HEAD_LIMIT
from jobgate.server.table import Mount

# --- the server's own pages


def test_healthz_is_always_open_and_readyz_says_why_not() -> None:
    world = World()
    assert world.ask("GET", "/readyz", client="192.0.2.1").status_code == 200
    world.reason = "the storage is full"
    answer = world.ask("GET", "/readyz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "the storage is full")
    assert world.ask("GET", "/healthz").status_code == 200


def test_the_index_names_the_dialects_unless_one_owns_the_root() -> None:
    assert World().ask("GET", "/").json()["dialects"] == [{"name": "plain", "prefix": "/p/"}]
    root = World(Mount("", Plain("root")))
    assert root.ask("GET", "/").json()["dialect"] == "root"
    assert root.ask("GET", "/healthz").json() == {"status": "ok"}


def test_what_nobody_owns_is_a_problem_document() -> None:
    answer = World().ask("GET", "/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    refused = World().ask("POST", "/healthz")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_metrics_are_for_this_host_and_for_operators() -> None:
    world = World()
    world.ask("POST", "/p/echo", headers=KEY)
    text = world.ask("GET", "/metrics").text
    assert 'dialect="plain",status="200",verb="echo"' in text
    away = {"client": "192.0.2.1"}
    assert world.ask("GET", "/metrics", **away).status_code == 401
    assert world.ask("GET", "/metrics", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 401
    assert world.ask("GET", "/metrics", headers=KEY, **away).status_code == 403
    assert world.ask("GET", "/metrics", headers={"authorization": "Bearer operator"}, **away).status_code == 200


def test_metrics_tell_how_many_requests_are_being_answered() -> None:
    text = World().ask("GET", "/metrics").text
    assert "jobgate_requests_in_flight 1.0" in text  # the one that asks


# --- over a real socket


def test_port_0_is_a_free_one_and_the_answer_has_a_date_and_no_server() -> None:
    answer = one(World(), head(b"GET /p/me HTTP/1.1", b"Connection: close")).lower()
    assert answer.startswith(b"http/1.1 200")
    assert b"\r\ndate: " in answer
    assert b"\r\nserver: " not in answer


def test_a_refused_body_does_not_cost_its_sender_the_answer() -> None:
    body = b"x" * 3_000_000
    answer = one(World(), head(b"POST /p/echo HTTP/1.1", b"Content-Length: %d" % len(body)), body)
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.endswith(b"}")


def test_a_small_unwanted_body_keeps_the_connection() -> None:
    lost = head(b"POST /p/no HTTP/1.1", b"Content-Length: 3") + b"abc"
    answer = one(World(), lost, head(b"GET /p/me HTTP/1.1", b"Connection: close"))
    assert (answer.count(b"HTTP/1.1 404"), answer.count(b"HTTP/1.1 200")) == (1, 1)


def test_who_waits_for_100_hears_the_refusal_instead() -> None:
    expect = head(b"POST /p/upload HTTP/1.1", b"Content-Length: 99999999", b"Expect: 100-continue")
    answer = one(World(), expect)
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_head_without_end_is_refused() -> None:
    async def talk(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /p/me HTTP/1.1\r\nX: ")
        try:
            for _ in range(64):
                writer.write(b"x" * HEAD_LIMIT)
                await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b"reset"
        finally:
            writer.close()

    answer = served(World(), talk)
    assert answer == b"reset" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobgate.server.protocol.HEAD_SECONDS", 0.01)
    assert one(World(), b"GET /p/me HT") == b""


@pytest.mark.parametrize(
    "bad", [b"Content-Length: -5", b"Content-Length: 1x", b"Content-Length: 1\r\nContent-Length: 2"]
)
def test_a_wrong_content_length_is_refused(bad: bytes) -> None:
    assert one(World(), head(b"POST /p/echo HTTP/1.1", bad)).startswith(b"HTTP/1.1 400")


def test_bytes_that_no_url_has_are_refused() -> None:
    assert one(World(), head(b"GET /p/\xff HTTP/1.1")).startswith(b"HTTP/1.1 400")


def test_chunks_over_the_limit_are_refused() -> None:
    answer = one(World(), head(b"POST /p/echo HTTP/1.1", b"Transfer-Encoding: chunked"), b"200\r\n" + b"x" * 512)
    assert answer.startswith(b"HTTP/1.1 413")


def test_at_the_end_waiting_answers_are_let_go_and_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    async def work() -> bytes:
        inside, released, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
        plain = world._handle  # noqa: SLF001  # the answer it would have given at once

        async def wait(request: Request) -> Outcome:
            inside.set()
            await released.wait()
            return await plain(request)

        monkeypatch.setattr(world.front, "_handle", wait)
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(
            serve(world.front, host="127.0.0.1", port=0, ready=url.set_result, stop=stop, release=released.set)
        )
        port = int((await url).rpartition(":")[2])
        asking = asyncio.create_task(said("127.0.0.1", port, head(b"POST /p/wait HTTP/1.1", b"Content-Length: 0")))
        await inside.wait()
        stop.set()
        answer = await asking
        await server
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", port)
        return answer

    assert asyncio.run(work()).startswith(b"HTTP/1.1 200")


def test_the_lifespan_is_entered_and_left() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        steps.append("in")
        yield
        steps.append("out")

    said_by_server = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> types.Message:
        return next(said_by_server)

    async def send(message: types.Message) -> None:
        steps.append(message["type"])

    asyncio.run(build(World().front, lifespan=life)({"type": "lifespan"}, receive, send))  # type: ignore[arg-type]  # a scope of one key is all it reads
    assert steps == ["in", "lifespan.startup.complete", "out", "lifespan.shutdown.complete"]
