"""What of an attempt rides in the row: its small files and its small log together, and no more than there is room."""

from __future__ import annotations

from pathlib import Path

import httpx
from inside import with_gateway

from jobgate import app
from jobgate.model.attempt import LOG
from jobgate.model.files import ARTIFACT_INLINE_LIMIT, ATTEMPT_INLINE_LIMIT
from jobgate.model.ids import job_name


def test_the_small_log_takes_its_part_of_the_room_that_files_have_in_the_row(tmp_path: Path) -> None:
    files = ATTEMPT_INLINE_LIMIT // ARTIFACT_INLINE_LIMIT
    line = f"for i in $(seq {files}); do head -c {ARTIFACT_INLINE_LIMIT} /dev/zero > out/$i; done; echo said"

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = {"command": ["sh", "-c", f"mkdir -p out; {line}"], "outputs": [{"path": "out", "kind": "directory"}]}
        name = (await client.post("/v1/jobs", json=job)).json()["id"]
        await client.get(f"/v1/jobs/{name}?wait=30")
        (attempt,) = (await gateway.store.read(lambda tx: tx.jobs.get([job_name(name).job])))[job_name(name).job][1]
        kept = [*attempt.outputs, *attempt.logs.values()]
        assert attempt.logs[LOG].inline == b"said\n"
        assert sum(len(a.inline) for a in kept if a.inline is not None) <= ATTEMPT_INLINE_LIMIT
        assert [a.inline is None for a in attempt.outputs] == [False] * (files - 1) + [True]

    with_gateway(tmp_path, body)


def test_a_log_too_large_for_the_row_leaves_the_room_to_the_files(tmp_path: Path) -> None:
    line = f"head -c {ARTIFACT_INLINE_LIMIT} /dev/zero > file; seq 1 5000; echo end"

    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = {"command": ["sh", "-c", line], "outputs": [{"path": "file"}]}
        name = (await client.post("/v1/jobs", json=job)).json()["id"]
        await client.get(f"/v1/jobs/{name}?wait=30")
        (attempt,) = (await gateway.store.read(lambda tx: tx.jobs.get([job_name(name).job])))[job_name(name).job][1]
        log = attempt.logs[LOG]
        assert log.inline is None
        content = b"".join([piece async for piece in gateway.storage.open(log.digest)])
        assert content.endswith(b"5000\nend\n")
        assert attempt.outputs[0].inline is not None

    with_gateway(tmp_path, body)
