"""The log of a job over HTTP: live, stored, cut, deleted, followed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from inside import account, served, with_gateway

from jobgate import app
from jobgate.config import Environment, Settings
from jobgate.model.events import Cancel, Release
from jobgate.model.ids import job_name
from jobgate.model.limits import Limits

LINES = b"".join(b"line %d \xff\n" % n for n in range(100))
SAYS = r"i=0; while [ $i -lt 100 ]; do printf 'line %d \377\n' $i; i=$((i+1)); done"
SMALL = Settings(environments={"local": Environment(slots=2, sandbox="none")}, limits=Limits(log=20_000))


async def begun(client: httpx.AsyncClient, line: str, **more: Any) -> str:
    made = (await client.post("/v1/jobs", json={"command": ["sh", "-c", line], **more})).raise_for_status().json()
    return str(made["id"])


async def over(client: httpx.AsyncClient, line: str, **more: Any) -> str:
    job = await begun(client, line, **more)
    assert (await client.get(f"/v1/jobs/{job}?wait=60")).json()["state"] in ("succeeded", "failed")
    return job


class Follower:
    """One answer that goes on, read as far as a test wants."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.pieces = answer.aiter_raw()
        self.read = b""

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(60):
            while not self.read.endswith(end):
                self.read += await anext(self.pieces)
        return self.read

    async def rest(self) -> bytes:
        async with asyncio.timeout(60):
            async for piece in self.pieces:
                self.read += piece
        return self.read


@pytest.mark.parametrize("most", [10 << 20, 20_000])
def test_what_the_engine_gave_back_of_a_log_is_cut_and_no_zeros_stand_for_it(tmp_path: Path, most: int) -> None:
    """The environment keeps less of a log than the limits would, or more."""
    place = Environment(slots=1, sandbox="none", log_cap=40_000)
    settings = Settings(environments={"local": place}, limits=Limits(log=most))

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await over(client, "yes a line of sixteen | head -n 100000; sleep 0.5; echo end")
        answer = await client.get(f"/v1/jobs/{job}/log")
        assert b"\0" not in answer.content
        assert answer.content.startswith(b"a line of sixteen\n" * 100)
        assert answer.content.endswith(b"a line of sixteen\nend\n")
        assert f"the log is limited to {min(most, 40_000)}".encode() in answer.content
        assert (answer.headers["log-truncated"], len(answer.content) < 41_000) == ("true", True)

    served(tmp_path, body, settings=settings)


@pytest.mark.parametrize("repeats", [1, 500], ids=["in the row", "a blob"])
def test_a_stored_log_is_read_from_any_place(tmp_path: Path, repeats: int) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await over(client, f"n=0; while [ $n -lt {repeats} ]; do {SAYS}; n=$((n+1)); done")
        whole, path = LINES * repeats, f"/v1/jobs/{job}/log"
        size = len(whole)
        answer = await client.get(path)
        assert (answer.status_code, answer.content) == (200, whole)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-length"] == str(size)
        assert answer.headers["log-complete"] == "true"
        assert (answer.headers["log-offset"], answer.headers["log-attempt"]) == ("0", "1")
        assert "log-truncated" not in answer.headers
        for wanted, first, last in (
            ("bytes=5-9", 5, 9),
            ("bytes=5-", 5, size - 1),
            ("bytes=-7", size - 7, size - 1),
            (f"bytes=1-{10**18 - 1}", 1, size - 1),
        ):
            part = await client.get(path, headers={"range": wanted})
            assert (part.status_code, part.content) == (206, whole[first : last + 1]), wanted
            assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
            assert part.headers["log-offset"] == str(first)
        past = await client.get(path, headers={"range": f"bytes={size}-"})
        assert (past.status_code, past.headers["content-range"]) == (416, f"bytes */{size}")
        assert (past.headers["content-type"], past.json()["code"]) == ("application/problem+json", "range")
        for ignored in ("bytes=9-5", "lines=1-2", "bytes=-", "bytes=1-2,4-5"):
            assert (await client.get(path, headers={"range": ignored})).content == whole
        for lines in (0, 1, 3, 100 * repeats, 10**9):
            tail = await client.get(path, params={"tail": lines})
            assert tail.content == b"".join(whole.splitlines(keepends=True)[-lines or size :])
            assert tail.headers["log-offset"] == str(size - len(tail.content))
        same = await client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        head = await client.head(path)
        assert (head.headers["content-length"], head.content) == (str(size), b"")
        assert (await client.get(path, params={"attempt": 1})).content == whole
        assert (await client.get(path, params={"attempt": 2})).status_code == 404
        assert (await client.get(path, params={"follow": "true"})).content == whole
        assert (await client.get(path, params={"tale": 1})).status_code == 422

    with_gateway(tmp_path, body)


def test_a_live_log_is_read_as_far_as_it_is_and_followed_to_its_end(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        fifo = tmp_path / "fifo"
        job = await begun(client, f"mkfifo {fifo}; echo one; read line < {fifo}; printf %s two; exit 3")
        path = f"/v1/jobs/{job}/log"
        async with client.stream("GET", path, params={"follow": "true"}) as answer:
            assert (answer.status_code, answer.headers["log-complete"]) == (200, "false")
            assert answer.headers["x-accel-buffering"] == "no"
            follower = Follower(answer)
            await follower.until(b"one\n")
            now = await client.get(path)
            assert (now.status_code, now.content, now.headers["log-complete"]) == (200, b"one\n", "false")
            part = await client.get(path, headers={"range": "bytes=1-99"})
            assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"ne\n", "bytes 1-3/*")
            later = await client.get(path, headers={"range": "bytes=4-"})
            assert (later.status_code, later.content, later.headers["log-offset"]) == (200, b"", "4")
            assert (await client.get(path, params={"tail": 1})).content == b"one\n"
            async with client.stream("GET", path, params={"follow": "true"}, headers={"range": "bytes=2-"}) as second:
                assert second.headers["log-offset"] == "2"
                fifo.write_text("go\n")
                assert await Follower(second).rest() == b"e\ntwo"
            assert await follower.rest() == b"one\ntwo"

    served(tmp_path / "data", body)


def test_the_last_bytes_of_a_job_are_never_lost_to_its_followers(tmp_path: Path) -> None:
    """Whatever is written right before the end, in whichever moment between live and stored it is read."""

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        async def one(number: int) -> None:
            size = (1, 5_000, 200_000)[number % 3]
            job = await begun(client, f"echo begin; head -c {size} /dev/zero | tr '\\0' x; printf end")
            async with client.stream("GET", f"/v1/jobs/{job}/log", params={"follow": "true"}) as answer:
                assert await Follower(answer).rest() == b"begin\n" + b"x" * size + b"end"

        for start in range(0, 60, 6):
            await asyncio.gather(*map(one, range(start, start + 6)))

    served(tmp_path / "data", body)


def test_a_follower_waits_for_a_job_that_has_not_begun_and_ends_with_one_that_never_does(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await begun(client, "echo done", held=True)
        async with client.stream("GET", f"/v1/jobs/{job}/log", params={"follow": "true"}) as answer:
            assert (answer.headers["log-complete"], answer.headers["log-offset"]) == ("false", "0")
            assert "log-attempt" not in answer.headers
            await gateway.store.write(lambda tx: tx.jobs.advance([(job_name(job).job, Release())], 1.0))
            assert await Follower(answer).rest() == b"done\n"
        job = await begun(client, "echo never", held=True)
        async with client.stream("GET", f"/v1/jobs/{job}/log", params={"follow": "true"}) as answer:
            await gateway.store.write(lambda tx: tx.jobs.advance([(job_name(job).job, Cancel(""))], 1.0))
            assert await Follower(answer).rest() == b""
        empty = await client.get(f"/v1/jobs/{job}/log")
        assert (empty.status_code, empty.content, empty.headers["log-complete"]) == (200, b"", "true")

    served(tmp_path / "data", body)


def test_the_next_attempts_log_comes_after_the_first_ones(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        mark = tmp_path / "mark"
        line = f"if test -e {mark}; then echo second; else touch {mark}; echo first; exit 1; fi"
        job = await begun(client, line, tries=2, held=True)
        path = f"/v1/jobs/{job}/log"
        async with client.stream("GET", path, params={"follow": "true"}) as answer:
            await gateway.store.write(lambda tx: tx.jobs.advance([(job_name(job).job, Release())], 1.0))
            assert await Follower(answer).rest() == b"first\nsecond\n"
        assert (await client.get(path)).content == b"second\n"
        assert (await client.get(path, params={"attempt": 1, "follow": "true"})).content == b"first\n"

    served(tmp_path / "data", body)


def test_a_server_that_stops_breaks_off_instead_of_ending(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await begun(client, "echo begun; sleep 600")
        async with client.stream("GET", f"/v1/jobs/{job}/log", params={"follow": "true"}) as answer:
            follower = Follower(answer)
            await follower.until(b"begun\n")
            gateway.feed.close()
            with pytest.raises(httpx.RemoteProtocolError):
                await follower.rest()

    served(tmp_path / "data", body)


def test_a_log_that_was_too_long_keeps_its_places_and_says_what_is_missing(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await over(client, f"n=0; while [ $n -lt 50 ]; do {SAYS}; n=$((n+1)); done")
        written, path = LINES * 50, f"/v1/jobs/{job}/log"
        size, half = len(written), 10_000
        whole = await client.get(path)
        mark = b"\n--- %d bytes were cut here; the log is limited to 20000 ---\n" % (size - 2 * half)
        assert whole.content == written[:half] + mark + written[-half:]
        assert whole.headers["log-truncated"] == "true"
        assert whole.headers["content-length"] == str(len(whole.content))

        async def part(first: int, last: int | str) -> tuple[str, bytes]:
            answer = await client.get(path, headers={"range": f"bytes={first}-{last}"})
            assert answer.status_code == 206
            return answer.headers["content-range"], answer.content

        assert await part(5, 8) == (f"bytes 5-8/{size}", written[5:9])
        assert await part(5, "") == (f"bytes 5-{half - 1}/{size}", written[5:half]), "up to the cut"
        tail = (f"bytes {size - half}-{size - 1}/{size}", written[-half:])
        assert await part(half, "") == tail, "behind the cut"
        assert await part(half + 1, size - 1) == tail
        assert await part(size - 3, "") == (f"bytes {size - 3}-{size - 1}/{size}", written[-3:])
        for lines in (1, 7):
            answer = await client.get(path, params={"tail": lines})
            assert answer.content == b"".join(written.splitlines(keepends=True)[-lines:])
        most = await client.get(path, params={"tail": 10**6})
        assert most.content == written[-half:]
        assert most.headers["log-offset"] == str(size - half)

    served(tmp_path, body, settings=SMALL)


def test_a_follower_goes_on_at_its_place_when_the_log_is_cut_at_its_end(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        fifo = tmp_path / "fifo"
        line = f"mkfifo {fifo}; head -c 60000 /dev/zero | tr '\\0' x; echo; read line < {fifo}; echo the end"
        job = await begun(client, line)
        async with client.stream("GET", f"/v1/jobs/{job}/log", params={"follow": "true"}) as answer:
            follower = Follower(answer)
            await follower.until(b"x\n")
            fifo.write_text("go\n")
            assert await follower.rest() == b"x" * 60_000 + b"\nthe end\n"

    served(tmp_path / "data", body, settings=SMALL)


def test_a_log_that_was_deleted_is_gone_and_anothers_is_not_there(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await over(client, f"n=0; while [ $n -lt 50 ]; do {SAYS}; n=$((n+1)); done")
        path = f"/v1/jobs/{job}/log"
        other = {"authorization": f"Bearer {await account(gateway, 'eve')}"}
        foreign = await client.get(path, headers=other)
        unknown = await client.get("/v1/jobs/2n6r0kqa-1/log", headers=other)
        assert foreign.status_code == unknown.status_code == 404
        assert {**foreign.json(), "instance": ""} == {**unknown.json(), "instance": ""}
        await gateway.store.write(lambda tx: tx.blobs.let_go(job_name(job).job, 0.0))
        for more in ({}, {"tail": "1"}, {"follow": "true"}):
            gone = await client.get(path, params=more)
            assert (gone.status_code, gone.json()["code"]) == (410, "gone")

    with_gateway(tmp_path, body)
