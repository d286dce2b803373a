"""The only client this server uses towards addresses it was given by others.

Each hop: look the name up once, judge every address found, connect to exactly these, speak. No proxy, cookie or netrc
of the surroundings is looked at, and no connection is used twice.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

import httpcore
import msgspec

from jobgate.model.errors import FetchError, Invalid
from jobgate.net.addresses import Address, judge, networks
from jobgate.net.blocking import blocking
from jobgate.net.target import Target, parse
from jobgate.net.wire import Pinned, Place, Resolve, packed, system_names, timely, translated, unpacked, within

_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_REPEATED: Final = frozenset({307, 308})
"""Redirects that ask for the same method and body again."""
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that can be another at the next try."""
_LONGEST_PAUSE: Final = 24 * 3600.0
_WHOLE: Final = frozenset({200, 201, 202, 203, 204})
_FRAMING: Final = frozenset({b"transfer-encoding", b"content-length", b"upgrade", b"te", b"trailer", b"expect"})
_BLOCK: Final = 1024 * 1024
_HIGHEST_PORT: Final = 65535
_PLACE: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?")


class EgressSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration's `[egress]`. Raises Invalid for a network or an address that is none."""

    allow: tuple[str, ...] = ()
    """Networks reached although they are not public, such as `10.1.0.0/16`."""
    hosts: Mapping[str, str] = {}
    """Name to `address` or `address:port`: connected to as it stands, whatever network it is in."""
    max_redirects: int = 5
    connect_timeout: float = 5.0
    """Seconds for a connection to each address of a name."""
    stall_timeout: float = 30.0
    """Seconds without a byte."""
    timeout: float = 300.0
    """Seconds for the whole, where the caller does not say."""
    user_agent: str = "jobgate"
    ca_file: str = ""
    """Certificates of authorities trusted besides the system's."""

    def __post_init__(self) -> None:
        networks(self.allow)
        for place in self.hosts.values():
            _place(place)


class Answer:
    """The content of a fetched address: read it once, with `async for`."""

    def __init__(self, url: str, size: int | None, content: AsyncIterator[bytes]) -> None:
        self.url = url
        """The address that answered in the end, without userinfo and query."""
        self.size = size
        """Bytes that were announced; None where nothing was, or where the content came packed."""
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._content


class Reply(NamedTuple):
    """What came back on a POST."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; repeated ones joined by commas."""
    body: bytes
    """At most `limit` bytes of it; what is beyond is not read."""


class Egress:
    """Fetches and posts. Lets out no error but FetchError, whose code is one of these.

    `scheme`, `name`, `address-refused`, `connect`, `timeout`, `redirects`, `http-status`, `too-large`, `mismatch`.
    Messages show neither userinfo nor query, and of a POST's address only the host. `retryable` tells whether another
    try can help.
    """

    def __init__(self, settings: EgressSettings | None = None, *, resolve: Resolve | None = None) -> None:
        self._settings = settings or EgressSettings()
        self._allowed = networks(self._settings.allow)
        self._hosts = {name.lower().removesuffix("."): _place(to) for name, to in self._settings.hosts.items()}
        self._threads = ThreadPoolExecutor(8, "jobgate-names")
        self._resolve = resolve or system_names(self._threads)
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        """Waits for nothing; look-ups under way are left to end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def fetch(
        self, url: str, *, limit: int, timeout: float | None = None, basic: str | None = None
    ) -> AbstractAsyncContextManager[Answer]:
        """The content at `url`, of at most `limit` bytes, all of it within `timeout` seconds from now.

        `basic` is `user:password`; without it the address's own userinfo is used. Neither follows a redirect to another
        host. Raises FetchError, also while the content is read.
        """
        return self._fetch(url, limit, timeout, basic)

    async def download(  # noqa: PLR0913  # each is a word of the caller's
        self,
        url: str,
        target: Path | int,
        *,
        limit: int,
        timeout: float | None = None,
        size: int | None = None,
        sha256: str | None = None,
        md5: str | None = None,
        basic: str | None = None,
    ) -> tuple[int, str]:
        """Writes the content into a new file, or an open descriptor; its size and SHA-256.

        Raises FetchError, also (`mismatch`) where size or digest is not the stated one, and OSError where the file
        cannot be written; then there is no file.
        """
        opened = target if isinstance(target, int) else await blocking(lambda: _create(target))
        whole = False
        try:
            async with self.fetch(url, limit=limit, timeout=timeout, basic=basic) as answer:
                if size is not None and answer.size not in (None, size):
                    raise FetchError(f"{answer.url} has {answer.size} bytes, not {size}", code="mismatch")
                found = await _save(answer, opened)
                _compare(answer.url, found, size, sha256, md5)
            whole = True
        finally:
            if not isinstance(target, int):
                os.close(opened)
                if not whole:
                    await blocking(partial(target.unlink, missing_ok=True))
        return found[0], found[1]

    async def post(  # noqa: PLR0913  # each is a word of the caller's
        self,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str] | None = None,
        basic: str | None = None,
        limit: int = 64 * 1024,
        timeout: float | None = None,
        redirects: int = 0,
    ) -> Reply:
        """Posts `content`; any status is an answer. At most `limit` bytes of its body are read; with 0 none is awaited.

        Follows at most `redirects` hops, of 307 and 308 only; any other is the answer itself. Another host gets no
        credentials, and no header but Content-Type. Raises FetchError where there is no answer, or a hop too many.
        """
        target = parse(url)
        extra = tuple((name.encode("latin-1", "replace"), value.encode()) for name, value in (headers or {}).items())
        asked = _Asked("POST", extra, target.basic if basic is None else basic, content)
        deadline = self._deadline(timeout)
        async with self._hops(target, asked, deadline, redirects, _REPEATED if redirects else ()) as (final, response):
            spoken = _headers(response)
            if not limit:
                return Reply(response.status, spoken, b"")
            pieces = timely(response.aiter_stream(), deadline, final.origin)
            if packed(spoken.get("content-encoding", "")):
                pieces = unpacked(pieces, final.origin)
            body = bytearray()
            async with aclosing(pieces):
                async for piece in pieces:
                    body += piece[: limit - len(body)]
                    if len(body) >= limit:
                        break
        return Reply(response.status, spoken, bytes(body))

    @asynccontextmanager
    async def _fetch(self, url: str, limit: int, seconds: float | None, basic: str | None) -> AsyncGenerator[Answer]:
        target = parse(url)
        asked = _Asked("GET", (), target.basic if basic is None else basic, b"")
        deadline = self._deadline(seconds)
        hops = self._settings.max_redirects
        async with self._hops(target, asked, deadline, hops, _MOVED) as (final, response):
            spoken = _headers(response)
            encoding = spoken.get("content-encoding", "")
            _accept(final, response.status, spoken)
            announced = _length(spoken)
            if announced is not None and announced > limit:
                raise FetchError(f"{final.shown} has {announced} bytes; {limit} are allowed", code="too-large")
            pieces = within(timely(response.aiter_stream(), deadline, final.shown), limit, final.shown)
            if packed(encoding) and not final.names_packed:
                announced = None
                pieces = within(unpacked(pieces, final.shown), limit, final.shown)
            async with aclosing(pieces):
                yield Answer(final.shown, announced, pieces)

    def _deadline(self, seconds: float | None) -> float:
        return asyncio.get_running_loop().time() + (self._settings.timeout if seconds is None else seconds)

    @asynccontextmanager
    async def _hops(
        self, target: Target, asked: _Asked, deadline: float, redirects: int, followed: Container[int]
    ) -> AsyncGenerator[tuple[Target, httpcore.Response]]:
        """The first response that is not to be followed, and who gave it; closed at the end of the block."""
        for _ in range(redirects + 1):
            async with self._exchange(target, asked, deadline) as response:
                location = _headers(response).get("location")
                if response.status not in followed or location is None:
                    yield target, response
                    return
            following = target.join(location)
            asked = asked.onward(target, following)
            target = following
        raise FetchError(f"more than {redirects} redirects, the last to {target.origin}", code="redirects")

    @asynccontextmanager
    async def _exchange(self, target: Target, asked: _Asked, deadline: float) -> AsyncGenerator[httpcore.Response]:
        """One request on a connection of its own."""
        places = await self._places(target, deadline)
        scheme, host = target.scheme.encode(), target.host.encode()
        stall = self._settings.stall_timeout
        request = httpcore.Request(
            asked.method,
            httpcore.URL(scheme=scheme, host=host, port=target.port, target=target.path),
            headers=[*asked.headers(target), (b"User-Agent", self._settings.user_agent.encode())],
            content=asked.content,
            extensions={"timeout": {"connect": self._settings.connect_timeout, "read": stall, "write": stall}},
        )
        connection = httpcore.AsyncHTTPConnection(
            httpcore.Origin(scheme, host, target.port),
            ssl_context=self._trust() if target.scheme == "https" else None,
            network_backend=Pinned(places),
        )
        try:
            with translated(target.origin):
                async with asyncio.timeout_at(deadline):
                    response = await connection.handle_async_request(request)
            yield response
        finally:
            with suppress(httpcore.NetworkError, httpcore.TimeoutException, OSError):
                await connection.aclose()

    async def _places(self, target: Target, deadline: float) -> Sequence[Place]:
        """Where the target is: the operator's word for its name, or every address found, each one judged."""
        mapped = self._hosts.get(target.host)
        if mapped is not None:
            address, port = mapped
            return ((address, port or target.port),)
        found = (target.literal,) if target.literal is not None else await self._look_up(target.host, deadline)
        try:
            for address in found:
                judge(address, self._allowed)
        except FetchError as error:
            # Without the address found: what a name means inside is not the asker's to know.
            text = f"{target.host} is, or leads to, an address that this server does not reach"
            raise FetchError(text, code=error.code) from None
        return tuple((address, target.port) for address in found)

    async def _look_up(self, host: str, deadline: float) -> Sequence[Address]:
        try:
            async with asyncio.timeout_at(deadline):
                found = await self._resolve(host)
        except TimeoutError:
            raise FetchError(f"the name {host} was not found in time", code="timeout", retryable=True) from None
        except socket.gaierror as error:
            passing = error.errno == socket.EAI_AGAIN
            raise FetchError(f"the name {host} was not found", code="name", retryable=passing) from None
        except OSError:
            raise FetchError(f"the name {host} could not be looked up", code="name", retryable=True) from None
        if not found:
            raise FetchError(f"the name {host} has no address", code="name")
        return found

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            if self._settings.ca_file:
                self._tls.load_verify_locations(self._settings.ca_file)
        return self._tls


class _Asked(NamedTuple):
    """What is said at each hop."""

    method: str
    extra: tuple[tuple[bytes, bytes], ...]
    basic: str | None
    content: bytes

    def onward(self, here: Target, there: Target) -> _Asked:
        """The same towards the next hop: what was meant for this host alone stays here."""
        if here.trusts(there):
            return self._replace(basic=there.basic or self.basic)
        kept = tuple(header for header in self.extra if header[0].lower() == b"content-type")
        return self._replace(basic=there.basic, extra=kept)

    def headers(self, target: Target) -> list[tuple[bytes, bytes]]:
        """The request's headers; its own Host, framing and encodings win over the caller's."""
        own = [
            (b"Host", target.netloc.encode()),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
            (b"Connection", b"close"),
        ]
        if self.method == "POST":
            own.append((b"Content-Length", str(len(self.content)).encode()))
        if self.basic is not None:
            own.append((b"Authorization", b"Basic " + base64.b64encode(self.basic.encode())))
        taken = {name.lower() for name, _ in own} | _FRAMING
        taken.discard(b"accept")
        given = [header for header in self.extra if header[0].lower() not in taken]
        return [*own, *given]


def _accept(target: Target, status: int, headers: Mapping[str, str]) -> None:
    """Raises FetchError unless the answer is the whole content, in a form that can be read."""
    if status not in _WHOLE:
        pause = headers.get("retry-after", "")
        raise FetchError(
            f"{target.shown} answered {status}",
            code="http-status",
            retryable=status in _PASSING,
            retry_after=min(float(pause), _LONGEST_PAUSE) if pause.isascii() and pause.isdigit() else None,
        )
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity") and not packed(encoding) and not target.names_packed:
        raise FetchError(f"{target.shown} came in an encoding that was not asked for", code="mismatch")


def _headers(response: httpcore.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "replace")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _place(text: str) -> tuple[Address, int]:
    """`address`, `address:port` or `[address]:port`; port 0 where none is stated. Raises Invalid for anything else."""
    match = _PLACE.fullmatch(text)
    try:
        address = ip_address((match[1] or match[2]) if match else text)
        number = int(match[3] or 0) if match else 0
    except ValueError:
        raise Invalid(f"{text!r} is not an address, or an address and a port", field="hosts") from None
    if not 0 <= number <= _HIGHEST_PORT:
        raise Invalid(f"{text!r} has an impossible port", field="hosts")
    return address, number


def _create(target: Path) -> int:
    return os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


class _Found(NamedTuple):
    size: int
    sha256: str
    md5: str


async def _save(answer: Answer, descriptor: int) -> _Found:
    """Writes the content, and tells what it was; disk and digests have their own thread."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size = 0

    def write(block: bytes) -> None:
        sha256.update(block)
        md5.update(block)
        left = memoryview(block)
        while left:
            left = left[os.write(descriptor, left) :]

    block = bytearray()
    async for piece in answer:
        size += len(piece)
        block += piece
        if len(block) >= _BLOCK:
            full, block = bytes(block), bytearray()
            await blocking(partial(write, full))
    if block:
        await blocking(partial(write, bytes(block)))
    return _Found(size, sha256.hexdigest(), md5.hexdigest())


def _compare(shown: str, found: _Found, size: int | None, sha256: str | None, md5: str | None) -> None:
    """Raises FetchError (`mismatch`) where the content is not the stated one."""
    if size is not None and found.size != size:
        raise FetchError(f"{shown} has {found.size} bytes, not {size}", code="mismatch")
    if sha256 is not None and found.sha256 != sha256.lower():
        raise FetchError(f"{shown} has the SHA-256 {found.sha256}, not the stated one", code="mismatch")
    if md5 is not None and found.md5 != md5.lower():
        raise FetchError(f"{shown} has the MD5 {found.md5}, not the stated one", code="mismatch")
