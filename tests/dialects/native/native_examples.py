"""Valid calls of the native API, one for each verb, and one with a credential at every place."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from jobgate.dialects.dialect import Call, Setup
from jobgate.model.files import Stored
from jobgate.model.ids import Digest
from jobgate.testing.dialects import Planted, Subject
from jobgate.testing.outcomes import NOW

KEY = "native-key"
JOB = "2n6r0kqa-1"
BATCH = "2n6r0kqa"
HOOK = "w4hk6s2d8g0"
MESSAGE = "msg_4hk6s2d8h0"
DIGEST = "cd" * 32


def setup(**settings: object) -> Setup:
    return Setup(prefix="/v1", settings=settings)


def post(verb: str, body: dict[str, Any], key: str = KEY, **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(verb=verb, headers={"authorization": f"Bearer {key}", **named}, body=msgspec.json.encode(body), now=NOW)


def get(verb: str, ident: str, **query: str) -> Call:
    return Call(
        verb=verb, method="GET", path={"id": ident}, query=query, headers={"authorization": f"Bearer {KEY}"}, now=NOW
    )


def on_webhook(verb: str, method: str, body: dict[str, Any] | None = None, **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(
        verb=verb,
        method=method,
        path={"id": HOOK, "message": MESSAGE},
        headers={"authorization": f"Bearer {KEY}", **named},
        body=b"" if body is None else msgspec.json.encode(body),
        now=NOW,
    )


def act(verb: str, ident: str, body: dict[str, Any] | None = None, **headers: str) -> Call:
    """Something is asked of one job or batch."""
    call = post(verb, body or {}, **headers)
    return replace(call, path={"id": ident}, body=call.body if body else b"")


def patch(verb: str, ident: str, body: dict[str, Any], **headers: str) -> Call:
    return replace(act(verb, ident, body, **headers), method="PATCH")


FULL: dict[str, Any] = {
    "command": ["python", "train.py"],
    "image": "busybox",
    "env": {"LANG": "C"},
    "workdir": "src",
    "stdin": "in.txt",
    "inputs": [
        {"path": "in.txt", "content": "hello"},
        {"path": "train.py", "url": "https://example.org/t", "size": 3, "sha256": DIGEST, "executable": True},
        {"path": "data/x", "upload": DIGEST},
        {"path": "data/y", "file": "data/in/y"},
    ],
    "outputs": [{"path": "out", "kind": "directory", "keep": "success"}, {"path": "model.bin", "required": True}],
    "cores": 0.5,
    "memory": "4GiB",
    "disk": 1048576,
    "gpus": 2,
    "walltime": 60,
    "network": "outbound",
    "environment": "local",
    "tries": 2,
}
BATCH_MEMBERS: dict[str, Any] = {"name": "n", "labels": {"a": "b"}, "priority": 5, "held": True, "webhook": HOOK}


def stored(verb: str, method: str = "GET", *, query: dict[str, str] | None = None, **parts: Any) -> Call:
    """A call about stored bytes; `parts` are of its address, but for `headers`, `body` and `upload`."""
    headers = {"authorization": f"Bearer {KEY}", **parts.pop("headers", {})}
    own = {name: parts.pop(name) for name in ("body", "upload") if name in parts}
    return Call(verb=verb, method=method, path=parts, query=query or {}, headers=headers, now=NOW, **own)


FILE: dict[str, Any] = {"name": "data", "path": "in/ü?#.txt"}
FILES = (
    stored("files", id=JOB, query={"limit": "2", "after": "4"}),
    stored("file", id=JOB, path="out/a b.txt"),
    stored("batch-archive", id=BATCH, query={"logs": "true", "partial": "true"}),
    stored("log", id=JOB, query={"follow": "true", "attempt": "1"}),
    stored("log", id=JOB, query={"tail": "10"}),
    stored("log", id=JOB, headers={"range": "bytes=5-", "if-none-match": '"x"'}),
    stored("upload", "POST", upload=Stored(Digest(DIGEST), 3)),
    stored("upload", "POST", body=b'{"a": [1]}', headers={"content-type": "application/json"}),
    stored("uploads", query={"after": DIGEST}),
    stored("upload-state", "HEAD", sha256=DIGEST),
    stored("upload-part", "PATCH", sha256=DIGEST, headers={"upload-offset": "3", "upload-length": "9"}),
    stored("upload-read", sha256=DIGEST),
    stored("upload-delete", "DELETE", sha256=DIGEST),
    stored("folders", query={"limit": "1"}),
    stored("folder", name="data"),
    stored("folder-make", "PUT", name="data"),
    stored("folder-delete", "DELETE", name="data", query={"force": "true"}),
    stored("folder-files", name="ü?#", query={"prefix": "in/"}),
    stored("folder-file", **FILE),
    stored("folder-file-put", "PUT", upload=Stored(Digest(DIGEST), 3), headers={"if-match": f'"{DIGEST}"'}, **FILE),
    stored("folder-file-put", "PUT", body=msgspec.json.encode({"upload": DIGEST}), **FILE),
    stored("folder-file-delete", "DELETE", headers={"if-match": "*"}, **FILE),
)

EXAMPLES = (
    post("job-submit", FULL | BATCH_MEMBERS),
    post("job-submit", {"script": "#!/bin/sh\ntrue\n"}, idempotency_key="k1"),
    post("batch-submit", {"template": FULL, "count": 5} | BATCH_MEMBERS),
    post("batch-submit", {"jobs": [{"command": ["a"]}, {"command": ["a"]}, {"command": ["b"]}]}),
    post("batch-submit", {"template": {"command": ["a", "{x}", "{i}"]}, "sweep": {"x": [1, "b"], "i": {"to": 3}}}),
    post("batch-submit", {"template": {"command": ["a", "{x}"]}, "sweep": [{"x": 0.1}, {"x": True}]}),
    post("batch-submit", {"template": {"command": ["a", "{index}"]}, "count": 3, "placeholders": True}),
    get("jobs", "", state="failed,held", label="a=b", batch=BATCH, since="2025-10-09T08:51:40Z", expand="spec"),
    post("jobs-find", {"ids": [JOB, "nonsense"]}),
    get("job", JOB, wait="30", expand="attempts"),
    patch("job-change", JOB, {"priority": 3, "labels": {"a": None}}),
    act("job-cancel", JOB, {"message": "enough"}),
    act("job-retry", JOB),
    get("job-delete", JOB, force="true"),
    get("attempts", JOB),
    get("archive", JOB),
    get("archive", JOB, output="1", fold_case="true"),
    get("batches", "", state="failed", name="n", limit="1"),
    get("batch", BATCH, expand="failures"),
    patch("batch-change", BATCH, {"hold": True, "name": "n"}),
    act("batch-cancel", BATCH),
    act("batch-fill", BATCH, {"jobs": [{"command": ["a"]}, {"command": ["b"]}]}),
    act("batch-retire", BATCH),
    get("server", ""),
    act("batch-retry", BATCH, {"state": "failed"}),
    get("batch-delete", BATCH),
    get("batch-jobs", BATCH, state="failed"),
    get("batch-failures", BATCH),
    get("job-waits", JOB),
    get("environments", ""),
    get("account", ""),
    get("apps", ""),
    get("images", ""),
    replace(get("environment", ""), path={"name": "local"}),
    post("estimate", FULL),
    post("estimate", {"template": FULL, "count": 5}),
    *FILES,
    post("webhook-add", {"url": "https://example.org/h", "kinds": ["batch.ended"], "jobs": "named"}),
    post("webhook-add", {"url": "https://example.org/h?q=1", "description": "d"}, idempotency_key="k2"),
    get("webhooks", "", limit="2", after=HOOK),
    get("webhook", HOOK),
    on_webhook("webhook-change", "PATCH", {"url": "http://example.org:8/", "jobs": "all", "kinds": ["job.failed"]}),
    on_webhook("webhook-change", "PATCH", {"enabled": True, "description": ""}, if_match='"3"'),
    on_webhook("webhook-delete", "DELETE", if_match='"3"'),
    on_webhook("webhook-rotate", "POST"),
    on_webhook("webhook-test", "POST"),
    get("deliveries", HOOK, limit="7", after=MESSAGE),
    on_webhook("delivery-resend", "POST"),
    Call(verb="events", method="GET", query={"kinds": "job,failure", "after": "7", "limit": "3"}, now=NOW),
    Call(verb="events", method="GET", query={"job": JOB}, headers={"accept": "text/event-stream"}, now=NOW),
    get("batch-events", BATCH, wait="5"),
    get("job-events", JOB, after="0"),
)

URL = "https://canary-user-91:canary-password-92@example.org/x"
INPUTS: dict[str, Any] = {"command": ["true"], "inputs": [{"path": "x", "url": URL}]}
CANARIES = ("canary-key-90", "canary-user-91", "canary-password-92")


def _planted(verb: str, body: dict[str, Any]) -> Planted:
    call = post(verb, body, key=CANARIES[0])
    return Planted(call=call, canaries=CANARIES)


def _planted_change() -> Planted:
    call = on_webhook("webhook-change", "PATCH", {"url": URL}, authorization=f"Bearer {CANARIES[0]}")
    return Planted(call=call, canaries=CANARIES)


def status(body: bytes) -> str:
    word = msgspec.json.decode(body)["state"]
    assert isinstance(word, str)
    return word


SUBJECT = Subject(
    name="native",
    setup=setup(),
    examples=EXAMPLES,
    shows=get("job", JOB),
    status=status,
    named=tuple(
        partial(make, verb)
        for make, verbs in (
            (
                get,
                (
                    "job",
                    "job-delete",
                    "attempts",
                    "archive",
                    "batch-archive",
                    "files",
                    "file",
                    "log",
                    "job-waits",
                    "webhook",
                    "batch",
                    "batch-delete",
                    "batch-jobs",
                    "batch-failures",
                ),
            ),
            (act, ("job-cancel", "job-retry", "batch-cancel", "batch-retry")),
            (lambda verb, ident: patch(verb, ident, {"priority": 1}), ("job-change", "batch-change")),
        )
        for verb in verbs
    ),
    planted=(
        _planted("job-submit", INPUTS),
        _planted("batch-submit", {"template": INPUTS, "count": 2}),
        _planted("batch-submit", {"jobs": [INPUTS, INPUTS]}),
        _planted("batch-submit", {"template": {**INPUTS, "stdin": "{x}"}, "sweep": {"x": ["a", "b"]}}),
        _planted("webhook-add", {"url": URL}),
        _planted_change(),
    ),
)
