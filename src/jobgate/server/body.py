"""Reading a request's body: whole, or on its way to storage; never more than allowed, never longer than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol

from python_multipart.multipart import MultipartParser, parse_options_header

from jobgate.model.errors import Invalid, RequestError, TooLarge
from jobgate.model.files import Stored

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
_QUEUE: Final = 8


class Sink(Protocol):
    """The part of a storage that takes uploads."""

    async def put(self, source: AsyncIterator[bytes], *, limit: int | None) -> Stored:
        """See `Storage.put`."""
        ...


class Disconnected(Exception):
    """The client has gone."""


class SlowBody(RequestError):
    """The body did not come in time."""

    code = "timeout"


class Body:
    """One request's body, read at most once."""

    def __init__(self, receive: Receive, headers: Mapping[str, str], limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._length = headers.get("content-length", "")

    def check(self) -> None:
        """Raises TooLarge for an announced length over the limit, before anything is read."""
        if self._length.isdigit() and int(self._length) > self._limit:
            raise TooLarge(f"the body may have at most {self._limit} bytes", code="body-too-large")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises TooLarge, SlowBody, Disconnected."""
        got = 0
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    message = await self._receive()
            except TimeoutError:
                raise SlowBody(f"nothing more of the body came in {self._seconds:g} s") from None
            if message["type"] == "http.disconnect":
                raise Disconnected
            piece: bytes = message.get("body", b"")
            got += len(piece)
            if got > self._limit:
                raise TooLarge(f"the body may have at most {self._limit} bytes", code="body-too-large")
            if piece:
                yield piece
            if not message.get("more_body"):
                return

    async def whole(self) -> bytes:
        """All of it, in memory."""
        self.check()
        pieces = [piece async for piece in self.pieces()]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def store(self, sink: Sink, media: str) -> Stored:
        """Into storage: raw bytes, or the one part `file` of a multipart form. Raises Invalid for a broken form."""
        self.check()
        kind, options = parse_options_header(media)
        if kind != b"multipart/form-data":
            return await sink.put(self.pieces(), limit=self._limit)
        boundary = options.get(b"boundary")
        if not boundary:
            raise Invalid("a multipart form needs its boundary", code="invalid-field", field="Content-Type")
        return await sink.put(_file_part(self.pieces(), boundary), limit=self._limit)


async def _file_part(pieces: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[bytes]:
    """The content of the part named `file`. Raises Invalid when there is none, or more than one."""
    form = _Form()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.name,
                "on_header_value": form.value,
                "on_header_end": form.header,
                "on_headers_finished": form.headers,
                "on_part_data": form.data,
                "on_end": form.end,
            },
        )
    except ValueError as error:
        raise Invalid("this boundary cannot be", code="invalid-field", field="Content-Type") from error
    async for piece in pieces:
        try:
            parser.write(piece)
        except ValueError as error:
            raise Invalid("the multipart form is broken", code="invalid-field", field="file") from error
        while form.out:
            yield form.out.pop(0)
    if not form.whole:
        raise Invalid("the multipart form has no end", code="invalid-field", field="file")
    if form.files != 1:
        raise Invalid("one part named 'file' is needed", code="missing-field", field="file")


class _Form:
    """Hears a multipart parser."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.files = 0
        self.whole = False
        self._field = b""
        self._text = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_file = False

    def begin(self) -> None:
        self._headers, self._field, self._text, self._is_file = {}, b"", b"", False

    def name(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self._text += data[start:end]

    def header(self) -> None:
        self._headers[self._field.lower()] = self._text
        self._field = self._text = b""

    def headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._is_file = options.get(b"name") == b"file"
        self.files += self._is_file
        if self.files > 1:
            raise Invalid("only one part named 'file' is taken", code="invalid-field", field="file")

    def end(self) -> None:
        self.whole = True

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.out.append(data[start:end])
