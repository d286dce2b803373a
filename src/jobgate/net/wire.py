"""One exchange with one judged address: name look-up, the pinned connection, the content as meant."""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

import httpcore

from jobgate.model.errors import FetchError
from jobgate.net.addresses import Address

Resolve = Callable[[str], Awaitable[Sequence[Address]]]
Place = tuple[Address, int]
"""An address and a port."""

_PIECE: Final = 64 * 1024


def system_names(threads: ThreadPoolExecutor) -> Resolve:
    """The system's own look-up, in threads of its own: a hanging name server holds up nothing else."""

    async def resolve(host: str) -> Sequence[Address]:
        loop = asyncio.get_running_loop()
        # As bytes, so that Python's old IDNA codec has no say.
        found = await loop.run_in_executor(
            threads, lambda: socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
        )
        return tuple(dict.fromkeys(ip_address(str(sockaddr[0])) for *_, sockaddr in found))

    return resolve


class Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the judged places, whatever name the request bears."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._tcp = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The first place that answers; raises the last one's httpcore error."""
        del host, port
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError()
        for address, there in self._places:
            try:
                return await self._tcp.connect_tcp(str(address), there, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Turns whatever the lower libraries raise into a FetchError that names only `shown`."""
    try:
        yield
    except (TimeoutError, httpcore.TimeoutException):
        raise FetchError(f"{shown} did not answer in time", code="timeout", retryable=True) from None
    except httpcore.LocalProtocolError:
        raise FetchError(f"this request cannot be said to {shown}", code="connect") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            text = f"the certificate of {shown} does not hold: {error.__cause__.verify_message}"
            raise FetchError(text, code="connect") from None
        text = f"{shown} could not be reached, or broke the connection"
        raise FetchError(text, code="connect", retryable=True) from None


async def timely(stream: AsyncIterator[bytes], deadline: float, shown: str) -> AsyncGenerator[bytes]:
    """The pieces of a stream; raises FetchError where one comes after the deadline, or never."""
    while True:
        with translated(shown):
            async with asyncio.timeout_at(deadline):
                piece = await anext(stream, None)
        if piece is None:
            return
        yield piece


def packed(encoding: str) -> bool:
    """Whether it is an encoding that `unpacked` undoes."""
    return encoding.strip().lower() in ("gzip", "x-gzip", "deflate")


async def unpacked(stream: AsyncIterator[bytes], shown: str) -> AsyncGenerator[bytes]:
    """The content of a gzip or zlib stream in bounded pieces; raises FetchError (`mismatch`) where it is damaged."""
    both: Final = zlib.MAX_WBITS | 32  # gzip or zlib, by their first bytes
    decoder = zlib.decompressobj(both)
    started = False
    try:
        async for piece in stream:
            left = piece
            while left:
                if decoder.eof:  # one more member, as bgzip and pigz write them
                    decoder = zlib.decompressobj(both)
                content = decoder.decompress(left, _PIECE)
                started = True
                left = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
                if content:
                    yield content
        while started and not decoder.eof and (content := decoder.decompress(decoder.unconsumed_tail, _PIECE)):
            yield content
    except zlib.error:
        raise FetchError(f"what {shown} sent is damaged", code="mismatch", retryable=True) from None
    if started and not decoder.eof:
        raise FetchError(f"what {shown} sent is cut short", code="mismatch", retryable=True)


async def within(stream: AsyncIterator[bytes], limit: int, shown: str) -> AsyncGenerator[bytes]:
    """The pieces of a stream; raises FetchError (`too-large`) at the first byte beyond the limit."""
    seen = 0
    async for piece in stream:
        seen += len(piece)
        if seen > limit:
            raise FetchError(f"{shown} sends more than {limit} bytes", code="too-large")
        yield piece
