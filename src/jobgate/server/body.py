"""Reading a request's body: whole, or on its way to storage; never more than allowed, never longer than allowed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol

from python_multipart.multipart import MultipartParser, parse_options_header

from jobgate.model.errors import Invalid, RequestError, TooLarge
from jobgate.model.files import Stored

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
FORM_ROOM: Final = 64 << 10
"""Bytes that a multipart form may have beside its file: boundaries, headers, other fields."""
FORM_PARTS: Final = 100
_DIGITS: Final = 18


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
    """One request's body, read at most once. `limit` is in bytes, `seconds` what each piece of it may take.

    An `upload` may be a multipart form: then the limit is that of the file in it.
    """

    def __init__(
        self, receive: Receive, headers: Mapping[str, str], limit: int, seconds: float, *, upload: bool = False
    ) -> None:
        kind, options = parse_options_header(headers.get("content-type") if upload else None)
        self._receive = receive
        self._file_limit = limit
        self._form = options if kind == b"multipart/form-data" else None
        self._limit = limit if self._form is None else limit + FORM_ROOM
        self._seconds = seconds
        self._length = headers.get("content-length", "")

    def check(self) -> None:
        """Raises TooLarge for an announced length over the limit, before anything is read."""
        length = self._length.lstrip("0")
        if length.isdecimal() and (len(length) > _DIGITS or int(length) > self._limit):
            raise self._too_large()

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body may have at most {self._limit} bytes", code="body-too-large")

    async def pieces(self) -> AsyncGenerator[bytes, None]:
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
                raise self._too_large()
            if piece:
                yield piece
            if not message.get("more_body"):
                return

    async def whole(self, most: int | None = None) -> bytes:
        """All of it, in memory: `most` bytes, where the body may have more."""
        if most is not None:
            self._limit = min(self._limit, most)
        self.check()
        pieces = [piece async for piece in self.pieces()]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def store(self, sink: Sink) -> Stored:
        """Into storage: raw bytes, or the one part `file` of a multipart form.

        What a form has beside its file may be FORM_PARTS and FORM_ROOM. Raises Invalid for a broken form, TooLarge,
        SlowBody, Disconnected; nothing is stored then.
        """
        self.check()
        if self._form is None:
            return await sink.put(self.pieces(), limit=self._file_limit)
        boundary = self._form.get(b"boundary")
        if not boundary:
            raise Invalid("a multipart form needs its boundary", code="invalid-field", field="Content-Type")
        return await sink.put(_file_part(self.pieces(), boundary), limit=self._file_limit)


async def _file_part(pieces: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[bytes]:
    """The content of the part named `file`. Raises Invalid when there is none, or more than one; TooLarge."""
    form = _Form()
    beside = 0
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
        beside += len(piece)
        while form.out:
            content = form.out.popleft()
            beside -= len(content)
            yield content
        if beside > FORM_ROOM:
            told = f"a form may have at most {FORM_ROOM} bytes beside its file"
            raise TooLarge(told, code="body-too-large")
    if not form.whole:
        raise Invalid("the multipart form has no end", code="invalid-field", field="file")
    if form.files != 1:
        raise Invalid("one part named 'file' is needed", code="missing-field", field="file")


class _Form:
    """Hears a multipart parser."""

    def __init__(self) -> None:
        self.out: deque[bytes] = deque()
        self.files = 0
        self._parts = 0
        self.whole = False
        self._field = b""
        self._text = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_file = False

    def begin(self) -> None:
        self._headers, self._field, self._text, self._is_file = {}, b"", b"", False
        self._parts += 1
        if self._parts > FORM_PARTS:
            raise TooLarge(f"a form may have at most {FORM_PARTS} parts", code="body-too-large")

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
