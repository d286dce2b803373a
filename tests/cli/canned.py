"""A server of canned answers on loopback: what a gateway would say, and when; nothing runs behind it.

Real sockets, so that the command line is tried as it is, also in a process of its own.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


class Asked(NamedTuple):
    """A request as it came in."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Told(NamedTuple):
    """An answer; its pieces are sent as they come."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = {}
    pieces: Callable[[], Iterator[bytes]] | None = None


Answer = Callable[[Asked], Told]


class Canned:
    """Answers by method and path; whatever has none is not found."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.asked: list[Asked] = []
        self.came = threading.Condition()
        self.url = ""

    def tell(self, method: str, path: str, body: object = None, status: int = 200, **headers: str) -> None:
        said = Told(body, status, {name.replace("_", "-"): value for name, value in headers.items()})
        self.answers[method, path] = lambda _: said

    def on(self, method: str, path: str, answer: Answer) -> None:
        self.answers[method, path] = answer

    def show(self, *views: Json) -> None:
        """Jobs and batches, each at its address."""
        for view in views:
            kind = "jobs" if "-" in view["id"] else "batches"
            self.tell("GET", f"/v1/{kind}/{view['id']}", view, ETag='"3"')

    def sent(self, method: str, path: str) -> list[Asked]:
        return [one for one in self.asked if (one.method, one.path) == (method, path)]

    def await_request(self, method: str, path: str) -> Asked:
        """The first such request, when it has come."""
        with self.came:
            assert self.came.wait_for(lambda: self.sent(method, path), 60), (method, path, self.asked)
            return self.sent(method, path)[0]

    def answer(self, asked: Asked) -> Told:
        with self.came:
            self.asked.append(asked)
            self.came.notify_all()
        found = self.answers.get((asked.method, asked.path))
        return found(asked) if found is not None else problem(404, "not-found", "unknown here, or another account's")


def problem(status: int, code: str, detail: str, next_: str = "", **more: Any) -> Told:
    body = {"type": f"/v1/problems/{code}", "code": code, "title": code, "status": status, "detail": detail, **more}
    headers = {"Content-Type": "application/problem+json", "Request-Id": "r-1"}
    return Told(body | ({"next": next_} if next_ else {}), status, headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    canned: Canned

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = self.canned.answer(Asked(self.command, parts.path, parse_qs(parts.query), headers, body))
        try:
            self._say(told)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _say(self, told: Told) -> None:
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        if told.pieces is not None:
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for piece in told.pieces():
                self.wfile.write(piece)
                self.wfile.flush()
            return
        content = (
            told.body if isinstance(told.body, bytes) else b"" if told.body is None else json.dumps(told.body).encode()
        )
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do_HEAD = _serve  # noqa: N815  # the library's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        del format, args


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what many tests are about."""
        del request, client_address


@contextmanager
def serving() -> Iterator[Canned]:
    """Served until the end of the block."""
    canned = Canned()
    handler = type("Handler", (_Handler,), {"canned": canned})
    server = _Server(("127.0.0.1", 0), handler)
    canned.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield canned
    finally:
        server.shutdown()
        thread.join()
        server.socket.close()


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]  # the class has none

    def isatty(self) -> bool:
        return True


class Pipe(Terminal):
    """The same, and no terminal."""

    def isatty(self) -> bool:
        return False


# --- what a gateway would show; figures are invented


def ago(**span: float) -> str:
    at = datetime.now(UTC) - timedelta(**span)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


WAITS: Json = {
    "reason": "busy",
    "place": 3,
    "text": "gpu-a is busy: 3 jobs hold its 4 gpus, this one needs 2",
    "clears": "two jobs of account vision end",
    "starts": {"seconds": 900, "from": 480, "to": 1500, "runs": 32},
    "environments": [
        {"name": "gpu-a", "fits": True, "free": {"slots": 0, "of": 4}, "blocks": "busy", "text": "busy"},
        {"name": "local", "fits": False, "free": {"slots": 0, "of": 32}, "text": "needs 2 gpus, has none"},
        {"name": "slurm-cpu", "fits": False, "text": "account vision may not submit there"},
    ],
}
FAILURES: list[Json] = [
    {
        "failure": "program",
        "exit_code": 1,
        "count": 5,
        "such_as": "2n6r0kqa-17",
        "last_line": "ValueError: lr must be positive",
    },
    {"failure": "limit", "limit": "memory", "count": 2, "such_as": "2n6r0kqa-640", "message": "used 2.0 of 2.0 GiB"},
]


def fit(**more: Any) -> Json:
    counts = {"succeeded": 605, "failed": 7, "running": 32, "queued": 356}
    return {
        "id": "2n6r0kqa",
        "name": "fit",
        "count": 1000,
        "state": "running",
        "created": ago(minutes=4),
        "started": ago(minutes=3.5),
        "over": False,
        "counts": counts,
        "environments": ["local"],
        "progress": 0.612,
        **more,
    }


def fit_over() -> Json:
    counts = {"succeeded": 993, "failed": 7}
    times = {"started": "2026-11-24T12:00:00.000Z", "ended": "2026-11-24T12:00:17.000Z"}
    return fit(state="failed", over=True, counts=counts, failures=FAILURES, progress=1.0, **times)


def train_batch(**more: Any) -> Json:
    made = {"id": "2n6r1abc", "name": "train", "count": 1, "state": "queued", "created": ago(minutes=14.5)}
    return {**made, "over": False, "counts": {"queued": 1}, "waits": WAITS, **more}


def train(**more: Any) -> Json:
    made = {"id": "2n6r1abc-1", "batch": "2n6r1abc", "number": 1, "state": "queued", "name": "train"}
    return {**made, "created": ago(minutes=14.5), "attempt_count": 0, "priority": 0, "waits": WAITS, **more}


def render() -> Json:
    failed = [{"failure": "program", "exit_code": 3, "count": 1, "last_line": "scene.blend: no such file"}]
    made = {"id": "2n6r2def", "name": "render", "count": 1, "state": "failed", "over": True, "counts": {"failed": 1}}
    times = {"created": ago(hours=2.7), "started": ago(hours=2.6), "ended": ago(hours=2.5)}
    return {**made, **times, "environments": ["local"], "failures": failed}


def memory() -> Json:
    attempt = {
        "number": 1,
        "state": "ended",
        "environment": "local",
        "node": "w1",
        "failure": "limit",
        "limit": "memory",
        "signal": 9,
        "started": "2026-11-24T12:04:05.100Z",
        "ended": "2026-11-24T12:04:07.000Z",
    }
    last = {
        "number": 2,
        "started": "2026-11-24T12:04:11.200Z",
        "ended": "2026-11-24T12:04:14.300Z",
        "usage": {"max_memory": 2 << 30},
        "allowed": {"memory": 2 << 30},
    }
    return {
        "id": "2n6r0kqa-640",
        "batch": "2n6r0kqa",
        "number": 640,
        "state": "failed",
        "name": "fit",
        "failure": "limit",
        "limit": "memory",
        "message": "ended by the kernel",
        "started": last["started"],
        "ended": last["ended"],
        "attempt_count": 2,
        "attempts": [{"id": "2n6r0kqa-640-1", **attempt}, {"id": "2n6r0kqa-640-2", **attempt, **last}],
    }
