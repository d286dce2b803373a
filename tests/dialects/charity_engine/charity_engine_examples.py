"""Valid calls of the Charity Engine dialect, one for each verb, and one with a credential at every place."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from jobgate.dialects.dialect import Call, Setup
from jobgate.model.catalogue import App, Catalogue, Image
from jobgate.model.files import Stored
from jobgate.model.ids import Digest
from jobgate.testing.dialects import Planted, Subject
from jobgate.testing.outcomes import NOW

KEY = "c503d86bc4e82d9415cb5912a0986c80"
JOB = "2n6r0kqa-1"
OTHER = "2n6r0kqa-3"
BATCH = "2n6r0kqa"
DIGEST = "ab" * 32

CATALOGUE = Catalogue(
    apps={
        "charityengine:wolframengine": App(name="charityengine:wolframengine", charge=2.0),
        "charityengine:licensed": App(name="charityengine:licensed", licence=True, licence_url="https://example.org/l"),
        "plain": App(name="plain"),
        "imaged": App(name="imaged", image="not-here"),
    },
    images={"busybox": Image(name="busybox"), "alpine:3.20": Image(name="alpine:3.20", root="/alpine")},
)


def sign(path: str, expires: float) -> str:
    return f"exp={int(expires)}&sig={len(path)}"


def setup(*, pulls: bool = False, **settings: object) -> Setup:
    return Setup(prefix="/remotejobs/v2", catalogue=CATALOGUE, pulls=pulls, settings=settings, sign=sign)


def call(verb: str, body: dict[str, Any] | None = None, *, key: str | None = KEY, **more: Any) -> Call:
    """A call whose body is `body` with the authenticator in it."""
    members = (body or {}) | ({} if key is None else {"authenticator": key})
    return Call(verb=verb, body=msgspec.json.encode(members), now=NOW, **more)


FULL: dict[str, Any] = {
    "app": "docker:alpine:3.20",
    "commandLine": "sort input/words.txt > output/sorted.txt",
    "specs": {"vcpus": 1, "ram": 256, "disk": 64, "networkDownload": 1, "networkUpload": 2},
    "hours": 0.5,
    "inputFiles": [
        {"filename": "words.txt", "url": "https://files.example.org/w", "size": 3, "sha256": DIGEST},
        {"filename": "sub/stored", "hash": DIGEST},
    ],
    "useOwnDevices": True,
    "instanceType": "C.2x4",
    "copies": 3,
    "tag": "demo",
    "cleanupFiles": False,
    "eulaAccepted": True,
    "encryptedInputFiles": True,
    "encryptedInputUrls": False,
    "encryptedOutputFiles": False,
    "encryptedOutputUrls": False,
    "publicKey": "a key",
    "environment": {"LANG": "C"},
    "clientToken": "token-1",
    "somethingNew": {"x": 1},
}

BEARER = {"authorization": f"Bearer {KEY}"}
JSON_TYPE = {"content-type": "application/json"}
STORED = Stored(Digest(DIGEST), 3)

EXAMPLES = (
    call("job-create", FULL),
    call("job-create", {"app": "plain", "commandLine": "true"}),
    call("job-status", {"jobIds": [JOB, OTHER]}),
    call("job-status", {"batchId": BATCH}),
    call("job-status", {"tag": "demo"}),
    call("job-list"),
    call(
        "job-list",
        {
            "status": ["Running", "aborted"],
            "tag": "demo",
            "batchId": BATCH,
            "app": "plain",
            "createdAfter": "2026-01-01T00:00:00Z",
            "createdBefore": "2026-02-01T00:00:00+01:00",
            "limit": 10,
            "cursor": "c28ffbfrk01",
        },
    ),
    call("job-abort", {"jobIds": [JOB]}),
    call("job-remove", {"jobId": JOB, "force": True}),
    call("job-result", {"jobId": JOB, "signed": True}),
    call("job-log", {"jobId": JOB, "offset": 3, "limit": 10}),
    call("file-upload", {"contentBase64": "aGk="}, headers=JSON_TYPE),
    Call(verb="file-upload", headers=BEARER, upload=STORED, now=NOW),
    Call(verb="files", method="GET", path={"job": JOB, "path": "a/b"}, headers=BEARER, now=NOW),
    Call(verb="logs", method="GET", path={"job": JOB}, headers=BEARER, now=NOW),
)

CANARIES = {name: f"canary-{name}-5f7d" for name in ("key", "user", "password", "other", "public", "bearer")}


def _planted() -> tuple[Planted, ...]:
    hidden = CANARIES
    create = {
        "app": "plain",
        "commandLine": "true",
        "inputFiles": [
            {"filename": "a", "url": f"https://{hidden['user']}:{hidden['password']}@example.org:8443/a?b=c#d"},
            {"filename": "b", "url": f"http://{hidden['other']}@example.org/"},
        ],
        "publicKey": hidden["public"],
        "copies": 2,
    }
    archive = {"app": f"docker:a https://{hidden['user']}:{hidden['password']}@example.org/a", "commandLine": "true"}
    back = create | {"callbackUrl": f"https://{hidden['other']}-back@example.org/", "clientToken": "t"}
    basic = base64.b64encode(f"{hidden['bearer']}:".encode()).decode()
    body = tuple(hidden[name] for name in ("key", "user", "password", "other", "public"))
    plain: tuple[tuple[str, dict[str, Any]], ...] = (
        ("job-status", {"jobId": JOB}),
        ("job-list", {}),
        ("job-abort", {"tag": "t"}),
        ("job-remove", {"batchId": BATCH}),
        ("job-result", {"jobId": JOB}),
        ("job-log", {"jobId": JOB}),
    )
    return (
        Planted(call=call("job-create", create, key=hidden["key"]), canaries=body),
        Planted(call=call("job-create", back, key=hidden["key"]), canaries=body),
        Planted(
            call=call("job-create", archive, key=hidden["key"]),
            canaries=(hidden["key"], hidden["user"], hidden["password"]),
        ),
        *(Planted(call=call(verb, b, key=hidden["key"]), canaries=(hidden["key"],)) for verb, b in plain),
        Planted(
            call=call("file-upload", {"contentBase64": "aGk="}, key=hidden["key"], headers=JSON_TYPE),
            canaries=(hidden["key"],),
        ),
        Planted(
            call=Call(verb="file-upload", headers={"authorization": f"Bearer {hidden['bearer']}"}, upload=STORED),
            canaries=(hidden["bearer"],),
        ),
        Planted(
            call=Call(
                verb="files", method="GET", path={"job": JOB, "path": "a"}, headers={"authorization": f"Basic {basic}"}
            ),
            canaries=(basic,),
        ),
        Planted(
            call=Call(
                verb="files", method="GET", path={"job": JOB, "path": "a"}, query={"authenticator": hidden["key"]}
            ),
            canaries=(hidden["key"],),
        ),
    )


def status(body: bytes) -> str:
    word = msgspec.json.decode(body)["jobs"][0]["status"]
    assert isinstance(word, str)
    return word


SUBJECT = Subject(
    name="charity_engine",
    setup=setup(),
    examples=EXAMPLES,
    shows=call("job-status", {"jobId": JOB}),
    status=status,
    named=(
        lambda ident: call("job-status", {"jobId": ident}),
        lambda ident: call("job-status", {"jobIds": [ident]}),
        lambda ident: call("job-status", {"batchId": ident}),
        lambda ident: call("job-abort", {"jobId": ident}),
        lambda ident: call("job-abort", {"batchId": ident}),
        lambda ident: call("job-remove", {"jobId": ident}),
        lambda ident: call("job-remove", {"batchId": ident}),
        lambda ident: call("job-result", {"jobId": ident}),
        lambda ident: call("job-log", {"jobId": ident}),
        lambda ident: Call(verb="files", method="GET", path={"job": ident, "path": "a"}),
        lambda ident: Call(verb="logs", method="GET", path={"job": ident}),
    ),
    planted=_planted(),
)
