"""The contract of this API, line by line, as its own client meets it: a real gateway, real sockets, real jobs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from gateways import JOBGATE, Gateway, Json

CONFIG: Final = """
[environments.local]
slots = 2
grace = 0.5
[images.host]
[apps.host]
[egress]
allow = ["127.0.0.0/8"]
[dialects.charity_engine]
network = "none"
[limits]
live_jobs = 300
"""


class _Files(http.server.BaseHTTPRequestHandler):
    """`/NAME` is a file whose content is its name; `/secret` asks for a password."""

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        wanted = "Basic " + base64.b64encode(b"ada:swordfish").decode()
        missing = self.path == "/missing" or (self.path == "/secret" and given != wanted)
        body = self.path[1:].encode()
        self.send_response(404 if missing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def files() -> Iterator[str]:
    """The address of a file server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def running(folder: Path, config: str) -> Iterator[Gateway]:
    for above in (folder, *list(folder.parents)[:3]):
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    made = Gateway(folder / "data", config)
    made.start()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("ce"), CONFIG) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def key(shared: Gateway) -> str:
    return shared.account("lab")


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and `errorCode`; every refusal has a text too."""
    body = answer.json()
    assert body["error"]
    return answer.status_code, body["errorCode"]


def aimed(gateway: Gateway, target: str, body: bytes) -> httpx.Response:
    """A POST to an address that the client does not make straight."""
    with httpx.Client() as client:
        return client.post(gateway.url, content=body, extensions={"target": target.encode()})


def one(gateway: Gateway, key: str, line: str, **more: Any) -> Json:
    """The job, when it is over."""
    (job,) = gateway.ended(key, gateway.create(key, line, **more))
    return job


def log(gateway: Gateway, key: str, job: Json) -> str:
    return str(gateway.ask(key, "job-log", jobId=job["id"])["content"])


def output(gateway: Gateway, key: str, job: Json) -> dict[str, bytes]:
    """Every output file of the job."""
    found = gateway.ask(key, "job-result", jobId=job["id"])["outputFiles"]
    bearer = {"authorization": f"Bearer {key}"}
    return {file["filename"]: httpx.get(gateway.url + file["url"], headers=bearer).content for file in found}


# --- 2 transport


@pytest.mark.parametrize(
    "path", ["job-list", "job-list/", "/job-list", "//job-list//", "/../v2/job-list", "job%2Dlist", "./job-list"]
)
def test_slashes_are_tolerated_and_tricks_are_not(path: str, shared: Gateway, key: str) -> None:
    body = b'{"authenticator": "%s"}' % key.encode()
    answer = aimed(shared, f"/remotejobs/v2/{path}", body)
    assert answer.history == []
    if "." in path:
        assert refusal(answer) == (404, "unknown-operation")
    else:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("raw", ["//remotejobs/v2/job-list", "/remotejobs//v2/job-list"])
def test_slashes_are_tolerated_before_the_operation_too(raw: str, shared: Gateway, key: str) -> None:
    body = b'{"authenticator": "%s"}' % key.encode()
    assert aimed(shared, raw, body).status_code == 200


def test_another_method_is_told_the_right_one(shared: Gateway) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = httpx.request(method, f"{shared.url}/remotejobs/v2/job-create")
        assert refusal(answer) == (405, "method-not-allowed")
        assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "name", ["nope", "inference/chat/completions", "inference", "", "job-create/x", "instance-types"]
)
def test_an_unknown_operation_is_said_to_be_one(name: str, shared: Gateway, key: str) -> None:
    assert refusal(shared.post(key, name)) == (404, "unknown-operation")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff{}", b'{"a": "\xff"}', b"a=b&c=d", b"{} {}", b"[" * 100_000]
)
def test_what_is_no_json_object_is_said_to_be_none(body: bytes, shared: Gateway) -> None:
    assert refusal(httpx.post(f"{shared.url}/remotejobs/v2/job-create", content=body)) == (400, "invalid-json")


@pytest.mark.parametrize("label", ["application/x-www-form-urlencoded", "text/plain", "application/json", "x/y; a=b"])
def test_the_body_is_looked_at_and_not_its_label(label: str, shared: Gateway, key: str) -> None:
    body = b'\xef\xbb\xbf{"authenticator": "nobody", "authenticator": "%s", "more": 1}' % key.encode()
    for verb in ("job-list",):
        answer = httpx.post(f"{shared.url}/remotejobs/v2/{verb}", content=body, headers={"content-type": label})
        assert answer.status_code == 200, answer.text


# --- 3 authentication


def test_who_does_not_say_who_asks_is_told_from_who_is_unknown(shared: Gateway) -> None:
    for verb in ("job-create", "job-status", "job-list", "job-abort", "job-remove", "job-result", "job-log"):
        address = f"{shared.url}/remotejobs/v2/{verb}"
        assert refusal(httpx.post(address, json={})) == (401, "authenticator-missing")
        assert refusal(httpx.post(address, json={"authenticator": "f" * 32})) == (401, "authenticator-invalid")
        assert refusal(httpx.post(address, json={"authenticator": 5})) == (401, "authenticator-invalid")


def test_a_blocked_account_looks_like_an_unknown_one(shared: Gateway) -> None:
    blocked = shared.account("blocked")
    assert shared.post(blocked, "job-list").status_code == 200
    unknown = shared.post("f" * 32, "job-list")
    line = [str(JOBGATE), "account", "block", "blocked", "--data", str(shared.data)]
    subprocess.run(line, check=True, capture_output=True)  # noqa: S603  # our own
    for _ in range(200):
        answer = shared.post(blocked, "job-list")
        if answer.status_code == 401:
            break
    assert (refusal(answer), answer.json()) == ((401, "authenticator-invalid"), unknown.json())


def test_who_may_not_submit_is_told_so(shared: Gateway) -> None:
    shared.run("account", "create", "reader")
    made = shared.run("credential", "add", "reader", "--kind", "charity-engine", "--scope", "read")["value"]
    assert shared.post(made, "job-list").status_code == 200
    assert refusal(shared.post(made, "job-create", app="host", commandLine="true")) == (403, "not-permitted")
    assert refusal(shared.post(made, "job-abort", tag="x")) == (403, "not-permitted")


# --- 5 job-create


def test_size_comes_before_json_and_json_before_the_authenticator(shared: Gateway) -> None:
    address = f"{shared.url}/remotejobs/v2/job-create"
    assert refusal(httpx.post(address, content=b"x" * ((1 << 20) + 1))) == (413, "body-too-large")
    assert refusal(httpx.post(address, content=b"x" * (1 << 20))) == (400, "invalid-json")
    assert refusal(httpx.post(address, json={"app": 5})) == (401, "authenticator-missing")


def test_a_reply_to_a_creation_has_what_the_contract_says(shared: Gateway, key: str) -> None:
    body = {"app": "host", "commandLine": "true", "copies": 3, "hours": 0.5, "tag": "made", "specs": {"vcpus": 1}}
    made = shared.ask(key, "job-create", **body)
    assert sorted(made) == ["batchId", "estimatedCost", "instanceType", "jobIds", "jobs"]
    assert (made["instanceType"], made["estimatedCost"]) == ("C.2x2", 0.3)
    assert made["jobs"] == [{"id": job, "status": "provisioning"} for job in made["jobIds"]]
    assert all(len(job) <= 64 and job.replace("-", "").isalnum() and job.islower() for job in made["jobIds"])
    assert made["batchId"] not in made["jobIds"]
    seen = shared.ended(key, made["jobIds"])
    assert [job["id"] for job in seen] == made["jobIds"]
    (lone,) = shared.create(key, "true")
    assert shared.ask(key, "job-status", batchId=lone)["jobs"][0]["batchId"] == lone


def test_a_repeated_token_makes_nothing_new_and_another_body_is_refused(shared: Gateway, key: str) -> None:
    body: Json = {"app": "host", "commandLine": "true", "clientToken": "once", "tag": "token"}
    first = shared.ask(key, "job-create", **body)
    again = shared.ask(key, "job-create", **dict(reversed(body.items())))
    assert again == first | {"replayed": True}
    assert refusal(shared.post(key, "job-create", **body | {"tag": "other"})) == (409, "token-reused")
    assert len(shared.ask(key, "job-list", tag="token")["jobs"]) == 1


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ({"url": "FILES/hello"}, "completed"),
        ({"url": "FILES/hello", "size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}, "completed"),
        ({"url": "FILES/hello", "size": 6}, "failed"),
        ({"url": "FILES/hello", "sha256": "ab" * 32}, "failed"),
        ({"url": "FILES/missing"}, "failed"),
        ({"url": "http://169.254.169.254/x"}, "failed"),
        ({"url": "http://127.0.0.1:1/x"}, "failed"),
    ],
)
def test_an_input_is_fetched_when_the_job_starts_and_a_bad_one_fails_the_job(
    source: Json, status: str, shared: Gateway, key: str, files: str
) -> None:
    given = source | {"url": source["url"].replace("FILES", files), "filename": "deep/er/in.txt"}
    job = one(shared, key, "cat /local/input/deep/er/in.txt", inputFiles=[given])
    assert job["status"] == status, job
    if status == "completed":
        assert log(shared, key, job) == "hello"
    else:
        assert (job["statusReason"], bool(job["error"])) == ("input-fetch", True)


def test_a_password_in_an_inputs_address_is_used_and_never_shown(shared: Gateway, key: str, files: str) -> None:
    address = files.replace("://", "://ada:swordfish@") + "/secret"
    job = one(shared, key, "cat input/s", inputFiles=[{"filename": "s", "url": address}])
    assert (job["status"], log(shared, key, job)) == ("completed", "secret")
    assert job["inputFiles"] == [{"filename": "s", "url": f"{files}/secret"}]
    assert "swordfish" not in str(job)


# --- 6 the job object


WHOLE: Final = {
    *("id", "batchId", "status", "statusReason", "error", "exitCode", "attempts", "progress"),
    *("app", "commandLine", "specs", "hours", "instanceType", "useOwnDevices", "tag", "inputFiles"),
    *("createdAt", "startedAt", "endedAt", "cpuSeconds", "wallSeconds", "outputCount"),
}


def test_a_job_that_is_over_has_every_member_of_its_object(shared: Gateway, key: str) -> None:
    job = one(shared, key, "echo a > output/a; exit 3", tag="whole", environment={"SECRET_WORD": "hush"})
    assert set(job) == WHOLE
    assert (job["status"], job["statusReason"], job["exitCode"], job["outputCount"]) == ("failed", "exit-code", 3, 1)
    assert (job["attempts"], job["hours"], job["useOwnDevices"]) == (1, 8.0, False)
    assert job["specs"] == {"vcpus": 1, "ram": 256, "disk": 64, "networkDownload": 0, "networkUpload": 0}
    assert job["createdAt"] <= job["startedAt"] <= job["endedAt"]
    assert all(job[name].endswith("Z") for name in ("createdAt", "startedAt", "endedAt"))
    assert "hush" not in str(job)


@pytest.mark.parametrize(
    ("line", "code"), [("kill -9 $$", 137), ("kill -TERM $$", 143), ("exit 255", 255), ("nosuchprogram", 127)]
)
def test_an_exit_code_is_the_commands_or_128_and_the_signal(line: str, code: int, shared: Gateway, key: str) -> None:
    job = one(shared, key, line)
    assert (job["status"], job["exitCode"], job["statusReason"]) == ("failed", code, "exit-code")


# --- 7 inside the job


def test_a_job_finds_its_place_its_variables_and_its_inputs(shared: Gateway, key: str, files: str) -> None:
    body = {
        "environment": {"MINE": "yes", "CE_VCPUS": "99", "CE_JOB_ID": "x"},
        "copies": 2,
        "inputFiles": [{"filename": "in", "url": f"{files}/in"}],
    }
    line = (
        "pwd; echo $CE_JOB_ID $CE_BATCH_ID $CE_COPY_INDEX $CE_INPUT_DIR $CE_OUTPUT_DIR $CE_VCPUS $CE_RAM_MB $MINE; ls"
    )
    ids = shared.create(key, line, **body)
    for place, job in enumerate(shared.ended(key, ids)):
        where, words, *names = log(shared, key, job).split("\n")
        assert where == "/local"
        assert words == f"{job['id']} {job['batchId']} {place} /local/input /local/output 1 256 yes"
        assert {"input", "output"} <= set(names)


def test_both_streams_are_one_log_in_their_order(shared: Gateway, key: str) -> None:
    job = one(shared, key, "echo 1; echo 2 >&2; echo 3; echo 4 >&2")
    assert log(shared, key, job) == "1\n2\n3\n4\n"


def test_what_is_left_after_a_failure_is_collected_and_links_only_within(shared: Gateway, key: str) -> None:
    line = (
        "mkdir output/d; echo a > output/d/a; ln -s d/a output/inner; ln -s /etc/passwd output/outer; "
        "ln -s d output/folder; mkfifo output/pipe; exit 1"
    )
    job = one(shared, key, line)
    assert job["status"] == "failed"
    assert output(shared, key, job) == {"d/a": b"a\n", "inner": b"a\n"}


def test_outputs_of_an_aborted_job_are_there_as_far_as_they_exist(shared: Gateway, key: str) -> None:
    (job,) = shared.create(key, "echo begun > output/a; echo here; while :; do sleep 0.1; done")
    while shared.ask(key, "job-log", jobId=job)["content"] != "here\n":
        pass
    assert shared.ask(key, "job-abort", jobId=job) == {"aborted": [job], "unchanged": [], "notFound": []}
    (seen,) = shared.ended(key, [job])
    assert (seen["status"], seen["statusReason"]) == ("aborted", "user")
    assert output(shared, key, seen) == {"a": b"begun\n"}
    again = shared.ask(key, "job-abort", jobIds=[job, "j0"])
    assert again == {"aborted": [], "unchanged": [{"id": job, "status": "aborted"}], "notFound": ["j0"]}


# --- 8 the other operations


@pytest.mark.parametrize(
    ("trap", "left"), [("echo heard > output/a; exit 0", {"a": b"heard\n"}), ("", {})], ids=["hears", "is deaf"]
)
def test_an_abort_asks_the_command_to_end_and_then_ends_it(
    trap: str, left: dict[str, bytes], shared: Gateway, key: str
) -> None:
    (job,) = shared.create(key, f"trap '{trap}' TERM; echo here; while :; do sleep 0.05; done")
    while shared.ask(key, "job-log", jobId=job)["content"] != "here\n":
        pass
    shared.ask(key, "job-abort", jobId=job)
    (seen,) = shared.ended(key, [job], 10)
    assert (seen["status"], seen["statusReason"]) == ("aborted", "user")
    assert output(shared, key, seen) == left


def test_a_list_is_filtered_paged_and_stable_while_jobs_are_added(shared: Gateway, key: str) -> None:
    ids = shared.create(key, "true", copies=5, tag="paged")
    shared.ended(key, ids)
    first = shared.ask(key, "job-list", tag="paged", limit=2, status=["Completed", "FAILED"])
    assert [job["id"] for job in first["jobs"]] == [ids[4], ids[3]]
    late = shared.create(key, "true", tag="paged")
    rest = shared.ask(key, "job-list", tag="paged", limit=10, cursor=first["nextCursor"])
    assert ([job["id"] for job in rest["jobs"]], "nextCursor" in rest) == ([ids[2], ids[1], ids[0]], False)
    assert sorted(rest["jobs"][0]) == ["app", "batchId", "createdAt", "endedAt", "id", "status", "tag"]
    batch = rest["jobs"][0]["batchId"]
    assert len(shared.ask(key, "job-list", batchId=batch)["jobs"]) == 5
    assert shared.ask(key, "job-list", tag="paged", app="nope")["jobs"] == []
    made = rest["jobs"][0]["createdAt"]
    assert late[0] in {j["id"] for j in shared.ask(key, "job-list", tag="paged", createdAfter=made)["jobs"]}
    assert not set(ids) & {j["id"] for j in shared.ask(key, "job-list", tag="paged", createdBefore=made)["jobs"]}
    shared.ended(key, late)


def test_ids_that_are_unknown_or_anothers_are_listed_apart(shared: Gateway, key: str) -> None:
    (job,) = shared.create(key, "true")
    shared.ended(key, [job])
    seen = shared.ask(key, "job-status", jobIds=["j0", job, "x", job])
    assert ([one["id"] for one in seen["jobs"]], seen["notFound"]) == ([job], ["j0", "x"])
    for verb in ("job-status", "job-abort", "job-remove"):
        assert refusal(shared.post(key, verb, jobIds=["j0"])) == (404, "job-not-found")
        assert refusal(shared.post(key, verb, tag="no such tag")) == (404, "job-not-found")
        assert refusal(shared.post(key, verb)) == (400, "invalid-selector")


def test_a_removal_takes_all_or_nothing_and_force_aborts_first(shared: Gateway, key: str) -> None:
    (over,) = shared.create(key, "true")
    shared.ended(key, [over])
    (live,) = shared.create(key, "while :; do sleep 0.1; done")
    assert refusal(shared.post(key, "job-remove", jobIds=[over, live])) == (409, "job-active")
    assert len(shared.ask(key, "job-status", jobIds=[over, live])["jobs"]) == 2
    forced = shared.ask(key, "job-remove", jobIds=[over, live, "j0"], force=True)
    assert (forced["notFound"], set(forced["removed"]) | set(forced["active"])) == (["j0"], {over, live})
    while shared.post(key, "job-status", jobIds=[over, live]).status_code == 200:
        pass
    assert refusal(shared.post(key, "job-result", jobId=over)) == (404, "job-not-found")


def test_a_result_has_files_that_are_downloaded_in_parts_or_by_a_signed_address(shared: Gateway, key: str) -> None:
    (job,) = shared.create(key, "printf 0123456789 > 'output/a b%#?ü'; sleep 0.3")
    assert refusal(shared.post(key, "job-result", jobId=job)) == (409, "job-active")
    shared.ended(key, [job])
    result = shared.ask(key, "job-result", jobId=job)
    assert sorted(result) == ["exitCode", "jobId", "logUrl", "outputFiles", "status"]
    (file,) = result["outputFiles"]
    assert (file["filename"], file["size"]) == ("a b%#?ü", 10)
    assert file["sha256"] == hashlib.sha256(b"0123456789").hexdigest()
    assert file["url"].startswith(f"/remotejobs/v2/files/{job}/")
    address = shared.url + file["url"]
    assert refusal(httpx.get(address)) == (401, "authenticator-missing")
    basic = httpx.BasicAuth(key, "")
    part = httpx.get(address, headers={"range": "bytes=2-4"}, auth=basic)
    assert (part.status_code, part.content, part.headers["etag"]) == (206, b"234", f'"{file["sha256"]}"')
    head = httpx.head(address, auth=basic)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
    (signed,) = shared.ask(key, "job-result", jobId=job, signed=True)["outputFiles"]
    assert httpx.get(shared.url + signed["url"]).content == b"0123456789"
    assert refusal(httpx.get(shared.url + signed["url"] + "0")) == (401, "authenticator-invalid")
    assert httpx.get(shared.url + result["logUrl"], auth=basic).status_code == 200
    other = shared.account("other-downloads")
    assert refusal(httpx.get(address, auth=httpx.BasicAuth(other, ""))) == (404, "job-not-found")


def test_a_log_is_read_in_pieces_while_the_job_runs(shared: Gateway, key: str) -> None:
    (job,) = shared.create(key, "printf 'aü'; while [ ! -e output/x ]; do sleep 0.05; done")
    piece: Json = {"content": ""}
    while piece["content"] != "aü":
        piece = shared.ask(key, "job-log", jobId=job)
    assert (piece["offset"], piece["nextOffset"], piece["complete"]) == (0, 3, False)
    assert shared.ask(key, "job-log", jobId=job, offset=1, limit=2)["content"] == "ü"
    assert refusal(shared.post(key, "job-log", jobId=job, limit=(1 << 20) + 1)) == (400, "invalid-field")
    shared.ask(key, "job-abort", jobId=job)
    shared.ended(key, [job])
    last = shared.ask(key, "job-log", jobId=job, offset=3)
    assert (last["content"], last["complete"], last["nextOffset"]) == ("", True, 3)


# --- 9 files


@pytest.mark.parametrize("form", ["raw", "multipart", "json"])
def test_an_upload_comes_in_three_forms_and_is_checked(form: str, shared: Gateway, key: str) -> None:
    content = f"content {form}".encode()
    digest = hashlib.sha256(content).hexdigest()
    address, bearer = f"{shared.url}/remotejobs/v2/file-upload", {"authorization": f"Bearer {key}"}

    def send(**more: str) -> httpx.Response:
        if form == "raw":
            return httpx.post(address, content=content, headers=bearer | more)
        if form == "multipart":
            return httpx.post(address, files={"file": ("any", content)}, headers=bearer | more)
        body = {"authenticator": key, "contentBase64": base64.b64encode(content).decode()} | more
        return httpx.post(address, json=body)

    assert refusal(send(sha256="ab" * 32)) == (422, "hash-mismatch")
    for fresh in (True, False):
        assert send(sha256=digest).json() == {"hash": digest, "size": len(content), "stored": fresh}
    job = one(shared, key, "cat input/u", inputFiles=[{"filename": "u", "hash": digest}])
    assert log(shared, key, job).encode() == content
    other = shared.account(f"other-{form}")
    entry = {"filename": "u", "hash": digest}
    made = shared.post(other, "job-create", app="host", commandLine="true", inputFiles=[entry])
    assert refusal(made) == (404, "file-not-found")


def test_an_upload_without_a_word_on_who_sends_it_is_refused(shared: Gateway) -> None:
    address = f"{shared.url}/remotejobs/v2/file-upload"
    assert refusal(httpx.post(address, content=b"x")) == (401, "authenticator-missing")
    assert refusal(httpx.post(f"{address}?authenticator=x", content=b"x")) == (401, "authenticator-missing")


# --- 12 errors, 13 limits


def test_over_the_number_of_live_jobs_says_when_to_come_again(shared: Gateway, key: str) -> None:
    answer = shared.post(key, "job-create", app="host", commandLine="true", copies=301)
    assert refusal(answer) == (429, "too-many-jobs")
    assert int(answer.headers["retry-after"]) > 0


def test_over_the_rate_of_calls_says_when_to_come_again(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG.replace("live_jobs = 300", "calls = 1")) as gateway:
        made = gateway.account("lab")
        answer = gateway.post(made, "job-list")
        for _ in range(200):
            if answer.status_code != 200:
                break
            answer = gateway.post(made, "job-list")
        assert refusal(answer) == (429, "rate-limited")
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"commandLine": "x" * (32 * 1024 + 1)}, (400, "invalid-field")),
        ({"inputFiles": [{"filename": str(n), "url": "http://e.org/"} for n in range(101)]}, (413, "too-many-files")),
        ({"copies": 1001}, (413, "too-many-copies")),
        ({"hours": 8.01}, (400, "invalid-field")),
        ({"hours": 0}, (400, "invalid-field")),
        ({"tag": "x" * 256}, (400, "invalid-field")),
        ({"environment": {f"V{n}": "" for n in range(101)}}, (400, "invalid-field")),
        ({"environment": {"V": "x" * (32 * 1024)}}, (400, "invalid-field")),
        ({"useOwnDevices": "yes"}, (400, "invalid-field")),
        ({"app": "nope"}, (404, "app-not-found")),
        ({"app": "docker:nope"}, (422, "app-not-runnable")),
        ({"specs": {"vcpus": 5}}, (422, "no-matching-instance")),
        ({"instanceType": "C.2x2", "specs": {"vcpus": 3}}, (400, "specs-exceed-instance-type")),
        ({"encryptedOutputURLs": True, "publicKey": "k"}, (422, "encryption-unsupported")),
        ({"encryptedOutputFiles": True}, (400, "missing-field")),
        ({"callbackUrl": "https://example.org"}, (400, "invalid-field")),
        ({"inputFiles": [{"filename": "../x", "url": "http://e.org/"}]}, (400, "invalid-filename")),
        ({"inputFiles": [{"filename": "x", "url": "http://e.org/"}] * 2}, (400, "duplicate-filename")),
        ({"inputFiles": [{"filename": "x"}]}, (400, "missing-field")),
    ],
)
def test_a_limit_has_its_code(more: Json, code: tuple[int, str], shared: Gateway, key: str) -> None:
    body: Json = {"app": "host", "commandLine": "true"}
    assert refusal(shared.post(key, "job-create", **body | more)) == code


def test_own_devices_are_waited_for_and_no_other_is_used(shared: Gateway, key: str) -> None:
    (job,) = shared.create(key, "true", useOwnDevices=True)
    (after,) = shared.ended(key, shared.create(key, "true"))
    assert after["status"] == "completed"
    (seen,) = shared.ask(key, "job-status", jobId=job)["jobs"]
    assert (seen["status"], seen["attempts"], seen["useOwnDevices"]) == ("provisioning", 0, True)
    shared.ask(key, "job-abort", jobId=job)
