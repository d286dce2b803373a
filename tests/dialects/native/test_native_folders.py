"""Folders over HTTP: named, listed, filled, guarded, emptied; and their files as inputs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from inside import account, with_gateway

from jobgate import app
from jobgate.model.events import Release
from jobgate.model.ids import job_name


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_folder_is_made_once_listed_by_name_and_deleted_when_it_is_empty(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        assert (await client.get("/v1/folders")).json() == {"items": [], "next": None}
        made = await client.put("/v1/folders/b")
        assert made.status_code == 201
        assert made.json() | {"created": ""} == {"name": "b", "files": 0, "size": 0, "created": ""}
        assert (await client.put("/v1/folders/b")).status_code == 200
        for name in ("a", "d", "ü €"):
            assert (await client.put(f"/v1/folders/{quote(name)}")).status_code == 201
        page = (await client.get("/v1/folders?limit=3")).json()
        assert [folder["name"] for folder in page["items"]] == ["a", "b", "d"]
        rest = await client.get(page["next"])
        assert [folder["name"] for folder in rest.json()["items"]] == ["ü €"]
        await client.put("/v1/folders/b/files/x", content=b"12345")
        assert (await client.get("/v1/folders/b")).json()["size"] == 5
        full = await client.delete("/v1/folders/b")
        assert (full.status_code, full.json()["code"]) == (409, "folder-not-empty")
        assert (await client.delete("/v1/folders/b?force=true")).status_code == 204
        assert (await client.delete("/v1/folders/a")).status_code == 204
        assert (await client.get("/v1/folders/a")).status_code == 404

    with_gateway(tmp_path, body)


def test_a_file_is_put_read_replaced_and_deleted(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        path = f"/v1/folders/data/files/{quote('in/ü €')}"
        assert (await client.put(path, content=b"one")).status_code == 404, "no folder is made by the way"
        await client.put("/v1/folders/data")
        made = await client.put(path, content=b"one")
        assert made.status_code == 201
        assert made.json() | {"modified": ""} == {
            "path": "in/ü €",
            "size": 3,
            "sha256": digest(b"one"),
            "modified": "",
        }
        assert made.headers["location"] == path
        read = await client.get(path)
        assert (read.content, read.headers["etag"]) == (b"one", made.headers["etag"])
        assert "filename*=UTF-8''%C3%BC%20%E2%82%AC" in read.headers["content-disposition"]
        part = await client.get(path, headers={"range": "bytes=1-"})
        assert (part.status_code, part.content) == (206, b"ne")
        same = await client.get(path, headers={"if-none-match": made.headers["etag"]})
        assert same.status_code == 304
        head = await client.head(path)
        assert (head.headers["content-length"], head.content) == ("3", b"")
        assert (await client.put(path, content=b"another")).status_code == 200
        assert (await client.get(path)).content == b"another"
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404
        assert (await client.delete(path)).status_code == 404

    with_gateway(tmp_path, body)


def test_a_condition_that_does_not_hold_changes_nothing(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await client.put("/v1/folders/f")
        path = "/v1/folders/f/files/x"
        right, wrong = f'"{digest(b"one")}"', f'"{digest(b"two")}"'

        async def put(content: bytes, **conditions: str) -> int:
            headers = {name.replace("_", "-"): value for name, value in conditions.items()}
            return (await client.put(path, content=content, headers=headers)).status_code

        assert await put(b"one", if_match=right) == 412
        assert await put(b"one", if_match="*") == 412
        assert await put(b"one", if_none_match="*") == 201
        assert await put(b"two", if_none_match="*") == 412
        assert await put(b"two", if_match=wrong) == 412
        assert await put(b"two", if_match="nonsense") == 412
        refused = await client.delete(path, headers={"if-match": wrong})
        assert (refused.status_code, refused.json()["code"]) == (412, "changed")
        assert (await client.get(path)).content == b"one"
        assert await put(b"two", if_match=f"{wrong}, W/{right}") == 412
        assert await put(b"two", if_match=f"{wrong}, {right}") == 200
        assert await put(b"three", if_match="*") == 200
        assert (await client.delete(path, headers={"if-match": f'"{digest(b"three")}"'})).status_code == 204

    with_gateway(tmp_path, body)


def test_an_upload_becomes_a_file_without_its_bytes_being_sent_again(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await client.put("/v1/folders/f")
        await client.post("/v1/uploads", content=b"content")
        made = await client.put("/v1/folders/f/files/x", json={"upload": digest(b"content")})
        assert made.status_code == 201
        await client.delete(f"/v1/uploads/{digest(b'content')}")
        assert (await client.get("/v1/folders/f/files/x")).content == b"content"
        unknown = await client.put("/v1/folders/f/files/x", json={"upload": digest(b"other")})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "file-not-found")
        faulty = await client.put("/v1/folders/f/files/x", json={"upload": "x"})
        assert (faulty.status_code, faulty.json()["errors"][0]["pointer"]) == (422, "#/upload")

    with_gateway(tmp_path, body)


def test_a_list_has_pages_and_prefixes(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await client.put("/v1/folders/f")
        names = ["a", "b/1", "b/2", "b/3", "b%c", "c"]
        for name in reversed(names):
            await client.put(f"/v1/folders/f/files/{quote(name)}", content=name.encode())

        async def listed(address: str | None) -> list[str]:
            found = []
            while address is not None:
                page = (await client.get(address)).json()
                found += [item["path"] for item in page["items"]]
                address = page["next"]
            return found

        for limit in (1, 2, 6, 100):
            assert await listed(f"/v1/folders/f/files?limit={limit}") == sorted(names)
        assert await listed("/v1/folders/f/files?prefix=b/&limit=2") == ["b/1", "b/2", "b/3"]
        assert await listed("/v1/folders/f/files?prefix=b%25") == ["b%c"]
        assert await listed("/v1/folders/f/files?prefix=d") == []
        first = await client.get("/v1/folders/f/files?limit=1")
        assert first.headers["link"] == f'<{first.json()["next"]}>; rel="next"'

    with_gateway(tmp_path, body)


@pytest.mark.parametrize("name", ["%00", "a%0ab", "x" * 256, "%ff"])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        assert (await client.put(f"/v1/folders/{name}")).status_code in (404, 422)
        await client.put("/v1/folders/f")
        assert (await client.put(f"/v1/folders/f/files/{name}", content=b"x")).status_code in (404, 422)
        assert (await client.get("/v1/folders/f")).json()["files"] == 0

    with_gateway(tmp_path, body)


@pytest.mark.parametrize("path", ["%2e%2e/x", "a/%2e%2e/b", "%2e", "a/%2e/b"])
def test_a_path_that_climbs_is_no_path(tmp_path: Path, path: str) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await client.put("/v1/folders/f")
        assert (await client.put(f"/v1/folders/f/files/{path}", content=b"x")).status_code in (404, 405, 422)
        assert (await client.get("/v1/folders/f")).json()["files"] == 0

    with_gateway(tmp_path, body)


def test_anothers_folder_looks_like_one_that_is_not_there(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await client.put("/v1/folders/f")
        await client.put("/v1/folders/f/files/x", content=b"secret")
        eve = {"authorization": f"Bearer {await account(gateway, 'eve')}"}
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("DELETE", "?force=true"),
            ("GET", "/files"),
            ("GET", "/files/x"),
            ("PUT", "/files/x"),
            ("DELETE", "/files/x"),
        ):
            foreign = await client.request(method, f"/v1/folders/f{path}", headers=eve)
            unknown = await client.request(method, f"/v1/folders/g{path}", headers=eve)
            assert foreign.status_code == unknown.status_code == 404
            assert {**foreign.json(), "instance": ""} == {**unknown.json(), "instance": ""}
        job = {"command": ["true"], "inputs": [{"path": "in", "file": "f/x"}]}
        assert (await client.post("/v1/jobs", json=job, headers=eve)).status_code == 404

    with_gateway(tmp_path, body)


def test_a_job_gets_the_file_as_it_was_when_it_was_submitted(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await client.put("/v1/folders/data")
        path = "/v1/folders/data/files/in/a.txt"
        await client.put(path, content=b"then")
        job = {"command": ["cat", "x"], "inputs": [{"path": "x", "file": "data/in/a.txt"}]}
        first = (await client.post("/v1/jobs", json=job | {"held": True})).raise_for_status().json()["id"]
        await client.put(path, content=b"now")
        second = (await client.post("/v1/jobs", json=job)).raise_for_status().json()["id"]
        await client.delete("/v1/folders/data?force=true")
        await gateway.store.write(lambda tx: tx.jobs.advance([(job_name(first).job, Release())], 1.0))
        for name, content in ((first, b"then"), (second, b"now")):
            assert (await client.get(f"/v1/jobs/{name}?wait=30")).json()["state"] == "succeeded"
            assert (await client.get(f"/v1/jobs/{name}/log")).content == content
        missing = await client.post("/v1/jobs", json=job)
        assert (missing.status_code, missing.json()["code"]) == (404, "file-not-found")
        late = (await client.put(path, content=b"x")).json()
        assert (late["status"], late["code"], "PUT /v1/folders/NAME" in late["next"]) == (404, "folder-not-found", True)
        for wrong in ("data", "data/", "/x", "data/../x", "data//x"):
            refused = await client.post(
                "/v1/jobs", json={"command": ["true"], "inputs": [{"path": "x", "file": wrong}]}
            )
            assert refused.status_code == 422, wrong
            assert refused.json()["errors"][0]["pointer"] == "#/inputs/0/file"

    with_gateway(tmp_path, body)
