"""One request: call, principal, operation, outcome, reply; in the words of the dialect that owns its path."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final
from urllib.parse import parse_qsl, unquote

import structlog
from msgspec.structs import replace
from starlette import types

from jobgate.dialects.dialect import Ask, Body, Call, Lines, Reply, Route, Stream
from jobgate.files.archive import Archive
from jobgate.files.gathering import gathered
from jobgate.files.storage import Storage
from jobgate.model.account import Principal, Proof, Scope, Signature, may
from jobgate.model.errors import (
    Forbidden,
    Invalid,
    JobgateError,
    NotFound,
    RequestError,
    Unauthenticated,
    Unavailable,
)
from jobgate.model.files import Artifact
from jobgate.model.ids import AccountId
from jobgate.model.operations import Load, Read, Request
from jobgate.model.outcomes import Archived, Outcome
from jobgate.model.storing import Gathered
from jobgate.server import body, files, form
from jobgate.server.body import Disconnected
from jobgate.server.exchange import Exchange, Seen, lower, wire
from jobgate.server.following import Holds, forever, worded
from jobgate.server.metrics import Metrics
from jobgate.server.table import Mount, Table, WrongMethod, tables

NOBODY: Final = Principal(account=AccountId(0), name="nobody", scopes=frozenset({Scope.READ}))
"""Who asks where no credential is needed: it may ask what everybody may, and nothing else."""
LINK: Final = Principal(account=AccountId(0), name="link", scopes=frozenset({Scope.READ, Scope.OPERATE}))
"""Whoever holds a signed address: it may read what that address names, whosesoever it is, and do nothing else."""
QUERY_FIELDS: Final = 1000
_LARGE_FORM: Final = 256 << 10
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
JSON_UPLOAD_LIMIT: Final = 16 << 20
"""Bytes of an upload that comes as JSON, and so through memory, whatever the route's limit."""

_log = structlog.get_logger("jobgate.front")


class _Turn:
    """A request on its way through its dialect."""

    __slots__ = ("call", "exchange", "table")

    def __init__(self, table: Table, exchange: Exchange, now: float) -> None:
        self.table = table
        self.exchange = exchange
        self.call = Call(verb="", method=exchange.method, headers=exchange.headers, request=exchange.seen.id, now=now)


class Front:
    """All mounted dialects before one `handle`.

    `authenticate` raises Unauthenticated, `admit` TooMany. `verify` tells whether a path and a query string, both as
    they stand in the address, are one of our signed addresses whose time is not over. `ready` says why no new work is
    taken, or None. `patience`: seconds for the next piece of a body to come in, or of an answer to go out.
    """

    def __init__(  # noqa: PLR0913  # all that a request meets on its way
        self,
        mounts: Sequence[Mount],
        *,
        authenticate: Callable[[Proof | Signature], Awaitable[Principal]],
        admit: Callable[[Principal], None],
        handle: Callable[[Request], Awaitable[Outcome]],
        storage: Storage,
        verify: Callable[[str, str], bool],
        ready: Callable[[], str | None],
        clock: Callable[[], float],
        patience: float = 60.0,
    ) -> None:
        self.tables = tables(mounts)
        self.metrics = Metrics()
        self.authenticate = authenticate
        self.ready = ready
        self.patience = patience
        self._admit = admit
        self._handle = handle
        self._storage = storage
        self._verify = verify
        self._clock = clock
        self._known = {table.prefix + path: table for table in self.tables for path in table.fixed}

    def owner(self, path: str) -> Table | None:
        """Whose path it is: the longest claimed prefix wins."""
        known = self._known.get(path)
        if known is not None:
            return known
        return next((table for table in self.tables if table.owns(path)), None)

    async def speak(self, table: Table, exchange: Exchange) -> None:
        """Answers in the dialect's own words, whatever happens; nothing when the client has gone."""
        exchange.seen.dialect = table.dialect.name
        turn = _Turn(table, exchange, self._clock())
        try:
            reply = await self._answer(turn)
            if isinstance(reply.body, Artifact):
                await self._stream(turn, reply, reply.body)
            elif isinstance(reply.body, Archived):
                await self._archive(turn, reply, reply.body)
            elif isinstance(reply.body, Stream):
                await _follow(exchange, reply, reply.body, self._holds(turn))
            elif isinstance(reply.body, Gathered):
                await self._gather(turn, reply, reply.body)
            else:
                await exchange.say(reply)
        except Disconnected:
            return
        except (RequestError, Unavailable) as error:
            await _refuse(turn, error)
        except JobgateError as error:
            _report(exchange.seen, error)
            await _refuse(turn, error)
        except Exception as error:  # noqa: BLE001  # the one place where an unknown error becomes the dialect's own
            _report(exchange.seen, error)
            await _refuse(turn, JobgateError("the server failed; its operator finds the cause under the Request-Id"))

    async def _answer(self, turn: _Turn) -> Reply:
        exchange, dialect = turn.exchange, turn.table.dialect
        route, parameters = turn.table.find(_below(turn.table, exchange.scope), exchange.method)
        exchange.seen.verb = route.verb
        turn.call = self._call(turn, route, parameters)
        if route.page is not None:
            return route.page(turn.call)
        if route.lines is not None and _is(exchange, NDJSON):
            principal = await self._identify(turn, route)
            ask = await self._lines(turn, route, route.lines(turn.call))
        else:
            principal = await self._read(turn, route)
            ask = await self._decoded(turn, route)
        if principal is LINK and not isinstance(ask.operation, Read):
            raise Forbidden("a signed address allows to read its file and nothing else")
        if principal is NOBODY and not isinstance(ask.operation, Load):
            raise Unauthenticated("who asks has to be known")
        request = Request(
            operation=ask.operation, principal=principal, until=ask.until, within=ask.within, seen=ask.seen
        )
        if route.body is not Body.STREAM:
            return dialect.encode(turn.call, await self._handle(request))
        async with aclosing(self._incoming(turn, route).pieces()) as pieces:
            return dialect.encode(turn.call, await self._handle(replace(request, content=pieces)))

    async def _read(self, turn: _Turn, route: Route) -> Principal:
        """The body, and who asks."""
        if route.body is Body.STREAM:
            self._incoming(turn, route).check()
            return await self._identify(turn, route)
        if route.body is Body.FORM:
            return await self._form(turn, route)
        if route.body is Body.UPLOAD and not _is(turn.exchange, JSON):
            return await self._upload(turn, route)
        if route.early:
            principal = await self._identify(turn, route)
            await self._whole(turn, route)
            return principal
        if route.body is not Body.NONE:
            await self._whole(turn, route)
        return await self._identify(turn, route)

    async def _form(self, turn: _Turn, route: Route) -> Principal:
        """Who sends a form with files is known, and allowed to, before the first of them is stored."""
        known: list[Principal] = []

        async def admit(fields: Mapping[str, bytes]) -> None:
            turn.call = replace(turn.call, fields=fields)
            known.append(await self._identify(turn, route))

        if not turn.exchange.done:
            kind = turn.exchange.headers.get("content-type", "")
            incoming, most = self._incoming(turn, route), route.file_limit
            room = route.field_limit or route.limit
            got = await form.read(incoming, kind, self._storage, files=route.files, size=most, room=room, admit=admit)
            turn.call = replace(turn.call, fields=got.fields, parts=got.files)
        return known[0] if known else await self._identify(turn, route)

    async def _proof(self, turn: _Turn, route: Route) -> Proof | Signature | None:
        """Who is said to ask; a large form is read beside the loop."""
        say = turn.table.dialect.credential
        return await asyncio.to_thread(say, turn.call) if _large(turn, route) else say(turn.call)

    async def _decoded(self, turn: _Turn, route: Route) -> Ask:
        """What is asked; a large form is read beside the loop, so that others are served meanwhile."""
        decode = turn.table.dialect.decode
        return await asyncio.to_thread(decode, turn.call) if _large(turn, route) else decode(turn.call)

    async def _lines(self, turn: _Turn, route: Route, reader: Lines) -> Ask:
        """What the body asks for, read as it comes in. The sender waits while its last piece is read."""
        incoming = self._incoming(turn, route)
        incoming.check()
        if not turn.exchange.done:
            async with aclosing(incoming.pieces()) as pieces:
                async for piece in pieces:
                    reader.feed(piece)
        return reader.end()

    def _incoming(self, turn: _Turn, route: Route) -> body.Body:
        return body.Body(turn.exchange.receive, turn.exchange.headers, route.limit, self.patience)

    def _call(self, turn: _Turn, route: Route, parameters: Mapping[str, str]) -> Call:
        exchange = turn.exchange
        pairs = _pairs(exchange.query) if exchange.query else ()
        return Call(
            verb=route.verb,
            method="GET" if exchange.method == "HEAD" else exchange.method,
            path=parameters,
            query=dict(pairs),
            pairs=pairs,
            headers=exchange.headers,
            request=exchange.seen.id,
            now=turn.call.now,
        )

    async def _upload(self, turn: _Turn, route: Route) -> Principal:
        """Who sends it is known, and allowed to, before a byte is stored."""
        exchange = turn.exchange
        incoming = body.Body(exchange.receive, exchange.headers, route.limit, self.patience, upload=True)
        incoming.check()
        principal = await self._identify(turn, route)
        stored = await incoming.store(self._storage)
        turn.call = replace(turn.call, upload=stored)
        return principal

    async def _whole(self, turn: _Turn, route: Route) -> None:
        exchange = turn.exchange
        if not exchange.done:
            limit = min(route.limit, JSON_UPLOAD_LIMIT) if route.body is Body.UPLOAD else route.limit
            content = await body.Body(exchange.receive, exchange.headers, limit, self.patience).whole()
            turn.call = replace(turn.call, body=content)

    async def _identify(self, turn: _Turn, route: Route) -> Principal:
        seen = turn.exchange.seen
        if self._linked(turn.exchange):
            seen.account = LINK.name
            return LINK
        proof = await self._proof(turn, route)
        if proof is None:
            seen.account = NOBODY.name
            return NOBODY
        principal = await self.authenticate(proof)
        seen.account = principal.name
        turn.call = replace(turn.call, account=principal.name)
        self._admit(principal)
        may(principal, route.scope)
        return principal

    def _linked(self, exchange: Exchange) -> bool:
        """Whether a signed address speaks for itself. Raises Unauthenticated for one that does not hold."""
        if exchange.method not in ("GET", "HEAD") or b"sig=" not in exchange.query:
            return False
        if not {"exp", "sig"} <= dict(_pairs(exchange.query)).keys():
            return False
        if self._verify(exchange.scope["raw_path"].decode("latin-1"), exchange.query.decode("latin-1")):
            return True
        if "authorization" in exchange.headers:
            return False
        raise Unauthenticated("this address does not hold, or its time is over; ask for a new one", code="link-invalid")

    def _holds(self, turn: _Turn) -> Holds:
        """Asks again whether the one who asked may: a stream may last for hours, and a credential end meanwhile."""
        if turn.exchange.seen.account == LINK.name:
            return forever
        proof = turn.table.dialect.credential(turn.call)
        return forever if proof is None else lambda: self.authenticate(proof)

    async def _stream(self, turn: _Turn, reply: Reply, artifact: Artifact) -> None:
        """A stored file, or a part of it. Raises NotFound and Unsatisfiable before anything is sent."""
        exchange, head = turn.exchange, turn.exchange.method == "HEAD"
        name = (artifact.path or exchange.scope["path"].rstrip("/")).rpartition("/")[2]
        asked = {k: v for k, v in exchange.headers.items() if k != "range"} if head else exchange.headers
        part = files.answer(artifact, name.encode("utf-8", "replace").decode(), asked)
        media = "application/octet-stream" if reply.media == _JSON else reply.media
        headers = wire({"content-type": media, **part.headers, **lower(reply.headers)})
        if head or not part.length:
            await exchange.start(part.status, headers)
            await exchange.end()
            return
        await exchange.stream(part.status, headers, files.content(self._storage, artifact, part.offset, part.length))

    async def _archive(self, turn: _Turn, reply: Reply, archived: Archived) -> None:
        """Stored files as one zip. Raises NotFound before anything is sent, if the first has just been deleted."""
        exchange = turn.exchange
        archive = Archive(archived.files, archived.modified, fold_case=archived.fold_case)
        told = {"content-type": reply.media, "content-length": str(archive.size), "accept-ranges": "none"}
        headers = wire({**told, **files.saved(archived.name), **lower(reply.headers)})
        if exchange.method == "HEAD":
            await exchange.start(reply.status, headers)
            await exchange.end()
            return
        await exchange.stream(reply.status, headers, archive.stream(self._storage))

    async def _gather(self, turn: _Turn, reply: Reply, body: Gathered) -> None:
        """Stored files as one zip of unknown size. What is missing of the first ones is told before it begins."""
        pieces = gathered(body.bundles, self._storage, fold_case=body.fold_case)
        headers = {"accept-ranges": "none", **files.saved(body.name), **reply.headers}
        await _follow(turn.exchange, replace(reply, headers=headers), Stream(pieces, bytes), self._holds(turn))


_JSON: Final = Reply().media
_NO_GUESSING: Final = {"x-content-type-options": "nosniff"}


def _large(turn: _Turn, route: Route) -> bool:
    return route.body is Body.FORM and sum(map(len, turn.call.fields.values())) > _LARGE_FORM


def _report(seen: Seen, error: Exception) -> None:
    _log.error("request failed", request=seen.id, dialect=seen.dialect, verb=seen.verb, exc_info=error)


async def _follow(exchange: Exchange, reply: Reply, stream: Stream, holds: Holds) -> None:
    """Items as they come; its end is the end of the body, which has no length before it."""
    headers = wire({"content-type": reply.media, "cache-control": "no-store", **_NO_GUESSING, **lower(reply.headers)})
    if exchange.method == "HEAD":
        if isinstance(stream.items, AsyncGenerator):
            await stream.items.aclose()
        await exchange.start(reply.status, headers)
        await exchange.end()
        return
    await exchange.stream(reply.status, headers, worded(stream, holds))


async def _refuse(turn: _Turn, error: JobgateError) -> None:
    """The error in the dialect's form. An answer that has begun is broken off instead: its end tells."""
    if turn.exchange.seen.status:
        return
    extra = {}
    if isinstance(error, WrongMethod):
        extra["allow"] = error.allow
    if error.retry_after is not None:
        extra["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    await turn.exchange.say(turn.table.dialect.refuse(turn.call, error), extra)


def _is(exchange: Exchange, media: str) -> bool:
    return exchange.headers.get("content-type", "").partition(";")[0].strip().lower() == media


_TRICKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]|/\.{1,2}(?:/|$)")
SLASHES: Final = re.compile(r"/{2,}")
"""Stand for one: contracts tolerate them, wherever they are."""


def _below(table: Table, scope: types.Scope) -> str:
    """The path below the prefix, without a slash at its end. Raises NotFound for tricks."""
    path: str = scope["path"]
    below = path[len(table.prefix) :]
    if below in table.fixed:
        return below
    below = below.rstrip("/")
    if _TRICKS.search(below) or ("\ufffd" in below and not _is_text(scope["raw_path"])):
        raise NotFound("there is nothing at this address", code="unknown-operation")
    return below


def _is_text(raw: bytes) -> bool:
    try:
        unquote(raw.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _pairs(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Names and values, in order."""
    try:
        return tuple(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS))
    except ValueError as error:
        raise Invalid(f"a query has at most {QUERY_FIELDS} fields", field="query") from error
