"""What the OpenAPI document of `/v1` tells beside the verbs: ids, headers, refusals, and rules between members."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Final

from msgspec import Meta

from jobgate.dialects.dialect import Body
from jobgate.dialects.native.jobs import FindDraft
from jobgate.dialects.native.problems import PROBLEM, PROBLEMS
from jobgate.dialects.native.wire import BatchDraft, FillDraft, InputDraft, JobDraft, OutputDraft, Problem
from jobgate.dialects.openapi.document import About, Header, Refusals
from jobgate.dialects.openapi.schemas import Rules
from jobgate.dialects.verb import Verb

DESCRIPTION: Final = """\
Jobs in, their state and their files out: everything the server can do. JSON in UTF-8, whatever the body's label says;
times in RFC 3339, UTC; sizes in bytes; durations in seconds. What has no value is left out, never null. Unknown members
and unknown parameters are refused. GET answers HEAD, and every address answers OPTIONS with the methods it has. A
client may see members that it does not know: they are only ever added.
"""
SUBJECTS: Final[Mapping[str, str]] = {
    "jobs": "One piece of work: what was asked, and where it stands.",
    "batches": "The jobs of one request. A lone job is a batch of one.",
    "events": "What happens, in order and without gaps, from any point that retention still keeps.",
    "logs": "What a job has written, while it runs and afterwards.",
    "files": "What jobs leave, what they are given, and folders that outlive them.",
    "uploads": "Files on their way in, named by their SHA-256.",
    "folders": "Named files of an account that outlive jobs.",
    "webhooks": "Addresses that are told of what happens.",
    "environments": "Where jobs run.",
    "places": "Where jobs run, what they can run there, and what the account may use.",
    "estimates": "When a job would start and end, and what it would cost.",
    "account": "What the account has and may use.",
    "reference": "This document, and the pages of problems. They ask for no credential.",
}

_BATCH: Final = "[0-9a-hjkmnp-z]{8,14}"
_HASH: Final = "^[0-9a-f]{64}$"

Batch = Annotated[str, Meta(pattern=f"^{_BATCH}$", description="Id of the batch.", examples=["2n6r0kqa"])]
Job = Annotated[str, Meta(pattern=f"^{_BATCH}-[1-9][0-9]*$", description="Id of the job.", examples=["2n6r0kqa-640"])]
Hash = Annotated[str, Meta(pattern=_HASH, description="SHA-256, in lower-case hexadecimal.", examples=["9f" * 32])]
Path = Annotated[
    str, Meta(min_length=1, description="Path of the file; it may have slashes in it.", examples=["out/model.bin"])
]
Folder = Annotated[str, Meta(min_length=1, description="Name of the folder.", examples=["data"])]
PLACES: Final[Mapping[str, Any]] = {
    "batches/{id}": Batch,
    "jobs/{id}": Job,
    "files/{path}": Path,
    "uploads/{sha256}": Hash,
    "folders/{name}": Folder,
    "webhooks/{id}": Annotated[
        str, Meta(pattern="^w[0-9a-z]+$", description="Id of the webhook.", examples=["w2n6r0kqa"])
    ],
    "deliveries/{message}": Annotated[
        str, Meta(min_length=1, description="Id of the delivery.", examples=["msg_2n6r0kqa"])
    ],
    "environments/{name}": Annotated[str, Meta(min_length=1, description="Its name.", examples=["local"])],
    "problems/{code}": Annotated[str, Meta(pattern="^[a-z-]+$", description="Its code.", examples=["key-reused"])],
}
"""What stands in an address, by the word before it."""

PARAMETERS: Final[Mapping[str, str]] = {
    "limit": "How many there are on a page, at most.",
    "after": "Where the page begins: from `next` of the page before.",
    "wait": "Seconds to wait, at most 60 of them.",
    "force": "What is not over is cancelled first.",
    "expand": "What more to tell of each, with commas between.",
    "since": "Made at this time or later.",
    "before": "Made before this time.",
    "label": "With this label: `NAME=VALUE`.",
    "state": "In one of these states.",
    "batch": "Of this batch.",
    "job": "Of this job.",
    "app": "Of this app.",
    "environment": "Of this environment.",
    "name": "Of this name.",
    "priority": "Order among the account's own jobs; the greater first.",
    "held": "They wait until they are let go.",
}
"""Of the query, where a verb does not say more."""

Tag = Annotated[str, Meta(examples=['"17"'])]
ASKED: Final[Mapping[str, Header]] = {
    "Idempotency-Key": Header(
        "A text of your own. The same again with the same body makes nothing new, and is answered with what the first "
        "made, as it is now; with another body it is refused.",
        Annotated[str, Meta(min_length=1, max_length=255, examples=["nightly-2026-11-24"])],
    ),
    "If-None-Match": Header(
        "ETags that you know. If the thing is still one of these, the answer is 304, without a body.", Tag
    ),
    "If-Match": Header("ETag that you know. If the thing has changed since, nothing is done.", Tag),
    "Range": Header("One range of bytes.", Annotated[str, Meta(examples=["bytes=0-1023"])]),
    "Last-Event-ID": Header("Cursor of the last event that was seen; it goes before `after`."),
}
TOLD: Final[Mapping[str, Header]] = {
    "Request-Id": Header("What the server's log calls this request.", Annotated[str, Meta(min_length=1)]),
    "Location": Header("Address of what was made."),
    "ETag": Header(
        "Version of the thing, for If-None-Match and If-Match.", Annotated[str, Meta(pattern='^(W/)?".*"$')]
    ),
    "Link": Header("Address of the next page, with rel=next; without it this is the last."),
    "Retry-After": Header("Seconds until it is worth to ask again.", Annotated[int, Meta(ge=1)]),
    "WWW-Authenticate": Header("How to say who asks."),
    "Allow": Header("Methods that the address answers to."),
    "Idempotent-Replayed": Header(
        "`true`: the key was known, and nothing was made.", Annotated[str, Meta(pattern="^true$")]
    ),
    "Accept-Ranges": Header("`bytes`: parts can be asked for."),
    "Content-Range": Header("Which part this is, and of how much."),
}

RULES: Final[Rules] = {
    JobDraft: {
        "oneOf": [{"required": ["command"]}, {"required": ["script"]}],
        "not": {"required": ["app", "image"]},
        "properties": {
            "command": {"minItems": 1},
            "script": {"pattern": "^#!"},
            "env": {"propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}},
        },
    },
    InputDraft: {
        "oneOf": [{"required": [one]} for one in ("content", "url", "upload", "file")],
        "properties": {"path": {"minLength": 1}, "url": {"pattern": "^https?://"}},
    },
    FindDraft: {
        "anyOf": [{"required": [one], "properties": {one: {"minItems": 1}}} for one in ("ids", "names")],
    },
    FillDraft: {"oneOf": [{"required": ["template"]}, {"required": ["jobs"]}]},
    BatchDraft: {
        "oneOf": [
            {"required": ["template"]},
            {"required": ["jobs"]},
            {"required": ["open"], "not": {"anyOf": [{"required": ["template"]}, {"required": ["jobs"]}]}},
        ]
    },
    OutputDraft: {"properties": {"path": {"minLength": 1}}},
}
"""What the dialect checks between members; a struct's types cannot say it."""

_OF_CALLS: Final = ("unauthenticated", "forbidden", "too-many", "unavailable", "internal")
_OF_BODIES: Final = ("invalid-json", "timeout", "too-large")
_OF_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Idempotency-Key": ("key-reused",),
    "If-Match": ("changed",),
}


def status_of() -> dict[str, tuple[int, str]]:
    """Each code that stands in a problem, with its status and title."""
    return {code: (status, title) for status, code, title in PROBLEMS.values()}


def refused(verb: Verb) -> frozenset[str]:
    """Codes of problems that a verb may answer with."""
    found = {*peculiar(verb), "invalid", *(() if verb.page else _OF_CALLS)}
    if "{" in verb.path:
        found.update(("not-found", "unknown-operation"))
    if verb.body is not Body.NONE:
        found.update(_OF_BODIES)
    return frozenset(found & status_of().keys())


def peculiar(verb: Verb) -> frozenset[str]:
    """Those of them that not every verb may."""
    return frozenset({*verb.refuses, *(code for name in verb.headers for code in _OF_HEADERS.get(name, ()))})


def about(prefix: str) -> About:
    """What the document says of this API."""
    return About(
        title="Jobgate",
        version=version("jobgate"),
        description=DESCRIPTION,
        prefix=prefix,
        subjects=SUBJECTS,
        places=PLACES,
        parameters=PARAMETERS,
        asked=ASKED,
        told=TOLD,
        always=("Request-Id",),
        refusals=Refusals(kind=Problem, media=PROBLEM, codes=status_of(), of=refused),
        rules=RULES,
        schemes={"key": {"type": "http", "scheme": "bearer", "description": "An API key of this server."}},
        sample={"Authorization": "Bearer $KEY"},
    )
