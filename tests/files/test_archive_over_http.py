"""The archive of a real job, over HTTP."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from inside import account, with_gateway

from jobgate import app
from jobgate.model.ids import job_name

LINE = "mkdir -p out/d; echo 1 > out/d/a; head -c 99999 /dev/zero > out/large; echo 2 > b; chmod 755 b; echo 3 > c.txt"
OUTPUTS = [{"path": "out", "kind": "directory"}, {"path": "b"}, {"path": "*.txt", "kind": "wildcard"}]
JOB = {"command": ["sh", "-c", LINE], "outputs": OUTPUTS}


async def ended(client: httpx.AsyncClient, job: dict[str, Any]) -> dict[str, Any]:
    made = (await client.post("/v1/jobs", json=job)).raise_for_status().json()
    found: dict[str, Any] = (await client.get(f"/v1/jobs/{made['id']}?wait=30")).json()
    assert found["state"] == "succeeded", found
    return found


def test_all_files_of_a_job_come_as_one_zip_under_the_paths_they_had(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await ended(client, JOB)
        path = f"/v1/jobs/{job['id']}/archive"
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert f'filename="{job["id"]}.zip"' in answer.headers["content-disposition"]
        with zipfile.ZipFile(io.BytesIO(answer.content)) as unpacked:
            assert unpacked.testzip() is None
            assert unpacked.namelist() == ["out/large", "out/d/a", "b", "c.txt"]
            assert unpacked.read("out/large") == bytes(99_999)
            assert [unpacked.read(name) for name in ("out/d/a", "b", "c.txt")] == [b"1\n", b"2\n", b"3\n"]
            assert oct(unpacked.getinfo("b").external_attr >> 16) == "0o100755"
            over = datetime.fromisoformat(job["ended"]).astimezone(UTC)
            assert {info.date_time[:5] for info in unpacked.infolist()} == {over.timetuple()[:5]}
        head = await client.head(path)
        assert (head.headers["content-length"], head.content) == (answer.headers["content-length"], b"")
        assert (await client.get(path)).content == answer.content
        one = await client.get(f"{path}?output=1")
        assert zipfile.ZipFile(io.BytesIO(one.content)).namelist() == ["b"]
        assert (await client.get(f"{path}?output=3")).status_code == 404
        assert (await client.get(f"{path}?output=x")).status_code == 422

    with_gateway(tmp_path, body)


def test_a_job_that_is_not_over_has_no_archive_yet_and_one_without_files_has_an_empty_one(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        held = (await client.post("/v1/jobs", json={"command": ["true"], "held": True})).json()["id"]
        early = await client.get(f"/v1/jobs/{held}/archive")
        assert (early.status_code, early.json()["code"]) == (409, "job-active")
        job = await ended(client, {"command": ["true"]})
        empty = await client.get(f"/v1/jobs/{job['id']}/archive")
        assert zipfile.ZipFile(io.BytesIO(empty.content)).namelist() == []

    with_gateway(tmp_path, body)


def test_anothers_archive_looks_like_one_that_is_not_there(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await ended(client, JOB)
        other = {"authorization": f"Bearer {await account(gateway, 'eve')}"}
        foreign = await client.get(f"/v1/jobs/{job['id']}/archive", headers=other)
        unknown = await client.get("/v1/jobs/2n6r0kqb-1/archive", headers=other)
        assert foreign.status_code == unknown.status_code == 404
        said = [{name: value for name, value in one.json().items() if name != "instance"} for one in (foreign, unknown)]
        assert said[0] == said[1]

    with_gateway(tmp_path, body)


def test_files_that_are_deleted_are_told_of_instead_of_half_an_archive(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await ended(client, JOB)
        await gateway.store.write(lambda tx: tx.blobs.let_go(job_name(job["id"]).job, 0.0))
        gone = await client.get(f"/v1/jobs/{job['id']}/archive")
        assert (gone.status_code, gone.json()["code"]) == (410, "gone")
        small = await client.get(f"/v1/jobs/{job['id']}/archive?output=1")
        assert small.status_code == 200

    with_gateway(tmp_path, body)
