"""The promises of the design, held by real processes that are killed at bad moments."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import httpx
from gateways import Gateway


def test_a_job_accepted_with_200_survives_a_kill_right_after_the_answer(gateway: Gateway) -> None:
    key = gateway.account("lab")
    for turn in range(3):
        (job,) = gateway.create(key, f"echo {turn} > output/n")
        gateway.kill()
        gateway.start()
        (seen,) = gateway.ended(key, [job])
        assert seen["status"] == "completed", (
            seen.get("error"),
            (gateway.data / "launcher" / "local" / "log").read_text()[-900:],
        )


def test_two_hundred_queued_and_two_running_survive_three_kills_and_run_once_each(
    gateway: Gateway, tmp_path: Path
) -> None:
    key = gateway.account("lab")
    ids = gateway.create(key, "echo start; sleep 0.02; echo end", copies=200)
    for _ in range(3):
        jobs = gateway.ask(key, "job-status", jobIds=ids)["jobs"]
        assert len(jobs) == 200
        gateway.kill()
        gateway.start()
    seen = gateway.ended(key, ids)
    failed = [job for job in seen if job["status"] != "completed"]
    assert not failed, [(job, gateway.ask(key, "job-log", jobId=job["id"])["content"]) for job in failed[:3]]
    for job in ids:
        assert gateway.ask(key, "job-log", jobId=job)["content"] == "start\nend\n"


def test_a_running_job_goes_on_without_the_gateway_and_keeps_its_exit_code(gateway: Gateway) -> None:
    key = gateway.account("lab")
    (job,) = gateway.create(key, "while [ ! -e input/go ] && [ ! -e go ]; do sleep 0.02; done; exit 7")
    gateway.running(key, [job])
    gateway.kill()
    (workspace,) = [path for path in (gateway.data / "work").glob("*-1-1") if path.is_dir()]
    (workspace / "go").touch()
    gateway.start()
    (seen,) = gateway.ended(key, [job])
    assert (seen["status"], seen["exitCode"], seen["attempts"]) == ("failed", 7, 1)


def test_sigterm_ends_with_0_and_leaves_jobs_to_the_launcher(gateway: Gateway) -> None:
    key = gateway.account("lab")
    (job,) = gateway.create(key, "sleep 1.5; echo done")
    gateway.running(key, [job])
    assert gateway.stop() == 0
    gateway.start()
    (seen,) = gateway.ended(key, [job])
    assert (seen["status"], seen["attempts"]) == ("completed", 1)


def test_a_killed_launcher_ends_no_job_twice_and_loses_none(gateway: Gateway) -> None:
    key = gateway.account("lab")
    ids = gateway.create(key, "echo once; sleep 1", copies=4)
    gateway.running(key, ids, least=1)
    os.kill(gateway.launcher(), signal.SIGKILL)
    for job in gateway.ended(key, ids):
        assert job["status"] in ("completed", "failed")
        log = gateway.ask(key, "job-log", jobId=job["id"])["content"]
        assert log.count("once") <= job["attempts"]


def test_a_large_submit_that_is_killed_is_there_whole_or_not_at_all(gateway: Gateway) -> None:
    key = gateway.account("lab")
    gone = threading.Event()

    def submit() -> None:
        try:
            gateway.post(key, "job-create", app="host", commandLine="true", copies=1000)
        except httpx.HTTPError:
            pass
        finally:
            gone.set()

    for delay in (0.0, 0.01, 0.03):
        thread = threading.Thread(target=submit)
        thread.start()
        gone.wait(delay)
        gateway.kill()
        thread.join()
        with sqlite3.connect(gateway.data / "jobgate.sqlite") as database:
            batches = dict(database.execute("SELECT id, count FROM batch").fetchall())
            for batch, count in batches.items():
                row = database.execute("SELECT count(*) FROM job WHERE batch = ?", (batch,)).fetchone()
                assert row[0] == count
        database.close()
        gateway.start()
    gateway.post(key, "job-abort", tag="none")


def test_cancel_in_every_state_ends_aborted_and_twice_is_fine(gateway: Gateway) -> None:
    key = gateway.account("lab")
    running = gateway.create(key, "sleep 60", copies=2)
    gateway.running(key, running)
    queued = gateway.create(key, "sleep 60")
    said = gateway.ask(key, "job-abort", jobIds=[*running, *queued, "junknown"])
    assert set(said["aborted"]) == {*running, *queued}
    assert said["notFound"] == ["junknown"]
    gateway.ask(key, "job-abort", jobIds=running)
    for job in gateway.ended(key, [*running, *queued]):
        assert (job["status"], job["statusReason"]) == ("aborted", "user")
    again = gateway.ask(key, "job-abort", jobIds=running)
    assert [job["id"] for job in again["unchanged"]] == running


def test_cancel_racing_the_end_gives_one_truth(gateway: Gateway) -> None:
    key = gateway.account("lab")
    ids = gateway.create(key, "true", copies=40)
    for job in ids:
        gateway.ask(key, "job-abort", jobId=job)
    first = {job["id"]: job["status"] for job in gateway.ended(key, ids)}
    second = {job["id"]: job["status"] for job in gateway.ended(key, ids)}
    assert first == second
    assert set(first.values()) <= {"completed", "aborted"}


def test_a_locked_database_answers_503_and_nothing_is_lost_afterwards(gateway: Gateway) -> None:
    key = gateway.account("lab")
    (before,) = gateway.create(key, "sleep 0.3; echo kept")
    database = sqlite3.connect(gateway.data / "jobgate.sqlite", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    refused = gateway.post(key, "job-create", app="host", commandLine="true")
    assert refused.status_code == 503
    assert refused.json()["errorCode"] == "unavailable"
    assert "retry-after" in refused.headers
    assert gateway.ask(key, "job-status", jobId=before)["jobs"]
    database.execute("ROLLBACK")
    database.close()
    (seen,) = gateway.ended(key, [before])
    assert seen["status"] == "completed"
    assert len(gateway.ask(key, "job-list")["jobs"]) == 1


def test_the_documented_command_line_works_as_typed(gateway: Gateway, tmp_path: Path) -> None:
    """The header's option letter is missing in the founding text: curl takes the header for an address."""
    key = gateway.account("lab")
    body = {"authenticator": key, "app": "host", "commandLine": "echo $((2+2)) > output/out.txt", "hours": 1}
    file = tmp_path / "example-job-create.json"
    file.write_text(json.dumps(body, indent=1))
    words = [
        "curl",
        "-s",
        "content-type: application/json",
        f"{gateway.url}/remotejobs/v2/job-create",
        "-d",
        f"@{file}",
    ]
    done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603  # the documented line
    (job,) = json.loads(done.stdout)["jobIds"]
    gateway.ended(key, [job])
    (output,) = gateway.ask(key, "job-result", jobId=job)["outputFiles"]
    answer = httpx.get(gateway.url + output["url"], headers={"Authorization": f"Bearer {key}"})
    assert answer.text == "4\n"


def test_another_account_sees_nothing_of_a_job(gateway: Gateway) -> None:
    mine, theirs = gateway.account("mine"), gateway.account("theirs")
    (job,) = gateway.create(mine, "echo secret > output/s")
    gateway.ended(mine, [job])
    for verb in ("job-status", "job-result", "job-log", "job-abort", "job-remove"):
        foreign = gateway.post(theirs, verb, jobId=job)
        unknown = gateway.post(theirs, verb, jobId="j1234567890")
        assert (foreign.status_code, foreign.json()["errorCode"]) == (404, "job-not-found")
        assert foreign.json() == unknown.json() or job in foreign.text
    address = f"{gateway.url}/remotejobs/v2/files/{job}/s"
    assert httpx.get(address, headers={"Authorization": f"Bearer {theirs}"}).status_code == 404
    assert httpx.get(address).status_code == 401
    assert gateway.ask(theirs, "job-list")["jobs"] == []


def test_no_credential_is_found_again_anywhere_in_the_data_folder(gateway: Gateway) -> None:
    key = gateway.account("lab")
    secret = "hunter2-in-the-address"
    body = {
        "clientToken": "token-1",
        "environment": {"VISIBLE": "yes"},
        "publicKey": "pk-canary-value",
        "inputFiles": [{"filename": "in", "url": f"http://user:{secret}@127.0.0.1:9/x"}],
    }
    ids = gateway.create(key, "true", **body)
    (seen,) = gateway.ended(key, ids)
    assert (seen["status"], seen["statusReason"]) == ("failed", "input-fetch")
    assert secret not in json.dumps(seen)
    gateway.stop()
    for path in [*gateway.data.rglob("*"), gateway.log]:
        if path.is_file():
            content = path.read_bytes()
            assert key.encode() not in content, path
            assert secret.encode() not in content, path


def test_a_timed_out_job_is_aborted_and_a_failed_one_is_failed_in_lists_too(gateway: Gateway) -> None:
    key = gateway.account("lab")
    (late,) = gateway.create(key, "ls -d input; sleep 60", hours=0.0001)
    (bad,) = gateway.create(key, "exit 3")
    seen = {job["id"]: job for job in gateway.ended(key, [late, bad])}
    assert (seen[late]["status"], seen[late]["statusReason"]) == ("aborted", "timeout")
    assert (seen[bad]["status"], seen[bad]["exitCode"]) == ("failed", 3)
    assert [job["id"] for job in gateway.ask(key, "job-list", status="aborted")["jobs"]] == [late]
    assert [job["id"] for job in gateway.ask(key, "job-list", status="failed")["jobs"]] == [bad]
    assert gateway.ask(key, "job-log", jobId=late)["content"].startswith("input\n")


def test_a_job_that_floods_prints_nul_and_leaves_links_is_collected_and_stays_inside(gateway: Gateway) -> None:
    key = gateway.account("lab")
    line = (
        "printf 'a\\000\\377\\n'; head -c 30000000 /dev/zero | tr '\\000' x; "
        "ln -s /etc/passwd output/out; ln -s good output/in; echo good > output/good; mkfifo output/pipe"
    )
    (job,) = gateway.create(key, line)
    (seen,) = gateway.ended(key, [job])
    assert seen["status"] == "completed", seen
    names = {file["filename"] for file in gateway.ask(key, "job-result", jobId=job)["outputFiles"]}
    assert names == {"good", "in"}
    first = gateway.ask(key, "job-log", jobId=job, limit=10)
    assert first["content"].startswith("a\0\ufffd\n")
    assert not first["complete"]


def test_removed_jobs_are_gone_from_every_table(gateway: Gateway) -> None:
    key = gateway.account("lab")
    ids = gateway.create(key, "head -c 20000 /dev/urandom > output/big", copies=2, tag="t", clientToken="one")
    active = gateway.create(key, "sleep 60")
    gateway.ended(key, ids)
    refused = gateway.post(key, "job-remove", jobIds=[*ids, *active])
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "job-active")
    removed = gateway.ask(key, "job-remove", jobIds=[*ids, *active], force=True)
    assert set(removed["removed"]) == {*ids, *active}
    assert gateway.ask(key, "job-list")["jobs"] == []
    assert gateway.post(key, "job-status", jobIds=ids).status_code == 404
    gateway.stop()
    with sqlite3.connect(gateway.data / "jobgate.sqlite") as database:
        for table in ("job", "event WHERE job > 0", "batch", "spec", "label", "blob_ref", "secret"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table  # noqa: S608  # our words
        assert database.execute("SELECT count(*) FROM orphan").fetchone() == (2,)
    database.close()


def test_an_upload_is_an_input_by_its_hash_and_the_same_token_makes_one_job(gateway: Gateway) -> None:
    key = gateway.account("lab")
    url = f"{gateway.url}/remotejobs/v2/file-upload"
    bearer = {"Authorization": f"Bearer {key}"}
    first = httpx.post(url, content=b"words\n", headers=bearer).json()
    again = httpx.post(url, files={"file": ("w.txt", b"words\n")}, headers=bearer).json()
    assert (first["stored"], again["stored"]) == (True, False)
    assert first["hash"] == again["hash"]
    body = {"inputFiles": [{"filename": "w.txt", "hash": first["hash"]}], "clientToken": "t1"}
    (job,) = gateway.create(key, "cat input/w.txt > output/copy", **body)
    assert gateway.create(key, "cat input/w.txt > output/copy", **body) == [job]
    other = gateway.post(key, "job-create", app="host", commandLine="true", **body)
    assert (other.status_code, other.json()["errorCode"]) == (409, "token-reused")
    gateway.ended(key, [job])
    (output,) = gateway.ask(key, "job-result", jobId=job)["outputFiles"]
    assert httpx.get(gateway.url + output["url"], headers=bearer).text == "words\n"
    missing = gateway.post(
        key, "job-create", app="host", commandLine="x", inputFiles=[{"filename": "f", "hash": "0" * 64}]
    )
    assert missing.status_code == 404
