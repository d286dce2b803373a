"""One request and its answer on the wire's side: what was taken in, what goes out, and how the connection goes on."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from time import perf_counter
from typing import Final

import msgspec
from starlette import types

from jobgate.dialects.dialect import Reply
from jobgate.server.body import Disconnected, SlowBody

LINGER: Final = 2.0
"""Seconds in which a body nobody wants is still taken in, so that its sender hears the answer before the end."""

PACE: Final = 16 << 10
"""Bytes that earn a body one more second."""

SMALL: Final = 64 << 10
"""Bytes of an unwanted body that are read so that the connection can go on."""


class Seen(msgspec.Struct):
    """What the access log and the numbers will say of one request: never a raw path, a query, a header or a body."""

    method: str
    id: str = msgspec.field(default_factory=lambda: secrets.token_hex(8))
    began: float = msgspec.field(default_factory=perf_counter)
    dialect: str = "-"
    verb: str = "-"
    account: str = ""
    status: int = 0
    """0 until the answer has begun."""
    sent: int = 0
    """Bytes of the answer's body."""


class Exchange:
    """One request and its answer, on the wire's side."""

    __slots__ = (
        "_receive",
        "_seconds",
        "_send",
        "_waited",
        "done",
        "got",
        "headers",
        "method",
        "query",
        "scope",
        "seen",
    )

    def __init__(self, scope: types.Scope, receive: types.Receive, send: types.Send, seconds: float) -> None:
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = raw.decode("latin-1")
            text = value.decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        self.scope = scope
        self.headers = headers
        self.method: str = scope["method"]
        self.seen = Seen(self.method)
        self.query: bytes = scope["query_string"]
        self.done = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        """Whether the whole body was taken in."""
        self.got = 0
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._waited = 0.0

    async def receive(self) -> types.Message:
        """The next that the client says. Raises SlowBody when the body, taken together, comes slower than PACE."""
        began = perf_counter()
        message = await self._receive()
        self.done = message["type"] == "http.disconnect" or not message.get("more_body", False)
        self.got += len(message.get("body", b""))
        self._waited += perf_counter() - began
        if not self.done and self._waited > self._seconds + self.got / PACE:
            raise SlowBody("the body took too long; send it again, faster")
        return message

    async def _drop(self, seconds: float) -> None:
        """Reads what still comes, for that time at most; a client that hears a reset may lose its answer."""
        try:
            async with asyncio.timeout(seconds):
                while not self.done:
                    await self.receive()
        except (TimeoutError, SlowBody):
            return

    async def _drop_small(self) -> None:
        """Reads a short announced rest, so that the connection can be used again."""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and len(length) <= len(str(SMALL)) and int(length) <= SMALL:
            await self._drop(1.0)

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Sends status and headers; announces the end of the connection when the body was not taken in."""
        headers.append((b"request-id", self.seen.id.encode()))
        if not self.done:
            await self._drop_small()
            if not self.done:
                headers.append((b"connection", b"close"))
        self.seen.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, content: bytes) -> None:
        """Sends a piece, with more to follow."""
        self.seen.sent += len(content)
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end(self, content: bytes = b"") -> None:
        """Sends the last piece."""
        if not self.done:
            await self.write(content)
            if "expect" not in self.headers or self.got:  # otherwise the sender waits for our word, or gives up
                await self._drop(LINGER)
            content = b""
        self.seen.sent += len(content)
        await self._send({"type": "http.response.body", "body": content})

    async def say(self, reply: Reply, extra: Mapping[str, str] | None = None) -> None:
        """Sends a reply whose body is bytes."""
        content = reply.body if isinstance(reply.body, bytes) else b""
        headers = {
            "content-type": reply.media,
            "content-length": str(len(content)),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }
        if reply.status in (204, 304):  # RFC 9110: it has neither, or those of what it does not send
            del headers["content-type"], headers["content-length"]
        if reply.headers or extra:
            headers.update(extra or {})
            headers.update(lower(reply.headers))
        await self.start(reply.status, wire(headers))
        await self.end(b"" if self.method == "HEAD" else content)

    async def stream(self, status: int, headers: list[tuple[bytes, bytes]], pieces: AsyncIterator[bytes]) -> None:
        """Sends pieces as they come, until the client has gone. What opening them raises comes before anything is sent.

        Raises Disconnected, too when one piece is not taken in the time that a body may need.
        """
        try:
            first = await anext(pieces, b"")
            await self.start(status, headers)
            await self._relay(first, pieces)
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
        await self.end()

    async def _relay(self, first: bytes, pieces: AsyncIterator[bytes]) -> None:
        watch = asyncio.create_task(self._gone())  # ends with this call
        try:
            await self._push(first)
            async for piece in pieces:
                if watch.done():
                    raise Disconnected
                await self._push(piece)
        finally:
            watch.cancel()
            await asyncio.wait((watch,))

    async def _push(self, piece: bytes) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self.write(piece)
        except TimeoutError as error:
            raise Disconnected from error


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    """The same, names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def wire(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
