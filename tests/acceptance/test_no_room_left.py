"""A gateway on a disk with not a byte left: what needs room is refused whole, everything else goes on."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import Gateway
from small_disks import fill, make_room, mounted
from trees import needs_root

pytestmark = needs_root

CONFIG = """
[storage]
reserve = "1 MiB"
[environments.local]
slots = 2
grace = 0.5
defaults = { disk = "1 MiB" }
"""
LOUD = {"command": ["sh", "-c", "while sleep 0.01; do echo a line of a job that does not end; done"]}
TRUE = {"command": ["true"]}
LEAVES = {"command": ["sh", "-c", "echo made > made"], "outputs": [{"path": "made"}]}
WHOLE = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(WHOLE).hexdigest()
HALF = len(WHOLE) // 2


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", "64m") as place:
        yield place


@pytest.fixture
def cramped(small: Path) -> Iterator[Gateway]:
    """Its log lies on the small disk too."""
    for above in list(small.parents)[:3]:
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    made = Gateway(small / "data", CONFIG)
    made.start()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def lab(cramped: Gateway) -> Iterator[httpx.Client]:
    cramped.run("account", "create", "lab")
    key = cramped.run("credential", "add", "lab", "--kind", "api-key")["value"]
    with httpx.Client(base_url=cramped.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client


def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in (200, 201, 202), answer.text
    read: dict[str, Any] = answer.json()
    return read


def seen(lab: httpx.Client, job: str, state: str) -> dict[str, Any]:
    """The job, as soon as it is in that state."""
    while True:
        answer = lab.get(f"/v1/jobs/{job}")
        view = made(answer)
        if view["state"] == state:
            return view
        assert "ended" not in view, view
        lab.get(f"/v1/jobs/{job}?wait=30", headers={"If-None-Match": answer.headers["etag"]})


def part(lab: httpx.Client, offset: int) -> httpx.Response:
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(len(WHOLE))}
    return lab.patch(f"/v1/uploads/{DIGEST}", content=WHOLE[offset : offset + HALF], headers=headers)


def growing(lab: httpx.Client, batch: str) -> dict[str, httpx.Response]:
    """One of each request that needs room."""

    def keyed(name: str) -> dict[str, str]:
        return {"Idempotency-Key": name}

    lines = {"Content-Type": "application/x-ndjson", **keyed("lines")}
    sweep = {"template": {"command": ["echo", "{a}"]}, "sweep": {"a": {"from": 0, "to": 5000, "step": 1}}, "held": True}
    return {
        "upload": lab.post("/v1/uploads", content=b"x" * 100_000),
        "small upload": lab.post("/v1/uploads", content=b"small"),
        "part": part(lab, HALF),
        "file": lab.put("/v1/folders/f/files/a", content=b"y" * 5000),
        "folder": lab.put("/v1/folders/other"),
        "job": lab.post("/v1/jobs", json=TRUE, headers=keyed("job")),
        "lines": lab.post("/v1/batches?held=true", content=b'{"command":["true"]}\n' * 5000, headers=lines),
        "sweep": lab.post("/v1/batches", json=sweep, headers=keyed("sweep")),
        "webhook": lab.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"}, headers=keyed("webhook")),
        "change": lab.patch(f"/v1/batches/{batch}", json={"labels": {"a": "b"}}),
    }


def stored(cramped: Gateway) -> set[Path]:
    return {path for path in (cramped.data / "blobs").rglob("*") if path.is_file()}


def everything(lab: httpx.Client) -> list[Any]:
    """What the account has, as far as nothing but its own requests would change it."""
    addresses = ("/v1/batches", "/v1/folders", "/v1/folders/f/files", "/v1/uploads", "/v1/webhooks")
    return [made(lab.get(address)) for address in addresses]


def test_what_needs_room_is_refused_whole_and_the_same_requests_succeed_when_there_is_some(
    cramped: Gateway, lab: httpx.Client, small: Path
) -> None:
    batch = made(lab.post("/v1/batches", json={"template": LEAVES, "count": 3}))["id"]
    assert made(lab.get(f"/v1/batches/{batch}?wait=30"))["state"] == "succeeded"
    loud = made(lab.post("/v1/jobs", json=LOUD))["id"]
    seen(lab, loud, "running")
    made(lab.put("/v1/folders/f"))
    assert part(lab, 0).status_code == 204
    fill(small)
    before, files = everything(lab), stored(cramped)
    for _ in range(2):
        assert lab.get("/readyz").json() == {"status": "not ready", "reason": "the storage is full"}
        for name, refused in growing(lab, batch).items():
            problem = refused.json()
            assert (name, refused.status_code, problem["code"]) == (name, 507, "storage-full")
            assert problem["detail"]
            assert problem["next"]
            assert refused.headers["retry-after"]
        assert everything(lab) == before
        assert stored(cramped) == files
    assert lab.head(f"/v1/uploads/{DIGEST}").headers["upload-offset"] == str(HALF)
    for address in (f"/v1/jobs/{loud}/log", "/v1/events", f"/v1/batches/{batch}/jobs", "/v1/account", "/healthz"):
        assert lab.get(address).status_code == 200
    with zipfile.ZipFile(io.BytesIO(lab.get(f"/v1/batches/{batch}/archive").content)) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [b"made\n"] * 3
    with zipfile.ZipFile(io.BytesIO(lab.get(f"/v1/jobs/{batch}-1/archive").content)) as archive:
        assert archive.testzip() is None
    make_room(small)
    assert lab.get("/readyz").json() == {"status": "ready"}
    for name, answer in growing(lab, batch).items():
        assert (name, answer.is_success) == (name, True), answer.text
    assert lab.get(f"/v1/uploads/{DIGEST}").content == WHOLE
    seen(lab, made(lab.post("/v1/jobs", json=TRUE, headers={"Idempotency-Key": "job"}))["id"], "succeeded")
    made(lab.post(f"/v1/jobs/{loud}/cancel"))
    seen(lab, loud, "cancelled")


def test_cancel_and_delete_go_on_and_a_kill_loses_nothing_that_was_answered(
    cramped: Gateway, lab: httpx.Client, small: Path
) -> None:
    over = made(lab.post("/v1/batches", json={"template": LEAVES, "count": 30}))["id"]
    assert made(lab.get(f"/v1/batches/{over}?wait=60"))["state"] == "succeeded"
    done = made(lab.post("/v1/batches", json={"template": LEAVES, "count": 3}))["id"]
    assert made(lab.get(f"/v1/batches/{done}?wait=60"))["state"] == "succeeded"
    kept = made(lab.post("/v1/jobs", json=TRUE))["id"]
    seen(lab, kept, "succeeded")
    loud, quiet = (made(lab.post("/v1/jobs", json=spec))["id"] for spec in (LOUD, {"command": ["sleep", "600"]}))
    seen(lab, loud, "running")
    seen(lab, quiet, "running")
    waits = made(lab.post("/v1/batches", json={"template": TRUE, "count": 500}))["id"]
    made(lab.put("/v1/folders/f"))
    made(lab.put("/v1/folders/f/files/a", content=b"y" * 5000))
    made(lab.post("/v1/uploads", content=WHOLE))
    hook = made(lab.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"}))["id"]
    fill(small)
    assert lab.post("/v1/jobs", json=TRUE).status_code == 507
    told = made(lab.post(f"/v1/batches/{waits}/cancel"))
    assert told["cancelled"] + told["cancelling"] == 500, "one may be on its way already"
    made(lab.post(f"/v1/jobs/{quiet}/cancel"))
    seen(lab, quiet, "cancelled")
    fill(small)
    assert made(lab.post(f"/v1/batches/{done}/retire"))["retired"]
    fill(small)
    gone = [f"/v1/batches/{over}", f"/v1/jobs/{quiet}", f"/v1/uploads/{DIGEST}", f"/v1/webhooks/{hook}"]
    for address in (*gone, "/v1/folders/f?force=true"):
        fill(small)
        assert lab.delete(address).status_code == 204, address
    fill(small)
    cramped.kill()
    cramped.start()
    lab.base_url = httpx.URL(cramped.url)
    for address in (*gone, "/v1/folders/f"):
        assert lab.get(address).status_code == 404, address
    assert lab.get(f"/v1/jobs/{done}-1/files/made").status_code == 410
    assert made(lab.get(f"/v1/batches/{waits}?wait=30"))["state"] == "cancelled"
    assert made(lab.get(f"/v1/jobs/{kept}"))["state"] == "succeeded"
    assert made(lab.get(f"/v1/jobs/{loud}"))["state"] == "running"
    made(lab.post(f"/v1/jobs/{loud}/cancel"))
    seen(lab, loud, "cancelled")
    make_room(small)
    seen(lab, made(lab.post("/v1/jobs", json=TRUE))["id"], "succeeded")
