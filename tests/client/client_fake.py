"""A stand-in for the gateway: the contract of `/v1` in memory, as far as the client's tests need it.

It is no gateway: nothing runs. A job ends at once (`echo` writes its words), or when a test says so. What it promises
is asked of the real one in test_client_samples.py; what the real one cannot be made to do on demand (a connection that
breaks at the third byte) is asked of this.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from jobgate.client import thread

Json = dict[str, Any]
NOW = "2026-11-24T23:09:27.658Z"
OVER = ("succeeded", "failed", "cancelled")


class FakeGateway:
    """Its state; `transport` is how a client reaches it. Use it from one loop, or through `say`."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.jobs: dict[str, Json] = {}
        self.batches: dict[str, Json] = {}
        self.logs: dict[str, bytes] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.partial: dict[str, bytes] = {}
        self.events: list[Json] = []
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.trouble: list[Exception | httpx.Response | None] = []
        """What the next requests meet, in order, instead of an answer; None lets one through."""
        self.breaks: list[int] = []
        """After how many pieces the next streams break."""
        self.page = 1000
        self.asked = threading.Event()
        """Set by each request."""
        self._numbers = itertools.count(1)
        self._keys: dict[str, httpx.Response] = {}
        self._moved = asyncio.Event()

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def say(self, do: Callable[[], object]) -> object:
        """Does it on the loop of the synchronous face."""

        async def there() -> object:
            return do()

        return thread.run(there())

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [r for r in self.requests if r.method == method and re.fullmatch(path, r.url.path)]

    # --- what happens

    def end(self, job: str, state: str = "succeeded", **more: Any) -> str:
        self.jobs[job] |= {"state": state, "started": NOW, "ended": NOW, "attempt_count": 1, **more}
        self.jobs[job].pop("waits", None)
        if state == "succeeded":
            self.jobs[job] |= {"exit_code": 0}
        self._happen(f"job.{state}", job)
        return job

    def write(self, job: str, content: bytes) -> bytes:
        self.logs[job] = self.logs.get(job, b"") + content
        self._move()
        return content

    def leave(self, job: str, path: str, content: bytes, told: str = "") -> None:
        self.files.setdefault(job, {})[path] = content
        digest = hashlib.sha256(content).hexdigest()
        entry = {"path": told or path, "size": len(content), "sha256": digest, "output": 0, "mode": 0o644}
        self.jobs[job].setdefault("outputs", []).append(entry)

    def _happen(self, event: str, job: str) -> None:
        batch = self.jobs[job]["batch"]
        fact = {"cursor": len(self.events) + 1, "event": event, "at": NOW, "batch": batch, "job": job}
        more: Json = {name: self.jobs[job][name] for name in ("exit_code", "failure") if name in self.jobs[job]}
        self.events.append(fact | {"state": self.jobs[job]["state"]} | more)
        view = self._batch(batch)
        counted = {"event": "batch.counts", "at": NOW, "batch": batch, "counts": view["counts"], "count": view["count"]}
        self.events.append({"cursor": len(self.events) + 1, **counted})
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _batch(self, id_: str) -> Json:
        mine = [job for job in self.jobs.values() if job["batch"] == id_]
        counts: dict[str, int] = {}
        for job in mine:
            counts[job["state"]] = counts.get(job["state"], 0) + 1
        over = all(job["state"] in OVER for job in mine)
        state = next((s for s in ("failed", "cancelled", "succeeded") if s in counts), "queued") if over else "running"
        return self.batches[id_] | {"count": len(mine), "counts": counts, "over": over, "state": state}

    # --- requests

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.requests.append(request)
        self.bodies.append(body)
        self.asked.set()
        if self.trouble and (met := self.trouble.pop(0)) is not None:
            if isinstance(met, Exception):
                raise met
            return met
        if request.headers.get("authorization") != "Bearer key":
            return problem(401, "unauthenticated", "an API key is needed")
        key = request.headers.get("idempotency-key", "")
        if key in self._keys:
            return self._keys[key]
        answer = await self._verb(request, body, dict(request.url.params))
        if key and request.url.path in ("/v1/jobs", "/v1/batches"):
            self._keys[key] = answer
        return answer

    async def _verb(  # noqa: PLR0911  # a line each
        self, request: httpx.Request, body: bytes, query: dict[str, str]
    ) -> httpx.Response:
        parts = request.url.path.removeprefix("/v1/").split("/")
        match [request.method, *parts]:
            case ["POST", "jobs"]:
                return httpx.Response(201, json=self._made([json.loads(body)])[0])
            case ["POST", "batches"]:
                return self._batch_made(request, body)
            case ["POST", "jobs", "find"]:
                ids = json.loads(body)["ids"]
                items = [self.jobs[id_] for id_ in ids if id_ in self.jobs]
                return httpx.Response(
                    200, json={"items": items, "missing": [id_ for id_ in ids if id_ not in self.jobs]}
                )
            case ["GET", "jobs"]:
                return self._page(request, [job for job in self.jobs.values() if _fits(job, query)])
            case ["GET", "batches", id_, "jobs"]:
                mine = [job for job in self.jobs.values() if job["batch"] == id_ and _fits(job, query)]
                return self._page(request, mine)
            case ["GET", ("jobs" | "batches") as kind, id_]:
                return await self._one(kind, id_, float(query.get("wait", 0)))
            case ["PATCH", "jobs", id_]:
                self.jobs[id_] |= json.loads(body)
                return httpx.Response(200, json=self.jobs[id_])
            case ["POST", "jobs", id_, "cancel"]:
                self.end(id_, "cancelled")
                return httpx.Response(202, json=self.jobs[id_])
            case ["GET", "jobs", id_, "log"]:
                return self._log(request, id_, query)
            case ["GET", "jobs", id_, "files"]:
                return httpx.Response(200, json={"items": self.jobs[id_].get("outputs", []), "next": None})
            case ["GET", "jobs", id_, "files", *path]:
                return self._file(request, self.files[id_]["/".join(path)])
            case [("HEAD" | "PATCH") as method, "uploads", digest]:
                return self._upload(method, request, digest, body)
            case ["POST", "uploads"]:
                digest = hashlib.sha256(body).hexdigest()
                self.blobs[digest] = body
                return httpx.Response(201, json={"sha256": digest, "size": len(body)})
            case ["GET", "events"]:
                return self._events(request, query)
        return problem(404, "not-found", "there is no such thing here")

    def _made(self, drafts: list[Json], name: str = "", parameters: list[Json] | None = None) -> list[Json]:
        batch = f"b{next(self._numbers):07}"
        self.batches[batch] = {"id": batch, "name": name or drafts[0].get("name", ""), "created": NOW}
        made = []
        for number, draft in enumerate(drafts, 1):
            id_ = f"{batch}-{number}"
            row = {} if parameters is None else parameters[number - 1]
            command = [
                _filled(word, row | {"index": number - 1, "number": number}) for word in draft.get("command", [])
            ]
            labels = draft.get("labels", {})
            self.jobs[id_] = {
                "id": id_,
                "batch": batch,
                "number": number,
                "created": NOW,
                "name": self.batches[batch]["name"],
                "labels": labels,
                "state": "queued",
                "command": command,
            } | ({"parameters": row} if row else {})
            if self.at_once:
                if command[:1] == ["echo"]:
                    self.logs[id_] = " ".join(command[1:]).encode() + b"\n"
                self.end(id_, *(["failed"] if command == ["false"] else []), **_failure(command))
            else:
                self.jobs[id_]["waits"] = WAITS
            made.append(self.jobs[id_])
        return made

    def _batch_made(self, request: httpx.Request, body: bytes) -> httpx.Response:
        if request.headers["content-type"] == "application/x-ndjson":
            made = self._made([json.loads(line) for line in body.splitlines()], request.url.params.get("name", ""))
        else:
            said = json.loads(body)
            rows = _rows(said.get("sweep", {}))
            count = said.get("count", len(rows))
            made = self._made([said["template"]] * count, said.get("name", ""), rows or None)
        return httpx.Response(201, json=self._batch(made[0]["batch"]))

    def _page(self, request: httpx.Request, items: list[Json]) -> httpx.Response:
        query = dict(request.url.params)
        begin = int(query.get("after", 0))
        end = begin + min(self.page, int(query.get("limit", 100)))
        next_ = str(request.url.copy_set_param("after", end).raw_path, "ascii") if end < len(items) else None
        return httpx.Response(200, json={"items": items[begin:end], "next": next_})

    async def _one(self, kind: str, id_: str, wait: float) -> httpx.Response:
        def found() -> Json | None:
            return self.jobs.get(id_) if kind == "jobs" else self._batch(id_) if id_ in self.batches else None

        def over(view: Json) -> bool:
            return view["state"] in OVER

        if found() is None:
            return problem(404, "not-found", "there is no such job here")
        try:
            async with asyncio.timeout(wait):
                while wait and not over(found() or {}):
                    await self._moved.wait()
        except TimeoutError:
            pass
        return httpx.Response(200, json=found())

    def _log(self, request: httpx.Request, id_: str, query: dict[str, str]) -> httpx.Response:
        offset = int(re.sub(r"bytes=(\d+)-", r"\1", request.headers.get("range", "bytes=0-")))
        if "tail" in query:
            kept = b"".join(self.logs.get(id_, b"").splitlines(keepends=True)[-int(query["tail"]) :])
            offset = len(self.logs.get(id_, b"")) - len(kept)

        async def pieces() -> AsyncIterator[bytes]:
            at = offset
            left = self.breaks.pop(0) if self.breaks else -1
            while True:
                moved = self._moved
                while at < len(self.logs.get(id_, b"")):
                    if left == 0:
                        raise httpx.ReadError("the connection broke")
                    left -= 1
                    at += 1
                    yield self.logs[id_][at - 1 : at]
                if "follow" not in query or self.jobs[id_]["state"] in OVER:
                    return
                if left == 0:
                    raise httpx.ReadError("the connection broke")
                await moved.wait()

        return httpx.Response(200, content=pieces(), headers={"Log-Offset": str(offset)})

    def _file(self, request: httpx.Request, content: bytes) -> httpx.Response:
        offset = int(re.sub(r"bytes=(\d+)-", r"\1", request.headers.get("range", "bytes=0-")))

        async def pieces() -> AsyncIterator[bytes]:
            left = self.breaks.pop(0) if self.breaks else -1
            for begin in range(offset, len(content), 1000):
                if left == 0:
                    raise httpx.ReadError("the connection broke")
                left -= 1
                yield content[begin : begin + 1000]

        return httpx.Response(206 if offset else 200, content=pieces())

    def _upload(self, method: str, request: httpx.Request, digest: str, body: bytes) -> httpx.Response:
        if digest in self.blobs:
            told = {"Upload-Complete": "?1", "Upload-Offset": str(len(self.blobs[digest]))}
            return httpx.Response(200, headers=told)
        have = self.partial.get(digest)
        if method == "HEAD":
            if have is None:
                return httpx.Response(404)
            return httpx.Response(200, headers={"Upload-Complete": "?0", "Upload-Offset": str(len(have))})
        have = have or b""
        if int(request.headers["upload-offset"]) != len(have):
            return httpx.Response(409, headers={"Upload-Offset": str(len(have))}, json={"code": "offset"})
        self.partial[digest] = have = have + body
        if len(have) < int(request.headers["upload-length"]):
            return httpx.Response(204, headers={"Upload-Offset": str(len(have))})
        del self.partial[digest]
        if hashlib.sha256(have).hexdigest() != digest:
            return problem(422, "mismatch", "the bytes have another hash")
        self.blobs[digest] = have
        return httpx.Response(201, json={"sha256": digest, "size": len(have)})

    def _events(self, request: httpx.Request, query: dict[str, str]) -> httpx.Response:
        kinds = query.get("kinds", "job,batch").split(",")
        scope = {name: query[name] for name in ("batch", "job") if name in query}

        def fits(event: Json) -> bool:
            return event["event"].split(".")[0] in kinds and all(event.get(n) == v for n, v in scope.items())

        if "text/event-stream" not in request.headers["accept"]:
            after = int(query.get("after", 0))
            items = [event for event in self.events[after:] if fits(event)][: int(query["limit"])]
            return httpx.Response(
                200, json={"items": items, "cursor": items[-1]["cursor"] if items else after, "next": None}
            )
        cursor = int(request.headers.get("last-event-id", query.get("after", len(self.events))))

        def over() -> bool:
            jobs = [job for job in self.jobs.values() if query.get("job", job["id"]) == job["id"]]
            mine = [job for job in jobs if query.get("batch", job["batch"]) == job["batch"]]
            return bool(scope) and all(job["state"] in OVER for job in mine)

        async def pieces() -> AsyncIterator[bytes]:
            at = cursor
            left = self.breaks.pop(0) if self.breaks else -1
            yield b": still here\n\n"
            while True:
                moved = self._moved
                for event in self.events[at:]:
                    at += 1
                    if not fits(event):
                        continue
                    if left == 0:
                        raise httpx.ReadError("the connection broke")
                    left -= 1
                    yield f"id: {event['cursor']}\nevent: {event['event']}\ndata: {json.dumps(event)}\n\n".encode()
                if over():
                    yield b"event: end\ndata: {}\n\n"
                    return
                await moved.wait()

        return httpx.Response(200, content=pieces(), headers={"Content-Type": "text/event-stream"})


WAITS = {
    "reason": "busy",
    "place": 3,
    "text": "gpu-a is busy: 3 jobs hold its 4 gpus, this one needs 2",
    "starts": {"seconds": 900, "from": 480, "to": 1500, "runs": 32},
    "environments": [{"name": "gpu-a", "fits": True, "free": {"slots": 0, "of": 4}, "blocks": "busy", "text": "busy"}],
}


def problem(status: int, code: str, detail: str, **more: Any) -> httpx.Response:
    headers = {"Content-Type": "application/problem+json", "Request-Id": "r-1"} | more.pop("headers", {})
    body = {"type": f"/v1/problems/{code}", "code": code, "title": code, "status": status, "detail": detail, **more}
    return httpx.Response(status, json=body, headers=headers)


def _failure(command: list[str]) -> Json:
    return {"failure": "program", "exit_code": 1} if command == ["false"] else {}


def _fits(job: Json, query: dict[str, str]) -> bool:
    states = query.get("state", str(job["state"])).split(",")
    return job["state"] in states and query.get("batch", job["batch"]) == job["batch"]


def _rows(sweep: Any) -> list[Json]:
    if isinstance(sweep, list):
        return sweep
    columns = [
        list(range(values["from"], values["to"], values["step"])) if isinstance(values, dict) else values
        for values in sweep.values()
    ]
    return [dict(zip(sweep, row, strict=True)) for row in itertools.product(*columns)] if sweep else []


def _filled(word: str, row: Json) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(row.get(match[1], match[0])), word)
