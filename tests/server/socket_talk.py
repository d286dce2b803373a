"""The real server on a real socket, and clients that write bytes of their own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from front_fakes import World

from jobgate.server.asgi import serve

PATIENCE = 60.0
"""Seconds until a test has failed: under uvloop nobody else can stop it."""
Talk = Callable[[str, int], Awaitable[Any]]


def served(world: World, talk: Talk, *, told: list[str] | None = None, **options: Any) -> Any:
    """What `talk` returns, with the front served beside it; the server has ended when it does.

    `told` gets the address as the server tells it.
    """

    async def work() -> Any:
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        server = asyncio.create_task(
            serve(world.front, host="127.0.0.1", port=0, ready=url.set_result, stop=stop, **options)
        )
        if told is not None:
            told.append(await url)
        host, _, port = (await url).partition("://")[2].partition(":")
        try:
            async with asyncio.timeout(PATIENCE):
                return await talk(host, int(port))
        finally:
            stop.set()
            await server

    return uvloop.run(work())


async def said(host: str, port: int, *pieces: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """All that comes back until the server ends the connection."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


def head(line: bytes, *more: bytes) -> bytes:
    """A request's head, with a key that holds."""
    return b"\r\n".join([line, b"Host: x", b"Authorization: Bearer user", *more, b"", b""])


def one(world: World, *pieces: bytes) -> bytes:
    """What one connection hears that says `pieces`."""

    async def talk(host: str, port: int) -> bytes:
        return await said(host, port, *pieces)

    answer: bytes = served(world, talk)
    return answer
