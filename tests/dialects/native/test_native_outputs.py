"""Job files one by one, and the archive of a batch, over HTTP."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from inside import account, served, with_gateway

from jobgate import app
from jobgate.model.account import Principal
from jobgate.model.errors import Gone
from jobgate.model.ids import JobId, batch_id, job_name
from jobgate.model.operations import Request
from jobgate.model.storing import ArchiveBatch, Gathered
from jobgate.operations.handle import handle

LINE = "mkdir -p out/d; echo 1 > out/d/a; head -c 99999 /dev/zero > 'out/la rge'; echo 2 > b; chmod 755 b; echo 3 > c.t"
OUTPUTS = [{"path": "out", "kind": "directory"}, {"path": "b"}, {"path": "*.t", "kind": "wildcard"}, {"path": "b"}]
JOB = {"command": ["sh", "-c", LINE], "outputs": OUTPUTS}


async def ended(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> str:
    made = (await client.post(path, json=body)).raise_for_status().json()["id"]
    await client.get(f"{path}/{made}?wait=60")
    return str(made)


def test_every_file_that_is_listed_is_read_under_its_path_and_is_the_archives(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await ended(client, "/v1/jobs", JOB)
        path = f"/v1/jobs/{job}"
        listed = (await client.get(f"{path}/files")).json()
        assert listed["next"] is None
        assert [(f["path"], f["output"], f["mode"]) for f in listed["items"]] == [
            ("out/la rge", 0, 0o644),
            ("out/d/a", 0, 0o644),
            ("b", 1, 0o755),
            ("c.t", 2, 0o644),
        ]
        shown = (await client.get(path)).json()["outputs"]
        assert {file["path"] for file in shown} == {file["path"] for file in listed["items"]}
        with zipfile.ZipFile(io.BytesIO((await client.get(f"{path}/archive")).content)) as archive:
            assert archive.namelist() == [file["path"] for file in listed["items"]]
            for file in listed["items"]:
                answer = await client.get(f"{path}/files/{file['path']}")
                assert answer.content == archive.read(file["path"])
                assert answer.headers["etag"] == f'"{file["sha256"]}"'
                assert len(answer.content) == file["size"]
        large = f"{path}/files/out/la%20rge"
        part = await client.get(large, headers={"range": "bytes=-9"})
        assert (part.status_code, part.headers["content-range"]) == (206, "bytes 99990-99998/99999")
        head = await client.head(large)
        assert (head.headers["content-length"], head.content) == ("99999", b"")
        for wrong in ("la rge", "out", "out/", "x", "%2e%2e/b"):
            assert (await client.get(f"{path}/files/{wrong}")).status_code == 404, wrong
        page = (await client.get(f"{path}/files?limit=3")).json()
        assert len(page["items"]) == 3
        assert [file["path"] for file in (await client.get(page["next"])).json()["items"]] == ["c.t"]

    with_gateway(tmp_path, body)


def test_files_of_a_job_that_is_not_over_deleted_or_anothers(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        held = (await client.post("/v1/jobs", json=JOB | {"held": True})).json()["id"]
        for below in ("", "/b"):
            early = await client.get(f"/v1/jobs/{held}/files{below}")
            assert (early.status_code, early.json()["code"]) == (409, "job-active")
        job = await ended(client, "/v1/jobs", JOB)
        eve = {"authorization": f"Bearer {await account(gateway, 'eve')}"}
        for below in ("", "/b", "/x"):
            assert (await client.get(f"/v1/jobs/{job}/files{below}", headers=eve)).status_code == 404
        await gateway.store.write(lambda tx: tx.blobs.let_go(job_name(job).job, 0.0))
        for below in ("", "/out/la rge"):
            gone = await client.get(f"/v1/jobs/{job}/files{below}")
            assert (gone.status_code, gone.json()["code"]) == (410, "gone")
        assert (await client.get(f"/v1/jobs/{job}/files/b")).content == b"2\n", "it rides in the row"

    with_gateway(tmp_path, body)


BATCH = {
    "jobs": [
        {"command": ["sh", "-c", "echo say; echo 1 > a"], "outputs": [{"path": "a"}, {"path": "log.txt"}]},
        {"command": ["sh", "-c", "echo mine > log.txt; echo said"], "outputs": [{"path": "log.txt"}]},
        {"command": ["sh", "-c", "head -c 70000 /dev/zero > big; exit 3"], "outputs": [{"path": "big"}]},
        {"command": ["true"]},
    ]
}


def test_the_archive_of_a_batch_has_each_jobs_files_below_its_number(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        batch = await ended(client, "/v1/batches", BATCH)
        path = f"/v1/batches/{batch}/archive"
        answer = await client.get(path)
        assert answer.headers["content-type"] == "application/zip"
        assert f'filename="{batch}.zip"' in answer.headers["content-disposition"]
        assert "content-length" not in answer.headers
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == ["1/a", "2/log.txt", "3/big"]
            assert archive.read("3/big") == bytes(70_000)
        logged = await client.get(f"{path}?logs=true")
        with zipfile.ZipFile(io.BytesIO(logged.content)) as archive:
            assert archive.namelist() == ["1/log.txt", "1/a", "2/log.txt", "2/log (2).txt", "3/big"]
            assert archive.read("1/log.txt") == b"say\n"
            assert archive.read("2/log (2).txt") == b"mine\n"
        assert (await client.head(path)).status_code == 200
        file.write_bytes(logged.content)
        eve = {"authorization": f"Bearer {await account(gateway, 'eve')}"}
        assert (await client.get(path, headers=eve)).status_code == 404

    file, unzip = tmp_path / "got.zip", shutil.which("unzip")
    served(tmp_path / "data", body)
    assert unzip, "unzip is provisioned"
    subprocess.run([unzip, "-tq", str(file)], check=True, capture_output=True)  # noqa: S603  # our own file


def test_a_batch_that_is_not_over_gives_what_there_is_only_when_asked(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        batch = await ended(client, "/v1/batches", BATCH | {"held": True})
        path = f"/v1/batches/{batch}/archive"
        early = await client.get(path)
        assert (early.status_code, early.json()["code"]) == (409, "job-active")
        some = await client.get(f"{path}?partial=true")
        assert zipfile.ZipFile(io.BytesIO(some.content)).namelist() == []

    with_gateway(tmp_path, body)


def test_what_is_deleted_already_is_told_at_once_and_what_is_deleted_meanwhile_breaks_it_off(tmp_path: Path) -> None:
    job = {"command": ["sh", "-c", "head -c 70000 /dev/zero > big"], "outputs": [{"path": "big"}]}

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        batch = await ended(client, "/v1/batches", {"template": job, "count": 60})
        path = f"/v1/batches/{batch}/archive"
        last = JobId(batch_id(batch) + 59 * 64)
        await gateway.store.write(lambda tx: tx.blobs.let_go(last, 0.0))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(path)
        rest = await client.get(f"{path}?partial=true")
        assert len(zipfile.ZipFile(io.BytesIO(rest.content)).namelist()) == 59
        await gateway.store.write(lambda tx: tx.blobs.let_go(JobId(batch_id(batch)), 0.0))
        gone = await client.get(path)
        assert (gone.status_code, gone.json()["code"]) == (410, "gone")

    served(tmp_path, body)


def test_a_job_that_is_deleted_while_it_is_sent_breaks_it_off(tmp_path: Path) -> None:
    job = {"command": ["sh", "-c", "echo 1 > a"], "outputs": [{"path": "a"}]}

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        batch = batch_id(await ended(client, "/v1/batches", {"template": job, "count": 3}))
        owner = await gateway.store.read(lambda tx: tx.accounts.named("lab"))
        asked = Request(operation=ArchiveBatch(batch=batch), principal=Principal(account=owner.id, name="lab"))
        outcome = await handle(gateway.context, asked)
        assert isinstance(outcome, Gathered)
        await gateway.store.write(lambda tx: tx.jobs.delete([JobId(batch + 64)], 0.0))
        with pytest.raises(Gone):
            [bundle async for bundle in outcome.bundles]

    with_gateway(tmp_path, body)
