"""Two accounts become one while the server runs their jobs."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess

from gateways import JOBGATE, Gateway


def merge(gateway: Gateway, gone: str, into: str) -> dict[str, int]:
    words = [str(JOBGATE), "account", "merge", gone, into, "--data", str(gateway.data), "--json"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603  # our own
    moved: dict[str, int] = json.loads(done.stdout)["moved"]
    return moved


def test_both_keys_see_every_job_at_once_and_none_is_lost_or_run_twice(gateway: Gateway) -> None:
    lab, other = gateway.account("lab"), gateway.account("other")
    ids = gateway.create(lab, "echo ran >> output/times; sleep 0.2", copies=8)
    theirs = gateway.create(other, "true")
    gateway.ask(lab, "job-status", jobIds=ids)  # so that the server knows both by heart
    moved = merge(gateway, "lab", "other")
    assert (moved["jobs"], moved["credentials"]) == (8, 1)
    late = gateway.create(lab, "true")
    for key in (lab, other):
        jobs = gateway.ended(key, [*ids, *theirs, *late])
        assert [job["status"] for job in jobs] == ["completed"] * 10
        assert {job["attempts"] for job in jobs} == {1}
    assert gateway.stop() == 0
    gateway.start()
    assert len(gateway.ask(other, "job-list")["jobs"]) == 10


def test_an_upload_of_the_one_is_an_input_of_the_other(gateway: Gateway) -> None:
    lab, other = gateway.account("lab"), gateway.account("other")
    gateway.ask(lab, "job-list")
    merge(gateway, "lab", "other")
    (job,) = gateway.create(
        other, "cat input/a", inputFiles=[{"filename": "a", "hash": upload(gateway, lab, b"words")}]
    )
    assert gateway.ended(lab, [job])[0]["status"] == "completed"


def upload(gateway: Gateway, key: str, content: bytes) -> str:
    body = base64.b64encode(content).decode()
    assert gateway.ask(key, "file-upload", contentBase64=body)["size"] == len(content)
    return hashlib.sha256(content).hexdigest()


def test_a_token_that_made_a_job_makes_no_second_one_after_the_merge(gateway: Gateway) -> None:
    lab = gateway.account("lab")
    gateway.run("account", "create", "other")
    (job,) = gateway.create(lab, "true", clientToken="one")
    merge(gateway, "lab", "other")
    assert gateway.create(lab, "true", clientToken="one") == [job]
