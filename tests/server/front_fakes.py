"""A small dialect, a storage in memory, and a client; shared by the tests of the front."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from jobgate.dialects.dialect import Ask, Body, Call, Dialect, Reply, Route
from jobgate.files.storage import Source, Storage
from jobgate.model.account import Kind, Principal, Proof, Scope, Signature
from jobgate.model.errors import (
    Forbidden,
    JobgateError,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unsatisfiable,
)
from jobgate.model.files import Artifact, Stored
from jobgate.model.ids import AccountId, BatchId, Digest, JobId, JobName
from jobgate.model.operations import Describe, Read, Request, Until, Write
from jobgate.model.outcomes import Content, Outcome, Written
from jobgate.server.asgi import build
from jobgate.server.front import Front
from jobgate.server.table import Mount

T = TypeVar("T")
STATUS = {
    NotFound: 404,
    Unsatisfiable: 416,
    MethodNotAllowed: 405,
    TooLarge: 413,
    Unauthenticated: 401,
    Forbidden: 403,
    TooMany: 429,
    Unavailable: 503,
}
USERS = {
    "user": Principal(account=AccountId(7), name="ada"),
    "reader": Principal(account=AccountId(8), name="eve", scopes=frozenset({Scope.READ})),
    "operator": Principal(account=AccountId(1), name="root", scopes=frozenset({Scope.OPERATE})),
}
KEY = {"authorization": "Bearer user"}


class Memory:
    """A storage that keeps everything in a dict."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.began = 0
        self.opened = 0

    async def put(self, source: Source, *, limit: int | None) -> Stored:
        assert isinstance(source, AsyncIterator)
        self.began += 1
        content = b""
        async for piece in source:
            content += piece
            if limit is not None and len(content) > limit:
                raise TooLarge
        digest = Digest(hashlib.sha256(content).hexdigest())
        self.blobs[digest] = content
        return Stored(digest, len(content))

    async def put_all(self, sources: Sequence[Source], *, limit: int | None) -> list[Stored]:
        return [await self.put(source, limit=limit) for source in sources]

    async def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if digest not in self.blobs:
            raise NotFound(code="file-not-found")
        self.opened += 1
        content = self.blobs[digest][offset:]
        content = content if length is None else content[:length]
        for at in range(0, len(content), 5):
            yield content[at : at + 5]

    async def copy_to(self, digest: Digest, target: Path, *, executable: bool = False) -> None:
        raise NotImplementedError

    async def delete(self, digests: Iterable[Digest]) -> list[Digest]:
        raise NotImplementedError

    def aged(self, before: float) -> AsyncIterator[list[Digest]]:
        raise NotImplementedError

    def free(self) -> int:
        return 1


class Plain:
    """Says every call back as JSON; `name` tells two of them apart."""

    def __init__(self, name: str = "plain", routes: tuple[Route, ...] | None = None) -> None:
        self.name = name
        self.calls: list[Call] = []
        get = frozenset({"GET"})
        self.routes = routes or (
            Route(path="/echo", verb="echo", limit=100),
            Route(path="/break", verb="break"),
            Route(path="/wait", verb="wait"),
            Route(path="/me", verb="me", methods=get, body=Body.NONE),
            Route(path="/upload", verb="upload", body=Body.UPLOAD, limit=1000, scope=Scope.SUBMIT),
            Route(path="/jobs/{job}", verb="job", methods=get, body=Body.NONE),
            Route(path="/files/{job}/{path:path}", verb="file", methods=get, body=Body.NONE),
        )

    def credential(self, call: Call) -> Proof:
        key = call.headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            raise Unauthenticated
        return Proof(Kind.API_KEY, key)

    def decode(self, call: Call) -> Ask:
        self.calls.append(call)
        if call.verb == "break":
            raise RuntimeError("a secret in a bug")
        if call.verb == "wait":
            return Ask(operation=Describe(), until=Until.ENDED, within=12.5)
        if call.verb == "file":
            return Ask(operation=Read(job=JobName(BatchId(1), JobId(1)), path=call.path["path"]))
        return Ask(operation=Write(upload=call.upload, lives=1.0) if call.upload else Describe())

    def encode(self, call: Call, outcome: Outcome) -> Reply:
        if isinstance(outcome, Content):
            return Reply(body=outcome.artifact, media="text/plain")
        said = {
            "dialect": self.name,
            "verb": call.verb,
            "method": call.method,
            "path": dict(call.path),
            "query": dict(call.query),
            "body": call.body.decode(),
            "size": call.upload.size if call.upload else -1,
        }
        return Reply(body=msgspec.json.encode(said))

    def refuse(self, call: Call, error: JobgateError) -> Reply:
        status = {"timeout": 408, "internal": 500}.get(error.code) or STATUS.get(type(error))
        status = status or next((STATUS[kind] for kind in STATUS if isinstance(error, kind)), 400)
        code = "internal" if status == 500 else error.code
        return Reply(status=status, body=msgspec.json.encode({"dialect": self.name, "code": code, "verb": call.verb}))


class World:
    """A front with everything around it faked; `requests` is what reached `handle`."""

    def __init__(self, *mounts: Mount, storage: Storage | None = None, patience: float = 60.0) -> None:
        self.memory = Memory()
        self.dialect = Plain()
        self.requests: list[Request] = []
        self.content = Artifact("", Digest("0" * 64), 0)
        self.reason: str | None = None
        self.refused: JobgateError | None = None
        self.front = Front(
            mounts or (Mount("/p", self.dialect),),
            authenticate=self._authenticate,
            admit=self._admit,
            handle=self._handle,
            storage=storage or self.memory,
            verify=lambda path, query: query == f"exp=1&sig={path.rpartition('/')[2]}",
            ready=lambda: self.reason,
            clock=lambda: 5.0,
            patience=patience,
        )
        self.app = build(self.front)

    async def _authenticate(self, proof: Proof | Signature) -> Principal:
        if proof.value not in USERS:
            raise Unauthenticated
        return USERS[proof.value]

    def _admit(self, _: Principal) -> None:
        if self.refused is not None:
            raise self.refused

    async def _handle(self, request: Request) -> Outcome:
        self.requests.append(request)
        if isinstance(request.operation, Read):
            return Content(artifact=self.content, name="x")
        return Written(digest=Digest("0" * 64), size=0, fresh=True)

    def keep(self, content: bytes, *, inline: bool = False, path: str = "out.txt") -> Artifact:
        """Makes it the file that every Read answers."""
        digest = Digest(hashlib.sha256(content).hexdigest())
        self.memory.blobs[digest] = content
        self.content = Artifact(path, digest, len(content), inline=content if inline else None)
        return self.content

    def ask(self, method: str, url: str, *, client: str = "127.0.0.1", **rest: Any) -> httpx.Response:
        async def work() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(client, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://front") as http:
                return await http.request(method, url, **rest)

        return asyncio.run(work())


def scope(path: str, method: str = "POST", headers: dict[str, str] | None = None, raw: bytes | None = None) -> Any:
    """An ASGI scope as uvicorn makes it."""
    pairs = {"authorization": "Bearer user", **(headers or {})}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": raw if raw is not None else path.encode(),
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in pairs.items()],
        "client": ("127.0.0.1", 1),
    }


async def drive(world: World, at: Any, receive: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What the application sent."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await world.app(at, receive, send)
    return sent


def fits(dialect: Plain) -> Dialect:
    """For the type checker."""
    return dialect
