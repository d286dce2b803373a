"""An error as a problem of RFC 9457, in words for people and codes for programs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from jobgate.dialects.dialect import Call, Reply
from jobgate.dialects.native.asked import QueryFault
from jobgate.dialects.native.faults import MOST, Faults
from jobgate.dialects.native.wire import Fault, Problem
from jobgate.dialects.reading import json_object, member
from jobgate.model.errors import (
    Gone,
    Invalid,
    JobgateError,
    MethodNotAllowed,
    Misplaced,
    RequestError,
    Reused,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unsatisfiable,
)

PROBLEM: Final = "application/problem+json"

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {
    "invalid": (422, "invalid", "The request has a fault"),
    "invalid-json": (400, "invalid-json", "The body cannot be read"),
    "unauthenticated": (401, "unauthenticated", "No credential, or one that does not hold"),
    "forbidden": (403, "forbidden", "This account may not do that"),
    "not-found": (404, "not-found", "There is no such thing here"),
    "unknown-operation": (404, "unknown-operation", "There is nothing at this address"),
    "app-not-found": (404, "app-not-found", "There is no such app here"),
    "result-expired": (410, "gone", "It was here; its time has ended"),
    "folder-not-found": (404, "folder-not-found", "This account has no such folder"),
    "file-not-found": (404, "file-not-found", "There is no such file here"),
    "method-not-allowed": (405, "method-not-allowed", "This address answers to another method"),
    "conflict": (409, "conflict", "The present state does not allow it"),
    "not-waiting": (409, "not-waiting", "This job does not wait"),
    "job-active": (409, "job-active", "A job is not over"),
    "not-failed": (409, "not-failed", "Only a job that failed can be tried again"),
    "not-empty": (409, "not-empty", "The batch is not empty any more"),
    "name-taken": (409, "name-taken", "Another job has this name"),
    "retired": (409, "retired", "The batch is retired"),
    "changed": (412, "changed", "It was changed since it was read"),
    "webhook-not-found": (404, "webhook-not-found", "This account has no such webhook"),
    "webhook-disabled": (409, "webhook-disabled", "The webhook is disabled"),
    "too-many-webhooks": (409, "too-many-webhooks", "This account has as many webhooks as it may"),
    "gone": (410, "gone", "It was here; its time has ended"),
    "timeout": (408, "timeout", "The body came too slowly"),
    "batch-too-large": (413, "batch-too-large", "More jobs than one batch may have here"),
    "offset": (409, "offset", "The part does not begin where the upload ends"),
    "upload-busy": (409, "upload-busy", "Another request adds to this upload"),
    "folder-not-empty": (409, "folder-not-empty", "The folder has files"),
    "mismatch": (422, "mismatch", "The content is not what its hash says"),
    "too-large": (413, "too-large", "Larger than this server accepts"),
    "range": (416, "range", "The range begins behind the end"),
    "key-reused": (422, "key-reused", "This key belongs to another request"),
    "unrunnable": (422, "unrunnable", "No environment here can run it"),
    "licence-required": (422, "licence-required", "The licence of this app must be accepted"),
    "app-not-runnable": (422, "app-not-runnable", "The image cannot be had here"),
    "app-version-not-found": (404, "app-version-not-found", "The app has no such version here"),
    "app-deprecated": (422, "app-deprecated", "The app takes no new jobs"),
    "too-many": (429, "too-many", "Over the rate of this account"),
    "too-many-jobs": (429, "too-many-jobs", "Over the number of jobs of this account"),
    "storage-quota": (429, "storage-quota", "Over the stored files of this account"),
    "too-many-uploads": (429, "too-many-uploads", "Over the unfinished uploads of this account"),
    "unavailable": (503, "unavailable", "The server cannot do this now"),
    "storage-full": (507, "storage-full", "The server's disk is full to its floor"),
    "internal": (500, "internal", "Something went wrong in the server"),
}
"""The model's code to status, code and title."""

_PLAIN: Final = "~!$&'()*+,;=:@?"
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

FIRST_OF_OURS: Final = 500
"""Statuses from here on say that the fault is ours."""

NEXT: Final[Mapping[str, str]] = {
    "invalid": "Correct what errors names, and send it again; nothing was changed.",
    "invalid-json": "Send one JSON object in UTF-8.",
    "unauthenticated": "Send Authorization: Bearer KEY, with a key of this server.",
    "forbidden": "Use a key that has this scope, or ask the operator for one.",
    "not-found": "Compare the id with the answer that named it; GET /v1/jobs and /v1/batches list what there is.",
    "unknown-operation": "GET /v1 names what there is; /docs has every address.",
    "app-not-found": "GET /v1/apps lists those there are.",
    "folder-not-found": "Make it first: PUT /v1/folders/NAME. GET /v1/folders lists those there are.",
    "file-not-found": "List the files of the job or folder, and use a path as it stands there.",
    "method-not-allowed": "Use a method that the Allow header names.",
    "conflict": "Read it again, and decide by its present state.",
    "not-waiting": "Read its state: it runs, or it is over.",
    "job-active": "Wait for its end, or cancel it first.",
    "not-failed": "Submit it anew, if it is to run once more.",
    "changed": "Read it again, then send the change with its new ETag.",
    "webhook-not-found": "GET /v1/webhooks lists those there are.",
    "webhook-disabled": 'PATCH it with {"enabled": true}, then ask again.',
    "too-many-webhooks": "DELETE one that is not needed any more.",
    "gone": "Nothing brings it back; the operator sets how long things are kept under [retention].",
    "timeout": "Send it again, faster, or in smaller batches.",
    "batch-too-large": "Send the jobs in several batches.",
    "offset": "Go on from the Upload-Offset of this answer.",
    "upload-busy": "Wait for the other request, then ask with HEAD how far the upload is.",
    "folder-not-empty": "Delete its files first, or delete it with ?force=true.",
    "mismatch": "What came was discarded: hash the file again, and begin anew.",
    "too-large": "Send less at once; large inputs go by upload or url. GET /v1/account has the limits.",
    "range": "Ask for a part of the bytes that Content-Range says there are, or send no Range.",
    "key-reused": "Use a new key, or send the first body.",
    "unrunnable": "Ask for less, or for what an environment of GET /v1/environments has.",
    "app-version-not-found": "GET /v1/apps lists the versions of each app; without one the newest is meant.",
    "app-deprecated": "Use another app of GET /v1/apps, or ask the operator what takes its place.",
    "licence-required": 'Read the licence, then send "accept_licence": true beside the app.',
    "not-empty": "Make another batch, or submit the jobs as a batch of their own.",
    "name-taken": "Give the job another name, or delete the one that bears it.",
    "retired": "Submit it anew: what is retired is not taken up again.",
    "app-not-runnable": "Use an image of GET /v1/images, or ask the operator to add it under [images].",
    "too-many": "Come again after the seconds in Retry-After.",
    "too-many-jobs": "Wait until some have ended, or cancel some; GET /v1/account has the quota.",
    "storage-quota": "Delete jobs, uploads or files of folders; GET /v1/account has the quota.",
    "too-many-uploads": "Finish some of them, or DELETE those that will not be finished.",
    "unavailable": "Send it again; nothing was changed.",
    "storage-full": "Send it again later; nothing was changed.",
    "internal": "Send it again; if it happens again, give the operator the Request-Id.",
}
"""What to do, by the code of the problem: each has something."""

_OF_BODY: Final = frozenset({"webhook-not-found", "app-not-found"})
"""Codes that say the body is at fault, beside the statuses that do."""
_OF_SPEC: Final = frozenset({"unrunnable", "app-not-found", "licence-required", "app-not-runnable"})
"""Codes that say it of one job's spec, whose fields are called as in the body, where that job stands."""
_STEP: Final = re.compile(r'\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.\[]+)')
"""One step of a path: `[2]`, `["a.b"]` or `name`."""


def refuse(call: Call, error: JobgateError, *, prefix: str, allow: str) -> Reply:
    """The problem; `allow` are the methods of the address. Of faults that are not the asker's it tells no details."""
    asked = isinstance(error, RequestError)
    keys = (error.code, _code_of(type(error)), "invalid" if asked else "internal")
    found = (PROBLEMS[key] for key in keys if key in PROBLEMS)
    status, code, title = next(one for one in found if (one[0] < FIRST_OF_OURS) == asked)
    detail = error.message if asked and code != "not-found" else title
    faults: tuple[Fault, ...] = ()
    if status in (400, 413, 422) or code in _OF_BODY:
        each = error.each if isinstance(error, Faults) else (error,)
        placed = ((e, _place(call, e.field) if code in _OF_SPEC else e.field) for e in each if e.field)
        faults = tuple(_fault(e, field) for e, field in placed if field)
        if len(faults) > 1:
            detail = f"{len(faults)} faults{' at least' if len(faults) == MOST else ''}; the first is {detail}"
    oldest = error.oldest if isinstance(error, Gone) else None
    made, job = (error.made, error.job) if isinstance(error, Reused) else ("", False)
    problem = Problem(
        type=f"{prefix}/problems/{code}",
        code=code,
        title=title,
        status=status,
        detail=detail,
        instance=f"request:{call.request}" if call.request else UNSET,
        next=NEXT[code] if oldest is None else f"Go on with after={oldest}; what lies between is deleted.",
        oldest=UNSET if oldest is None else oldest,
        job=made if made and job else UNSET,
        batch=made if made and not job else UNSET,
        errors=faults or UNSET,
    )
    return Reply(status=status, headers=_headers(error, allow), body=msgspec.json.encode(problem), media=PROBLEM)


def _place(call: Call, field: str) -> str:
    """Where a field of a spec stands in the body; empty where several jobs stand there, of which it may be any."""
    try:
        body = json_object(call.body)
    except Invalid:
        return ""
    if "template" in body:
        return member("template", field)
    return "" if "jobs" in body else field


def _fault(error: JobgateError, field: str) -> Fault:
    if isinstance(error, QueryFault):
        return Fault(parameter=field, code=error.code, detail=error.message)
    return Fault(pointer=pointer(field), code=error.code, detail=error.message)


def _code_of(kind: type[JobgateError]) -> str:
    """The code of the nearest class of the tree that has one."""
    return next(str(base.__dict__["code"]) for base in kind.__mro__ if "code" in base.__dict__)


def pointer(field: str) -> str:
    """RFC 6901, in a fragment: `jobs[2].inputs[0].url` is `#/jobs/2/inputs/0/url`."""
    steps = (_step(*match.groups()) for match in _STEP.finditer(field))
    return "#" + "".join(f"/{quote(step, safe=_PLAIN)}" for step in steps)


def _step(index: str | None, quoted: str | None, name: str | None) -> str:
    said = index or name or _ESCAPED.sub(r"\1", quoted or "")
    return said.replace("~", "~0").replace("/", "~1")


def _headers(error: JobgateError, allow: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, TooMany | Unavailable) or error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if isinstance(error, Unsatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    if isinstance(error, Misplaced):
        headers["Upload-Offset"] = str(error.offset)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed) and allow:
        headers["Allow"] = allow
    return headers
