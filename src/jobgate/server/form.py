"""Reading a form: its fields in memory, its files on their way to storage, whichever way it is encoded."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from enum import Enum
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec
from python_multipart.multipart import MultipartParser, parse_options_header

from jobgate.model.errors import Invalid, TooLarge
from jobgate.model.files import Stored
from jobgate.server.body import Body, Sink

HEADER: Final = 8192
"""Bytes of a header of one part."""
FIELDS: Final = 200_000
"""Fields of one form: some clients send one for each input of a large batch."""
DOCUMENT: Final = "request"
"""The field that an XML document alone stands for."""
_XML: Final = frozenset({b"text/xml", b"application/xml"})
_COMMON: Final = tuple((b"%%%02X" % code, bytes((code,))) for code in b'<>/\n= "?')
"""What an XML document is full of: replaced in one sweep each, before the rest is looked at one by one."""


class Form(msgspec.Struct, frozen=True):
    """What came."""

    fields: Mapping[str, bytes]
    files: tuple[tuple[str, Stored], ...] = ()


Admit = Callable[[Mapping[str, bytes]], Awaitable[None]]


async def read(  # noqa: PLR0913  # what is read, and what it may be
    body: Body, content_type: str, sink: Sink, *, files: int, size: int, room: int, admit: Admit
) -> Form:
    """All of it: fields of `room` bytes together, and `files` files of `size` bytes each.

    Before the first file is stored, `admit` is told the fields that came before it. Raises what it raises; Invalid for
    a broken form; TooLarge, SlowBody, Disconnected. Files stored until then are nobody's.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return await _multipart(body, options.get(b"boundary", b""), sink, files, size, room, admit)
    content = await body.whole(room)
    if kind in _XML or content.lstrip()[:1] == b"<":
        return Form({DOCUMENT: content})
    return Form(urlencoded(content))


def urlencoded(content: bytes) -> dict[str, bytes]:
    """The fields; of a name given twice the last. Raises Invalid for too many."""
    if content.count(b"&") >= FIELDS:
        raise _too_many()
    found: dict[str, bytes] = {}
    for field in content.split(b"&"):
        name, _, value = field.partition(b"=")
        if name:
            found[unquote_to_bytes(name.replace(b"+", b" ")).decode("utf-8", "replace")] = _plain(value)
    return found


def _plain(value: bytes) -> bytes:
    value = value.replace(b"+", b" ")
    if b"%" in value:
        for escape, byte in _COMMON:
            value = value.replace(escape, byte)
    return unquote_to_bytes(value)


def _too_many() -> TooLarge:
    return TooLarge(f"a form may have at most {FIELDS} fields", code="body-too-large")


def _broken(why: str) -> Invalid:
    return Invalid(f"the multipart form is broken: {why}", code="invalid-field", field="Content-Type")


class _Part(msgspec.Struct, frozen=True):
    """A part begins."""

    name: str
    file: bool


class _Mark(Enum):
    END = "end"
    """Of a part."""


_Heard = _Part | bytes | _Mark


def _longer(text: bytes, more: bytes) -> bytes:
    if len(text) + len(more) > HEADER:
        raise _broken(f"a part's header has more than {HEADER} bytes")
    return text + more


class _Ear:
    """Hears a multipart parser, and keeps what it said until it is taken."""

    def __init__(self) -> None:
        self.said: deque[_Heard] = deque()
        self.whole = False
        self._field = self._text = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts = 0

    def begin(self) -> None:
        self._headers, self._field, self._text = {}, b"", b""
        self._parts += 1
        if self._parts > FIELDS:
            raise _too_many()

    def name(self, data: bytes, start: int, end: int) -> None:
        self._field = _longer(self._field, data[start:end])

    def value(self, data: bytes, start: int, end: int) -> None:
        self._text = _longer(self._text, data[start:end])

    def header(self) -> None:
        self._headers[self._field.lower()] = self._text
        self._field = self._text = b""

    def headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self.said.append(_Part(name, b"filename" in options))

    def data(self, data: bytes, start: int, end: int) -> None:
        self.said.append(data[start:end])

    def part_end(self) -> None:
        self.said.append(_Mark.END)

    def end(self) -> None:
        self.whole = True


async def _heard(pieces: AsyncIterator[bytes], boundary: bytes) -> AsyncGenerator[_Heard, None]:
    """Parts, their content and their ends, in order. Raises Invalid for a form that is none."""
    ear = _Ear()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": ear.begin,
                "on_header_field": ear.name,
                "on_header_value": ear.value,
                "on_header_end": ear.header,
                "on_headers_finished": ear.headers,
                "on_part_data": ear.data,
                "on_part_end": ear.part_end,
                "on_end": ear.end,
            },
        )
    except ValueError as error:
        raise _broken("this boundary cannot be") from error
    async for piece in pieces:
        try:
            parser.write(piece)
        except ValueError as error:
            raise _broken("what came is no part of a form") from error
        while ear.said:
            yield ear.said.popleft()
    if not ear.whole:
        raise _broken("it has no end")


async def _multipart(  # noqa: PLR0913, PLR0917  # what is read, and what it may be
    body: Body, boundary: bytes, sink: Sink, files: int, size: int, room: int, admit: Admit
) -> Form:
    if not boundary:
        raise _broken("it needs its boundary")
    body.check()
    fields: dict[str, bytes] = {}
    stored: list[tuple[str, Stored]] = []
    heard = _heard(body.pieces(), boundary)
    async for part in heard:
        if not isinstance(part, _Part):
            continue
        if not part.file:
            room -= len(part.name)  # a name is kept as well
            fields[part.name] = await _field(heard, room)
            room -= len(fields[part.name])
            continue
        if not stored:
            await admit(fields)
        if len(stored) == files:
            raise TooLarge(f"a request may have at most {files} files", code="too-many-files")
        stored.append((part.name, await sink.put(_content(heard), limit=size)))
    return Form(fields, tuple(stored))


async def _field(heard: AsyncGenerator[_Heard, None], room: int) -> bytes:
    """A field, in memory. Raises TooLarge."""
    pieces: list[bytes] = []
    _fit(room)
    async for piece in _content(heard):
        room -= len(piece)
        _fit(room)
        pieces.append(piece)
    return b"".join(pieces)


def _fit(room: int) -> None:
    if room < 0:
        raise TooLarge("the fields of a form are larger than this address takes", code="body-too-large")


async def _content(heard: AsyncGenerator[_Heard, None]) -> AsyncIterator[bytes]:
    """What the part holds that has begun."""
    async for one in heard:
        if isinstance(one, bytes):
            yield one
        else:
            return
