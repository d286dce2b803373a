"""A blob that no record names does not stay for ever, and one that is needed is never taken away."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from inside import credential, with_gateway

from jobgate import app
from jobgate.files.disk import Disk
from jobgate.model.account import Kind
from jobgate.model.ids import Digest
from jobgate.runner.reaper import DAY, Reaper, Retention
from jobgate.store.sqlite import SqliteStore

CONTENT = b"u" * 100_000
HOUR = 3600.0


def blobs(gateway: app.Gateway) -> list[Path]:
    return [path for path in (gateway.data / "blobs").rglob("*") if path.is_file()]


def age(gateway: app.Gateway, seconds: float) -> None:
    """The blobs were stored so long ago."""
    then = gateway.context.clock() - seconds
    for blob in blobs(gateway):
        os.utime(blob, (then, then))


async def sweep(gateway: app.Gateway, *later: float) -> None:
    """A reaper sweeps so many seconds from now; the same one each time."""
    world = gateway.runner._world  # noqa: SLF001  # its clock is moved
    assert world is not None
    real, reaper = world.clock, Reaper(world, Retention())
    for seconds in later:
        world.clock = lambda seconds=seconds: real() + seconds  # type: ignore[misc]  # a default is no argument here
        await reaper.sweep()
    world.clock = real


async def upload(gateway: app.Gateway, client: httpx.AsyncClient) -> httpx.Response:
    key = await credential(gateway, "lab", Kind.CHARITY_ENGINE)
    url, headers = "/remotejobs/v2/file-upload", {"authorization": f"Bearer {key}"}
    return await client.post(url, content=CONTENT, headers=headers)


async def failing_upload(gateway: app.Gateway, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is stored, and its record is not."""
    put = Disk.put

    async def then_the_database_fails(self: Disk, source: bytes, *, limit: int | None) -> object:
        stored = await put(self, source, limit=limit)

        def broken(_: SqliteStore, connection: sqlite3.Connection) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(SqliteStore, "_begin", broken)
        return stored

    monkeypatch.setattr(Disk, "put", then_the_database_fails)
    answer = await upload(gateway, client)
    monkeypatch.undo()
    assert answer.status_code == 503
    assert len(blobs(gateway)) == 1


def test_an_upload_whose_record_could_not_be_written_is_deleted_a_day_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await failing_upload(gateway, client, monkeypatch)
        await sweep(gateway, 0, 2 * HOUR)
        assert len(blobs(gateway)) == 1
        age(gateway, DAY + HOUR)
        await sweep(gateway, 0)
        assert len(blobs(gateway)) == 1
        await sweep(gateway, 2 * HOUR)
        assert blobs(gateway) == []

    with_gateway(tmp_path, body)


def test_one_that_is_stored_again_in_time_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await failing_upload(gateway, client, monkeypatch)
        age(gateway, DAY + HOUR)
        await sweep(gateway, 0)
        assert (await upload(gateway, client)).json()["stored"] is True
        age(gateway, DAY + HOUR)
        await sweep(gateway, 2 * HOUR, 2 * HOUR + DAY, 4 * HOUR + DAY)
        assert len(blobs(gateway)) == 1

    with_gateway(tmp_path, body)


def test_what_uploads_jobs_and_logs_need_is_never_taken_for_lost(tmp_path: Path) -> None:
    line = "head -c 50000 /dev/zero > large; seq 1 20000"

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await upload(gateway, client)
        job = {"command": ["sh", "-c", line], "outputs": [{"path": "large"}]}
        made = (await client.post("/v1/jobs", json=job)).json()["id"]
        assert (await client.get(f"/v1/jobs/{made}?wait=30")).json()["state"] == "succeeded"
        assert len(blobs(gateway)) == 3
        age(gateway, 3 * DAY)
        await sweep(gateway, 0, 2 * HOUR, DAY + HOUR, DAY + 3 * HOUR)
        assert len(blobs(gateway)) == 3

    with_gateway(tmp_path, body)


def test_a_server_that_dies_while_it_deletes_leaves_what_the_next_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await failing_upload(gateway, client, monkeypatch)
        age(gateway, DAY + HOUR)
        await sweep(gateway, 0)

        async def dies(self: Disk, digests: Iterable[Digest]) -> None:
            raise OSError("killed")

        monkeypatch.setattr(Disk, "delete", dies)
        with pytest.raises(OSError, match="killed"):
            await sweep(gateway, 2 * HOUR)
        monkeypatch.undo()
        await sweep(gateway, 2 * HOUR, 4 * HOUR)
        assert blobs(gateway) == []

    with_gateway(tmp_path, body)


def test_the_storage_is_searched_once_a_day_and_not_at_every_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[object] = []
    aged = Disk.aged

    def counted(self: Disk, before: float) -> object:
        searched.append(asyncio.current_task())
        return aged(self, before)

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Disk, "aged", counted)
            await sweep(gateway, 0, 60, HOUR, DAY - 60, DAY + 60)
        assert searched.count(asyncio.current_task()) == 2  # the gateway's own reaper searches too, at its start

    with_gateway(tmp_path, body)
