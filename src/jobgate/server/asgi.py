"""The site: dialects behind their prefixes, the server's own pages beside them, and the server that carries both."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec
import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette import types

from jobgate.dialects.dialect import Documented, Reply
from jobgate.model.account import Kind, Proof, Scope
from jobgate.model.errors import Forbidden, JobgateError, NotFound, TooMany, Unauthenticated
from jobgate.server.exchange import Exchange, Seen
from jobgate.server.front import SLASHES, Front
from jobgate.server.protocol import Protocol
from jobgate.server.reference import listing, reference
from jobgate.server.table import DOCS

BACKLOG: Final = 2048

CLIENT_GONE: Final = 499
"""The status in log and numbers when nobody was left to hear the answer; nginx says it the same way."""

_log = structlog.get_logger("jobgate.access")

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


class Site:
    """The ASGI application: a claimed path goes to its dialect; `/healthz`, `/readyz`, `/metrics`, `/docs` are its own.

    `lifespan` is entered and left with the server.
    """

    def __init__(self, front: Front, *, lifespan: Lifespan | None = None) -> None:
        self._front = front
        self._lifespan = lifespan
        self._drawn: dict[str, Reply] = {}
        self._pages: dict[str, Callable[[Exchange], Awaitable[Reply]]]
        self._pages = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        self._documented = {
            table.dialect.name: (table.prefix, table.dialect)
            for table in reversed(front.tables)
            if isinstance(table.dialect, Documented)
        }
        self._pages |= {f"{DOCS}/{name}": partial(self._reference, name) for name in self._documented}
        if self._documented:
            self._pages |= {DOCS: self._docs, f"{DOCS}/": self._docs}

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Answers one request; drives the lifespan."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._live(receive, send)
            return
        front = self._front
        if "//" in scope["path"]:
            scope["path"] = SLASHES.sub("/", scope["path"])
        exchange = Exchange(scope, receive, send, front.patience)
        front.metrics.in_flight.inc()
        try:
            path = scope["path"]
            table = None if path in self._pages or path.startswith(f"{DOCS}/") else front.owner(path)
            if table is not None:
                await front.speak(table, exchange)
            else:
                await self._page(path, exchange)
        finally:
            front.metrics.in_flight.dec()
            self._note(exchange.seen)

    def _note(self, seen: Seen) -> None:
        """Counts it, and tells of it in one line."""
        seconds, status = perf_counter() - seen.began, seen.status or CLIENT_GONE
        self._front.metrics.count(seen.dialect, seen.verb, status, seconds)
        _log.info(
            "request",
            method=seen.method,
            dialect=seen.dialect,
            verb=seen.verb,
            status=status,
            ms=round(seconds * 1000, 3),
            account=seen.account,
            request=seen.id,
            bytes=seen.sent,
        )

    async def _page(self, path: str, exchange: Exchange) -> None:
        page = self._index if path == "/" else self._pages.get(path)
        if page is None:
            await exchange.say(problem(NotFound("there is nothing at this address")))
            return
        exchange.seen.verb = path.strip("/") or "index"
        if exchange.method not in ("GET", "HEAD"):
            reply = problem(JobgateError("this address answers to GET, HEAD", code="method-not-allowed"), 405)
            await exchange.say(reply, {"allow": "GET, HEAD"})
            return
        await exchange.say(await page(exchange))

    async def _healthz(self, _: Exchange) -> Reply:
        return _json({"status": "ok"})

    async def _readyz(self, _: Exchange) -> Reply:
        reason = self._front.ready()
        return _json({"status": "ready"}) if reason is None else _json({"status": "not ready", "reason": reason}, 503)

    async def _index(self, _: Exchange) -> Reply:
        names = [{"name": table.dialect.name, "prefix": table.prefix + "/"} for table in reversed(self._front.tables)]
        docs = {"docs": DOCS} if self._documented else {}
        return _json({"server": "jobgate", "dialects": names, **docs})

    async def _docs(self, exchange: Exchange) -> Reply:
        """The reference, or where each is if there are several."""
        if len(self._documented) == 1:
            (name,) = self._documented
            return await self._reference(name, exchange)
        return listing({name: f"{DOCS}/{name}" for name in self._documented})

    async def _reference(self, name: str, _: Exchange) -> Reply:
        if name not in self._drawn:
            prefix, dialect = self._documented[name]
            self._drawn[name] = reference(dialect.document(), prefix)
        return self._drawn[name]

    async def _metrics(self, exchange: Exchange) -> Reply:
        if not _local(exchange):
            try:
                await self._operator(exchange)
            except JobgateError as error:
                return problem(error)
        return Reply(body=self._front.metrics.text(), media=CONTENT_TYPE_PLAIN_0_0_4)

    async def _operator(self, exchange: Exchange) -> None:
        """Raises Unauthenticated or Forbidden unless an operator's API key came along."""
        kind, _, key = exchange.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise Unauthenticated("an operator's API key is needed here: Authorization: Bearer KEY")
        principal = await self._front.authenticate(Proof(Kind.API_KEY, key.strip()))
        exchange.seen.account = principal.name
        if Scope.OPERATE not in principal.scopes:
            raise Forbidden("only an operator's API key opens this page")

    async def _live(self, receive: types.Receive, send: types.Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            if self._lifespan is not None:
                await stack.enter_async_context(self._lifespan())
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def build(front: Front, *, lifespan: Lifespan | None = None) -> types.ASGIApp:
    """The application; see `Site`."""
    return Site(front, lifespan=lifespan)


_STATUS: Final[Mapping[type[JobgateError], int]] = {NotFound: 404, Unauthenticated: 401, Forbidden: 403, TooMany: 429}


def problem(error: JobgateError, status: int | None = None) -> Reply:
    """The error as RFC 9457 has it, where no dialect owns the path."""
    code = status or _STATUS.get(type(error), 503 if error.retryable else 500)
    document = {"type": "about:blank", "title": HTTPStatus(code).phrase, "status": code, "code": error.code}
    if code < HTTPStatus.INTERNAL_SERVER_ERROR or error.retryable:
        document["detail"] = error.message
    challenge = {"www-authenticate": "Bearer"} if code == HTTPStatus.UNAUTHORIZED else {}
    return Reply(status=code, headers=challenge, body=msgspec.json.encode(document), media="application/problem+json")


def _json(document: Mapping[str, object], status: int = 200) -> Reply:
    return Reply(status=status, body=msgspec.json.encode(document))


_FORWARDED: Final = frozenset(
    {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}
)


def _local(exchange: Exchange) -> bool:
    """Whether this very host asks, and no front server on it speaks for another."""
    client = exchange.scope.get("client")
    if not client or not _FORWARDED.isdisjoint(exchange.headers):
        return False
    try:
        return ip_address(client[0]).is_loopback
    except ValueError:
        return False


# --- the server


class _Server(uvicorn.Server):
    """uvicorn's, leaving signals to the caller, and telling when it is ready and when it begins to end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], release: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_ready = ready
        self._release = release

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._release()  # nothing is awaited before the listening ends, so nobody comes back in between
        await super().shutdown(sockets)


async def serve(  # noqa: PLR0913  # what a listening server is told, all of it optional to its callers
    front: Front,
    *,
    host: str,
    port: int,
    ready: Callable[[str], None],
    stop: asyncio.Event,
    release: Callable[[], None] = lambda: None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    trusted_proxies: Sequence[str] = (),
    grace: int = 30,
) -> None:
    """Serves until `stop` is set, then stops accepting, answers what is open for at most `grace` seconds, and returns.

    Runs on the caller's loop (uvloop's is the fast one) and touches no signal. Port 0 picks a free one; `ready` gets
    the true address once requests are accepted. `release` is called when the end begins: it lets waiting answers go.
    Raises OSError when it cannot listen or cannot read the certificate.
    """
    config = uvicorn.Config(
        build(front),
        http=Protocol,
        loop="none",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        backlog=BACKLOG,
        timeout_graceful_shutdown=grace,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    config.load()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=BACKLOG) as listener:
        name = f"[{host}]" if family == socket.AF_INET6 else host
        url = f"{'https' if tls_cert else 'http'}://{name}:{listener.getsockname()[1]}"
        server = _Server(config, lambda: ready(url), release)
        ending = asyncio.create_task(_end(server, stop))
        try:
            await server.serve(sockets=[listener])
        finally:
            ending.cancel()


async def _end(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
