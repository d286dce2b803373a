"""Reading and writing the XML of this API: no DTD, no entity of the sender's, bounded depth; replies always escaped.

Reading is lxml's, which tells element by element: a document of 10,000 jobs is never a tree of its nodes. Numbers come
in all shapes, and the API's own rule is the leading number, or else 0 [BOINC, section 1.3].
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast
from xml.sax.saxutils import escape

import msgspec
from lxml import etree

from jobgate.model.errors import Invalid

DEPTH: Final = 64
"""Levels of elements; templates have five, and lie in the fifth."""
HEAD: Final = b'<?xml version="1.0" encoding="UTF-8" ?>\n'
SKETCH: Final = 200
"""Characters of what a request says that an error repeats."""
_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot say, escaped or not."""
_BLANKS: Final = re.compile(r"\s+")
_PIECE: Final = 4096
"""Bytes that are read at a time where the first tag is all that is wanted."""
LATEST: Final = 64 << 10
"""Bytes within which the first tag has to be."""
_CHILD: Final = 2
"""Level of the root's children."""
_TIMES: Final = 1000.0
"""Reals from here on have six decimals, as clients print them when they bring a time back."""
_EXPONENT: Final = (1e-3, 1e15)
"""Reals below and beyond are told with one, so that a small credit is not rounded to nothing."""
_MOST: Final = 1e300


class Element(msgspec.Struct, frozen=True, gc=False):
    """One element, without its name: what stood between its tags. Attributes are not read."""

    text: str
    """Its own, as it stands; with children, what is before the first of them."""
    children: tuple[tuple[str, Element], ...] = ()

    def all(self, name: str) -> Iterator[Element]:
        """Its children of that name, in order."""
        return (child for tag, child in self.children if tag == name)

    def get(self, name: str) -> Element | None:
        """The first of them."""
        for tag, child in self.children:  # a generator would take three times as long
            if tag == name:
                return child
        return None

    def has(self, name: str) -> bool:
        """Whether there is one: a presence flag."""
        return any(tag == name for tag, _ in self.children)

    def word(self, name: str) -> str:
        """The text of a child, without the blanks around it; empty when there is none."""
        child = self.get(name)
        return "" if child is None else child.text.strip()

    def real(self, name: str) -> float:
        """The number that a child begins with; 0 when there is none."""
        child = self.get(name)
        return 0.0 if child is None else real(child.text)

    def integer(self, name: str) -> int:
        """As `real`, cut to a whole number."""
        return int(self.real(name))


EMPTY: Final = Element("")


def real(text: str) -> float:
    """The number that it begins with, or 0; never an infinite one."""
    match = _NUMBER.match(text)
    value = float(match.group(1)) if match is not None else 0.0
    return value if math.isfinite(value) else 0.0


class Document(NamedTuple):
    """A request: what it asks for, and with what."""

    root: str
    body: Element


def unreadable(why: str) -> Invalid:
    """The error for what is no document at all."""
    return Invalid(f"can't parse request message: {why}", code="unreadable")


def read(content: bytes) -> Document:
    """Raises Invalid (`unreadable`) for what is no document, has a DTD or a NUL, or is too deep."""
    if not content.strip():
        raise unreadable("it is empty")
    if b"\0" in content:
        raise unreadable("it has a NUL")
    parser = etree.XMLParser(target=cast("Any", _Builder()), resolve_entities=False, no_network=True, load_dtd=False)
    try:
        document: Document | None = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise unreadable(_why(error)) from error
    if document is None:
        raise unreadable("it is empty")
    return document


def root_of(content: bytes) -> str:
    """The name of the request, read no further than its first tag; empty when it has none, or a late one."""
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, no_network=True, load_dtd=False)
    try:
        for start in range(0, min(len(content), LATEST), _PIECE):
            parser.feed(content[start : start + _PIECE])
            for _, element in parser.read_events():
                return str(element.tag)
    except etree.XMLSyntaxError:
        pass  # what is no document has no name, as far as replies go
    return ""


def asker(content: bytes, name: str) -> tuple[str, str]:
    """The request's name, and the text of the root's first child of that `name`, or empty; nothing else is kept.

    It is read no further than that, so that it costs little to be sent a document by nobody. Raises Invalid as `read`.
    """
    root = root_of(content)
    if not root:
        raise unreadable("it does not begin with an element")
    ear = _Ear(name)
    parser = etree.XMLParser(target=cast("Any", ear), resolve_entities=False, no_network=True, load_dtd=False)
    try:
        for start in range(0, len(content), _PIECE):
            parser.feed(content[start : start + _PIECE])
            if ear.heard:
                break
    except etree.XMLSyntaxError as error:
        raise unreadable(_why(error)) from error
    return root, "".join(ear.pieces).strip()


class _Ear:
    """Hears the parser, and listens to one child of the root."""

    def __init__(self, name: str) -> None:
        self.heard = False
        self.pieces: list[str] = []
        self._name = name
        self._depth = 0
        self._listens = False

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        del name, public, system
        raise unreadable("a DTD is not taken")

    def start(self, name: str, attributes: object) -> None:
        del attributes
        self._depth += 1
        if self._depth > DEPTH:
            raise unreadable(f"it has more than {DEPTH} levels")
        self._listens = not self.heard and self._depth == _CHILD and name == self._name

    def data(self, piece: str) -> None:
        if self._listens:
            self.pieces.append(piece)

    def end(self, name: str) -> None:
        del name
        self.heard = self.heard or self._listens
        self._listens = False
        self._depth -= 1

    def close(self) -> None:
        pass


class _Builder:
    """Hears the parser: one object an element, none for the tree that lxml would have made."""

    def __init__(self) -> None:
        self._stack: list[tuple[str, list[tuple[str, Element]] | None, str]] = []
        self._children: list[tuple[str, Element]] | None = None
        self._text = ""
        self._pieces: list[str] = []  # of the text: each entity is one, and joining them one by one would take for ever

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        del name, public, system
        raise unreadable("a DTD is not taken")

    def start(self, name: str, attributes: object) -> None:
        del attributes
        stack = self._stack
        if len(stack) == DEPTH:
            raise unreadable(f"it has more than {DEPTH} levels")
        self._join()
        stack.append((name, self._children, self._text))
        self._children, self._text = None, ""

    def data(self, piece: str) -> None:
        if self._children is None:
            self._pieces.append(piece)

    def _join(self) -> None:
        if self._pieces:
            self._text = "".join(self._pieces)
            self._pieces.clear()

    def end(self, name: str) -> None:
        self._join()
        inner = self._children
        made = Element(self._text) if inner is None else Element(self._text, tuple(inner))
        _, outer, self._text = self._stack.pop()
        if outer is None:
            outer = []
        outer.append((name, made))
        self._children = outer

    def close(self) -> Document | None:
        return Document(*self._children[0]) if self._children else None


def _why(error: etree.XMLSyntaxError) -> str:
    return _BLANKS.sub(" ", str(error.msg or "it is no XML"))[:SKETCH]


# --- writing


def plain(value: str) -> str:
    """Without what XML cannot say."""
    return _FORBIDDEN.sub("", value)


def text(value: str) -> str:
    """The same, escaped."""
    return escape(plain(value))


def tag(name: str, value: str | float) -> str:
    """One element with a value, on a line of its own. An integer has no point, and a real always has one."""
    return f"<{name}>{_value(value)}</{name}>\n"


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int):
        return str(int(value))
    value = 0.0 if math.isnan(value) else max(-_MOST, min(value, _MOST))
    if value and not _EXPONENT[0] <= abs(value) < _EXPONENT[1]:
        return f"{value:.10e}"
    return f"{value:.6f}" if abs(value) >= _TIMES or not value else f"{value:.10f}"


def reply(root: str, body: str) -> bytes:
    """The whole document, declaration first; both tags are there even when it is empty."""
    return HEAD + f"<{root}>\n{body}</{root}>\n".encode()
