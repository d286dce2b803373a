"""What every reply of every dialect must be: a body that is what it says, and headers that stay in their lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from lxml import etree

from jobgate.dialects.dialect import Reply, Stream
from jobgate.model.files import Artifact
from jobgate.model.outcomes import Archived
from jobgate.model.storing import Gathered


def _json(content: bytes) -> None:
    msgspec.json.decode(content)


def _text(content: bytes) -> None:
    content.decode(errors="replace")


def _events(content: bytes) -> None:
    for line in content.decode().splitlines():
        name, _, value = line.partition(": ")
        assert name in ("", "id", "event", "data", "retry"), f"{name} is no field of an event stream"
        if name == "data":
            msgspec.json.decode(value)


def _xml(content: bytes) -> None:
    etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))


MEDIA: Final[Mapping[str, Callable[[bytes], None]]] = {
    "application/json": _json,
    "application/problem+json": _json,
    "text/xml": _xml,
    "text/plain": _text,
    "text/html": _text,
    "application/octet-stream": lambda _: None,
    "application/zip": lambda _: None,
    "text/event-stream": _events,
}
"""What a body must be that bears this media type."""


EMPTY: Final = (204, 304)
"""Statuses of answers without a body."""


def well_formed(reply: Reply) -> None:
    """The body is what its media type says, and no header can break out of its line."""
    assert 200 <= reply.status <= 599, f"{reply.status} is no status of an answer"
    kind = reply.media.partition(";")[0]
    assert kind in MEDIA, f"the suite has no reader for {kind}; teach it"
    if reply.status in EMPTY:
        assert reply.body == b"", f"{reply.status} has no body"
    elif isinstance(reply.body, bytes):
        MEDIA[kind](reply.body)
    elif isinstance(reply.body, Stream):
        asyncio.run(_worded(reply.body, MEDIA[kind]))
    else:
        assert isinstance(reply.body, Artifact | Archived | Gathered | Stream)
    for name, value in reply.headers.items():
        assert f"{name}{value}".isascii(), f"the header {name} is not ASCII"
        assert f"{name}{value}".isprintable(), f"the header {name} holds a control character"


async def _worded(stream: Stream, read: Callable[[bytes], None]) -> None:
    """Each piece is what the media type says; where there is a frame around them, the whole is."""
    pieces = [stream.encode(item) async for item in stream.items]
    for whole in (b"".join([stream.head, *pieces, stream.tail]),) if stream.head or stream.tail else pieces:
        read(whole)
