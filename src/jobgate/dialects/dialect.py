"""What every dialect promises: a pure two-way language between wire and model. No await, no store, no clock, no file.

The contract suite in `jobgate.testing` holds each to it: every outcome and every error has a reply, every job state a
name; unknown fields are kept or refused, never lost in silence; a credential in the call is found nowhere afterwards.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from enum import Enum
from typing import Any, Protocol, runtime_checkable

import msgspec

from jobgate.model.account import Proof, Scope, Signature
from jobgate.model.catalogue import Catalogue
from jobgate.model.errors import JobgateError
from jobgate.model.files import Artifact, Stored
from jobgate.model.guard import Seen
from jobgate.model.limits import Limits
from jobgate.model.operations import Operation, Until
from jobgate.model.outcomes import Archived, Outcome
from jobgate.model.storing import Gathered


class Body(Enum):
    """How the front hands over a route's body."""

    NONE = "none"
    """The route takes none."""
    WHOLE = "whole"
    """In memory, up to the route's limit; whatever its content type says."""
    UPLOAD = "upload"
    """A file on its way to storage: raw bytes, or the one part `file` of a multipart form; JSON as WHOLE."""
    LINES = "lines"
    """Newline-delimited JSON goes to the route's own reader piece by piece, as it comes in; all else as WHOLE."""
    FORM = "form"
    """A form in either encoding: its fields in memory, up to the route's limit; its files stored on their way. An XML
    document alone is the field `request`."""
    STREAM = "stream"
    """The operation takes it as it comes; who asks is known before."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One address of a dialect, below its prefix."""

    path: str
    """Starlette's notation: `/files/{job}/{path:path}`."""
    methods: frozenset[str] = frozenset({"POST"})
    verb: str
    """The dialect's own word for it; access log, metrics and `Call.verb` name it."""
    body: Body = Body.WHOLE
    limit: int = 1 << 20
    """Bytes of the body; of a form that brings files, of the whole of it."""
    files: int = 0
    """Files that a form may bring."""
    file_limit: int = 0
    """Bytes of each."""
    field_limit: int = 0
    """Bytes of a form's fields together, which are in memory; 0: as many as of the body."""
    scope: Scope = Scope.READ
    """What it asks of the credential, known before the body is read as an operation."""
    early: bool = False
    """Who asks stands in the headers, and is known before any of the body is read."""
    page: Callable[[Call], Reply] | None = None
    """Answers by itself, whoever asks: a page of words, that needs no credential and knows of no job."""
    lines: Callable[[Call], Lines] | None = None
    """Of a LINES route: who reads this call's body."""
    summary: str = ""
    """One line for the generated reference."""


class Lines(Protocol):
    """Reads a body while it comes in, and keeps no more of it than it needs."""

    def feed(self, piece: bytes) -> None:
        """The next bytes, cut anywhere. Raises a RequestError when it makes no sense to read on."""
        ...

    def end(self) -> Ask:
        """There are no more. Raises a RequestError that names the faults of all."""
        ...


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as the front read it."""

    verb: str
    method: str = "POST"
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    """Of a name given twice the last."""
    pairs: tuple[tuple[str, str], ...] = ()
    """The whole query, in order."""
    headers: Mapping[str, str] = {}
    """Names in lower case."""
    body: bytes = b""
    upload: Stored | None = None
    """Of an UPLOAD route: the file, already stored; None when the body was JSON."""
    fields: Mapping[str, bytes] = {}
    """Of a FORM route; of a name given twice the last."""
    parts: tuple[tuple[str, Stored], ...] = ()
    """Of a FORM route: its files by the names of their fields, stored already, in order."""
    account: str = ""
    """Name of the account that asks; empty where anyone may."""
    request: str = ""
    """What the server's log calls it; the answer's `Request-Id`."""
    now: float = 0.0
    """When it came in: a dialect has no clock."""

    def __repr__(self) -> str:
        return f"Call({self.method} {self.verb})"


class Stream(msgspec.Struct, frozen=True):
    """Items that come one by one, perhaps for hours; the front words each, sends it, and lets go when the client does.

    `items` is closed when the answer ends, however it ends. What its first item raises is answered as a refusal.
    """

    items: AsyncIterator[Any]
    encode: Callable[[Any], bytes]
    head: bytes = b""
    """What goes before the first item."""
    tail: bytes = b""
    """What follows the last one, when it came to its end."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes | Artifact | Archived | Gathered | Stream = b""
    """Bytes; a stored file, for which the front answers Range, ETag and HEAD; stored files, sent as one zip; a stream.
    """
    media: str = "application/json; charset=utf-8"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a call asks for: an operation, and how long the answer may wait."""

    operation: Operation
    until: Until = Until.ACCEPTED
    within: float = 0.0
    seen: Seen = ()
    """For `Until.CHANGED`: the version known."""


class Signer(Protocol):
    """Makes addresses that carry their own permission for a time."""

    def __call__(self, path: str, expires: float) -> str:
        """What to add to the query of `path`, an address with its query, so that nothing else of it can be changed."""
        ...


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect is built with: the operator's choices, read once."""

    prefix: str
    """Where it is mounted, with no slash at its end."""
    variant: str = ""
    """Which of its forms is spoken there; empty: the usual one. A dialect lists them as `variants`."""
    catalogue: Catalogue = Catalogue()
    pulls: bool = False
    """Some environment fetches container images."""
    settings: Mapping[str, object] = {}
    """Its own section of the configuration; a dialect converts it to its settings struct, refusing unknown names."""
    templates: Mapping[str, bytes] = {}
    """The dialect's own template documents by name, as the operator wrote them."""
    sign: Signer | None = None
    limits: Limits = Limits()

    def __repr__(self) -> str:
        return f"Setup({self.prefix!r})"  # its settings may hold secrets


@runtime_checkable
class Documented(Protocol):
    """A dialect that can say what it is: the server shows that at `/docs`."""

    def document(self) -> bytes:
        """OpenAPI 3.1, as JSON."""
        ...


class Dialect(Protocol):
    """One API's language."""

    @property
    def name(self) -> str:
        """The word it is configured by."""
        ...

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every address it owns; a path below its prefix that is none of them is refused in its own words."""
        ...

    def credential(self, call: Call) -> Proof | Signature | None:
        """Who the call says is asking; None where nobody has to be known, and the operation is Load.

        Raises Unauthenticated when it does not say, Invalid when it cannot be read.
        """
        ...

    def decode(self, call: Call) -> Ask:
        """What the call asks for. Raises a RequestError whose `field` names the fault."""
        ...

    def encode(self, call: Call, outcome: Outcome) -> Reply:
        """The answer in the dialect's own words."""
        ...

    def refuse(self, call: Call, error: JobgateError) -> Reply:
        """The error in the dialect's own form; of faults that are not the asker's it tells no details."""
        ...
