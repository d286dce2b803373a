"""Uploads over HTTP: whole, in parts, resumed, contested, refused."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from gateways import Gateway
from inside import account, served, with_gateway

from jobgate import app
from jobgate.config import Environment, Settings, Storage
from jobgate.model.ids import Digest
from jobgate.model.limits import Limits

CONTENT = bytes(range(256)) * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()
PATH = f"/v1/uploads/{HASH}"
LOCAL = {"local": Environment(slots=1, sandbox="none")}


def said(offset: int, length: int = len(CONTENT)) -> dict[str, str]:
    return {"upload-offset": str(offset), "upload-length": str(length)}


async def patch(client: httpx.AsyncClient, offset: int, content: bytes, **more: str) -> httpx.Response:
    return await client.patch(PATH, content=content, headers={**said(offset), **more})


def test_an_upload_comes_in_parts_is_found_again_and_is_used_by_a_job(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        assert (await client.head(PATH)).status_code == 404
        first = await patch(client, 0, CONTENT[:100_000])
        assert (first.status_code, first.headers["upload-offset"], first.content) == (204, "100000", b"")
        state = await client.head(PATH)
        assert state.status_code == 200
        assert state.headers["upload-offset"] == "100000"
        assert state.headers["upload-length"] == str(len(CONTENT))
        assert state.headers["upload-complete"] == "?0"
        assert (await client.get(PATH)).status_code == 404, "it is not whole"
        wrong = await patch(client, 99_999, CONTENT[99_999:])
        assert (wrong.status_code, wrong.json()["code"], wrong.headers["upload-offset"]) == (409, "offset", "100000")
        last = await patch(client, 100_000, CONTENT[100_000:])
        assert (last.status_code, last.json()) == (201, {"sha256": HASH, "size": len(CONTENT)})
        again = await client.head(PATH)
        assert (again.headers["upload-complete"], again.headers["upload-offset"]) == ("?1", str(len(CONTENT)))
        late = await patch(client, 5, b"x")
        assert (late.status_code, late.headers["upload-offset"]) == (409, str(len(CONTENT)))
        assert (await patch(client, len(CONTENT), b"")).status_code == 200
        assert (await client.get(PATH)).content == CONTENT
        part = await client.get(PATH, headers={"range": "bytes=3-5"})
        assert (part.status_code, part.content) == (206, CONTENT[3:6])
        job = {"command": ["sha256sum", "in"], "inputs": [{"path": "in", "upload": HASH}]}
        made = (await client.post("/v1/jobs", json=job)).raise_for_status().json()["id"]
        assert (await client.get(f"/v1/jobs/{made}?wait=30")).json()["state"] == "succeeded"
        assert (await client.get(f"/v1/jobs/{made}/log")).text.startswith(HASH)
        listed = (await client.get("/v1/uploads")).json()
        assert [(item["sha256"], item["size"]) for item in listed["items"]] == [(HASH, len(CONTENT))]
        assert {"used", "expires"} <= listed["items"][0].keys()
        assert listed["next"] is None
        assert (await client.delete(PATH)).status_code == 204
        assert (await client.delete(PATH)).status_code == 404
        assert (await client.head(PATH)).status_code == 404

    with_gateway(tmp_path, body)


def test_raw_bytes_and_forms_are_stored_whatever_they_say_they_are(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        made = await client.post("/v1/uploads", content=CONTENT)
        assert (made.status_code, made.json()) == (201, {"sha256": HASH, "size": len(CONTENT)})
        assert made.headers["location"] == PATH
        assert (await client.post("/v1/uploads", files={"file": CONTENT})).status_code == 200
        text = b'{"a": 1}'
        made = await client.post("/v1/uploads", content=text, headers={"content-type": "application/json"})
        assert made.json()["sha256"] == hashlib.sha256(text).hexdigest()
        page = (await client.get("/v1/uploads?limit=1")).json()
        rest = (await client.get(page["next"])).json()
        hashes = [item["sha256"] for item in (*page["items"], *rest["items"])]
        assert hashes == sorted([HASH, hashlib.sha256(text).hexdigest()])

    with_gateway(tmp_path, body)


def test_knowing_a_hash_gives_nobody_what_another_stored(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await client.post("/v1/uploads", content=CONTENT)
        eve = {"authorization": f"Bearer {await account(gateway, 'eve')}"}
        for method in ("HEAD", "GET", "DELETE"):
            assert (await client.request(method, PATH, headers=eve)).status_code == 404
        job = {"command": ["true"], "inputs": [{"path": "in", "upload": HASH}]}
        assert (await client.post("/v1/jobs", json=job, headers=eve)).status_code == 404
        await client.put("/v1/folders/f", headers=eve)
        linked = await client.put("/v1/folders/f/files/x", json={"upload": HASH}, headers=eve)
        assert (linked.status_code, linked.json()["code"]) == (404, "file-not-found")
        skipped = await patch(client, len(CONTENT), b"", **eve)
        assert (skipped.status_code, skipped.headers["upload-offset"]) == (409, "0")
        assert (await patch(client, 0, CONTENT[:9], **eve)).status_code == 204
        assert (await client.head(PATH, headers=eve)).headers["upload-offset"] == "9"
        assert (await client.head(PATH)).headers["upload-complete"] == "?1"

    with_gateway(tmp_path, body)


def test_another_content_than_the_hash_says_is_discarded(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await patch(client, 0, CONTENT[:100])
        wrong = await patch(client, 100, bytes(len(CONTENT) - 100))
        assert (wrong.status_code, wrong.json()["code"]) == (422, "mismatch")
        assert (await client.head(PATH)).status_code == 404
        assert (await patch(client, 0, CONTENT)).status_code == 201

    with_gateway(tmp_path, body)


WRONG = (("", "5"), ("0", ""), ("-1", "5"), ("0", "1e9"), ("x", "5"), ("0", "9" * 19), ("\u0663", "5"))


@pytest.mark.parametrize(("offset", "length"), WRONG)
def test_what_is_no_number_of_bytes_is_refused(tmp_path: Path, offset: str, length: str) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        headers = httpx.Headers({"upload-offset": offset, "upload-length": length}, encoding="utf-8")
        refused = await client.patch(PATH, content=b"x", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
        assert (await client.head(PATH)).status_code == 404

    with_gateway(tmp_path, body)


@pytest.mark.parametrize("name", ["x", "A" * 64, "0" * 63, "0" * 65, "..%2f..", "0" * 63 + "/"])
def test_what_is_no_hash_is_no_upload(tmp_path: Path, name: str) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        for method in ("HEAD", "GET", "PATCH", "DELETE"):
            answer = await client.request(method, f"/v1/uploads/{name}", headers=said(0))
            assert answer.status_code == 404, method
        assert not list((tmp_path / "blobs" / "partial").iterdir())

    with_gateway(tmp_path, body)


def test_of_two_that_send_the_same_part_one_wins(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield CONTENT[:50_000]
            begun.set()
            await go_on.wait()
            yield CONTENT[50_000:]

        length = {"content-length": str(len(CONTENT))}
        first = asyncio.create_task(client.patch(PATH, content=slow(), headers={**said(0), **length}))
        await begun.wait()
        while (state := await client.head(PATH)).status_code == 404:  # it is on its way
            pass
        second = await patch(client, int(state.headers["upload-offset"]), CONTENT)
        assert (second.status_code, second.json()["code"]) == (409, "upload-busy")
        assert (await client.delete(PATH)).status_code == 409
        go_on.set()
        assert (await first).status_code == 201
        assert (await client.get(PATH)).content == CONTENT

    served(tmp_path, body)


def test_more_than_an_account_may_store_is_refused_before_it_comes(tmp_path: Path) -> None:
    settings = Settings(environments=LOCAL, storage=Storage(reserve=0), limits=Limits(storage=300_000))

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        assert (await patch(client, 0, CONTENT[:10])).status_code == 204
        other = hashlib.sha256(b"y" * 50_000).hexdigest()
        refused = await client.patch(f"/v1/uploads/{other}", content=b"y", headers=said(0, 50_000))
        assert (refused.status_code, refused.json()["code"]) == (429, "storage-quota"), "the announced ones count"
        assert (await client.delete(PATH)).status_code == 204
        made = await client.patch(f"/v1/uploads/{other}", content=b"y" * 50_000, headers=said(0, 50_000))
        assert made.status_code == 201
        refused = await patch(client, 0, CONTENT)
        assert (refused.status_code, refused.json()["code"]) == (429, "storage-quota")
        refused = await client.post("/v1/uploads", content=CONTENT)
        assert (refused.status_code, refused.json()["code"]) == (429, "storage-quota")
        assert await gateway.store.read(lambda tx: tx.blobs.orphans(float("inf"), 9)) == [Digest(HASH)]

    served(tmp_path, body, settings=settings)


def test_what_the_disk_has_no_room_for_is_refused_before_it_comes(tmp_path: Path) -> None:
    settings = Settings(environments=LOCAL, storage=Storage(reserve=0), limits=Limits(upload=1 << 59))

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        huge = await client.patch(PATH, content=b"x", headers=said(0, 1 << 59))
        assert (huge.status_code, huge.json()["code"]) == (507, "storage-full")
        assert "retry-after" in huge.headers
        larger = await client.patch(PATH, content=b"x", headers=said(0, (1 << 59) + 1))
        assert (larger.status_code, larger.json()["code"]) == (413, "too-large")
        assert (await client.head(PATH)).status_code == 404

    served(tmp_path, body, settings=settings)


def test_after_a_kill_it_is_gone_on_from_what_is_on_disk(gateway: Gateway) -> None:
    gateway.run("account", "create", "lab")
    key = gateway.run("credential", "add", "lab", "--kind", "api-key")["value"]
    headers = {"authorization": f"Bearer {key}"}

    def half() -> Iterator[bytes]:
        yield CONTENT[:200_000]
        while int(httpx.head(gateway.url + PATH, headers=headers).headers.get("upload-offset", 0)) < 200_000:
            pass
        gateway.kill()
        yield CONTENT[200_000:]

    with pytest.raises(httpx.TransportError):
        httpx.patch(gateway.url + PATH, content=half(), headers={**headers, **said(0)})
    gateway.start()
    state = httpx.head(gateway.url + PATH, headers=headers)
    assert state.headers["upload-offset"] == "200000"
    rest = httpx.patch(gateway.url + PATH, content=CONTENT[200_000:], headers={**headers, **said(200_000)})
    assert rest.status_code == 201
    assert httpx.get(gateway.url + PATH, headers=headers).content == CONTENT
