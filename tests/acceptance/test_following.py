"""Followers of a real gateway: cut off, killed with it, stalled, and a thousand at once."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import Gateway, Json
from httpx_sse import ServerSentEvent, connect_sse

ALL = 1000
STALLED = 100
STREAM = {"Accept": "text/event-stream"}


def native(gateway: Gateway) -> str:
    """The API key of a new account."""
    gateway.run("account", "create", "lab")
    return str(gateway.run("credential", "add", "lab")["value"])


def client(gateway: Gateway, key: str) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def submit(gateway: Gateway, key: str, count: int, *words: str, **more: Any) -> str:
    with client(gateway, key) as http:
        body = {"template": {"command": list(words)}, "count": count, **more}
        return str(http.post("/v1/batches", json=body).raise_for_status().json()["id"])


def kept(gateway: Gateway, key: str, address: str, kinds: str) -> list[Json]:
    """All events there are, page after page."""
    found: list[Json] = []
    with client(gateway, key) as http:
        following: str | None = f"{address}?kinds={kinds}&limit=37"
        while following:
            page = http.get(following).raise_for_status().json()
            found += page["items"]
            following = page["next"]
    return found


class Follower(threading.Thread):
    """Reads a stream, loses its connection at any time, and comes again with the last cursor; until the end."""

    def __init__(self, gateway: Gateway, key: str, address: str, kinds: str, seed: int) -> None:
        super().__init__()
        self._gateway, self._key, self._address = gateway, key, f"{address}?kinds={kinds}&after=0"
        self._chance = random.Random(seed)  # noqa: S311  # where a reader is cut off is no secret
        self.up = threading.Event()
        self.events: list[Json] = []
        self.connections = 0
        self.error: BaseException | None = None
        self._last = ""

    def run(self) -> None:
        try:
            while self._follow():
                assert self.up.wait(60)
        except BaseException as error:  # noqa: BLE001  # told to the test
            self.error = error

    def _follow(self) -> bool:
        """One connection; whether there is more."""
        headers = {"Last-Event-ID": self._last} if self._last else {}
        left = self._chance.randint(1, 60)
        with (
            suppress(httpx.TransportError),
            client(self._gateway, self._key) as http,
            connect_sse(http, "GET", self._address, headers=headers) as source,
        ):
            self.connections += 1
            if source.response.status_code == 204:
                return False
            for event in source.iter_sse():
                if event.event == "end":
                    return False
                self._heard(event)
                left -= 1
                if left == 0:
                    break
        return True

    def _heard(self, event: ServerSentEvent) -> None:
        self._last = event.id
        body = json.loads(event.data)
        assert (str(body["cursor"]), body["event"]) == (event.id, event.event)
        if event.event != "batch.counts":
            self.events.append(body)


def test_followers_that_are_cut_off_and_killed_with_the_gateway_miss_nothing_and_hear_nothing_twice(
    gateway: Gateway,
) -> None:
    key = native(gateway)
    batch = submit(gateway, key, 60, "true")
    scopes = [
        (f"/v1/batches/{batch}/events", "job,batch"),
        (f"/v1/batches/{batch}/events", "job,attempt,batch"),
        (f"/v1/batches/{batch}/events", "batch"),
        (f"/v1/jobs/{batch}-17/events", "job,attempt"),
    ]
    followers = [Follower(gateway, key, *scope, seed) for seed, scope in enumerate(scopes * 2)]
    for follower in followers:
        follower.up.set()
        follower.start()
    for _ in range(3):
        with client(gateway, key) as http:
            over = http.get(f"/v1/batches/{batch}").raise_for_status().json()["counts"].get("succeeded", 0)
            http.get(f"/v1/events?batch={batch}&kinds=job&wait=5&after={10**9}")
        for follower in followers:
            follower.up.clear()
        gateway.kill()
        gateway.start()
        for follower in followers:
            follower.up.set()
        assert over <= 60
    for follower in followers:
        follower.join(120)
        assert not follower.is_alive()
        assert follower.error is None, follower.error
    for follower, (address, kinds) in zip(followers, scopes * 2, strict=True):
        due = kept(gateway, key, address, kinds)
        assert follower.events == due
        assert [event["cursor"] for event in due] == sorted({event["cursor"] for event in due})
    assert followers[0].events[-1]["counts"] == {"succeeded": 60}
    assert [event["event"] for event in followers[2].events] == ["batch.ended"]
    assert sum(follower.connections for follower in followers) > len(followers) * 2


def test_a_cursor_that_was_told_before_the_end_gets_204_after_it(gateway: Gateway) -> None:
    key = native(gateway)
    batch = submit(gateway, key, 1, "true")
    with client(gateway, key) as http:
        with connect_sse(http, "GET", f"/v1/events?batch={batch}&after=0") as source:
            ids = [event.id for event in source.iter_sse()]
            assert source.response.headers["x-accel-buffering"] == "no"
            assert source.response.headers["cache-control"] == "no-store"
        for seen in ids[-2:]:
            headers = {**STREAM, "Last-Event-ID": seen}
            assert http.get(f"/v1/batches/{batch}/events", headers=headers).status_code == 204
        again = http.get(f"/v1/batches/{batch}/events", headers={**STREAM, "Last-Event-ID": ids[-3]})
        assert [line for line in again.text.splitlines() if line.startswith("event:")] == [
            "event: batch.ended",
            "event: end",
        ]


# --- many


@pytest.fixture
def files() -> Iterator[None]:
    """As many open files as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def megabytes(gateway: Gateway) -> float:
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return float(status.split("VmRSS:")[1].split()[0]) / 1024


def opened(stack: ExitStack, gateway: Gateway, key: str, address: str) -> socket.socket:
    """A connection that has asked for a stream; with little room for what comes."""
    host, port = gateway.url.removeprefix("http://").split(":")
    made = stack.enter_context(socket.socket())
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((host, int(port)))
    head = f"GET {address} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nAccept: text/event-stream\r\n\r\n"
    made.sendall(head.encode())
    return made


async def heard(source: socket.socket) -> bytes:
    """Everything until the end of the stream."""
    source.setblocking(False)  # noqa: FBT003  # as it is called
    loop, content = asyncio.get_running_loop(), bytearray()
    while b"event: end" not in content:
        piece = await loop.sock_recv(source, 1 << 16)
        assert piece, "the stream broke off"
        content += piece
    return bytes(content)


@pytest.mark.usefixtures("files")
def test_a_thousand_followers_of_whom_a_hundred_stall_cost_little_and_hear_all(gateway: Gateway) -> None:
    key = native(gateway)
    large = submit(gateway, key, 20_000, "true", held=True)
    small = submit(gateway, key, 20, "true", held=True)
    before = megabytes(gateway)
    with ExitStack() as stack:
        stalled = [opened(stack, gateway, key, f"/v1/events?batch={large}&after=0") for _ in range(STALLED)]
        reading = [opened(stack, gateway, key, f"/v1/batches/{small}/events?after=0") for _ in range(ALL - STALLED)]
        with client(gateway, key) as http:
            live = submit(gateway, key, 1, "true")  # who submits is answered meanwhile
            assert http.get(f"/v1/jobs/{live}-1?wait=30").raise_for_status().json()["state"] == "succeeded"
        ce = str(gateway.run("credential", "add", "lab", "--kind", "charity-engine")["value"])

        async def all_of_them() -> list[bytes]:
            return await asyncio.gather(*(heard(source) for source in reading))

        gateway.ask(ce, "job-abort", jobIds=[f"{small}-{number}" for number in range(1, 21)])
        contents = asyncio.run(all_of_them())
        grown = megabytes(gateway) - before
        due = [event["cursor"] for event in kept(gateway, key, f"/v1/batches/{small}/events", "job,batch")]
        for content in contents:
            lines = content.decode(errors="replace").splitlines()
            told = [json.loads(line[6:]) for line in lines if line.startswith("data: {") and line != "data: {}"]
            assert [event["cursor"] for event in told if event["event"] != "batch.counts"] == due
        assert len(due) == 41
        assert grown < 120, f"the gateway grew by {grown:.0f} MB"
        assert all(source.recv(16) for source in stalled[:3])
