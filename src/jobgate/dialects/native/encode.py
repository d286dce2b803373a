"""From an outcome to the answer, and from an error to a problem of RFC 9457."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from jobgate.dialects.dialect import Call, Reply
from jobgate.dialects.native.faults import MOST, Faults
from jobgate.dialects.native.states import NAMES
from jobgate.dialects.native.wire import BatchView, Fault, FileView, JobView, Problem
from jobgate.model.errors import (
    JobgateError,
    MethodNotAllowed,
    NotFound,
    RequestError,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from jobgate.model.ids import JobId, batch_text, job_text, place
from jobgate.model.job import Batch, Job
from jobgate.model.operations import Archived, Counted, Found, Outcome, Submitted
from jobgate.model.operations import JobView as Whole
from jobgate.model.state import JobState

PROBLEM: Final = "application/problem+json"

# --- the answers


def _submitted_job(prefix: str, outcome: Submitted) -> Reply:
    """201 with the job; for a repeated key the job as it is now."""
    ident = job_text(outcome.batch.id, JobId(outcome.batch.id))
    headers = {"Location": f"{prefix}/jobs/{ident}"}
    if not outcome.jobs:  # repeated, and deleted since: what is left to say is its name
        return _json({"id": ident, "batch": batch_text(outcome.batch.id)}, 201, headers | _replayed(outcome))
    job = outcome.jobs[0]
    return _json(_job_view(job, outcome.batch), 201, headers | {"ETag": f'"{job.version}"'} | _replayed(outcome))


def _submitted_batch(prefix: str, outcome: Submitted) -> Reply:
    batch = outcome.batch
    counts: dict[JobState, int] = {}
    for job in outcome.jobs:
        counts[job.state] = counts.get(job.state, 0) + 1
    if not outcome.jobs and not outcome.replayed:
        counts = {JobState.QUEUED: batch.count}
    headers = {"Location": f"{prefix}/batches/{batch_text(batch.id)}"} | _replayed(outcome)
    return _json(_batch_view(batch, counts), 201, headers)


def _replayed(outcome: Submitted) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if outcome.replayed else {}


def _job(prefix: str, outcome: Found) -> Reply:
    if not outcome.jobs:
        return refuse(Call(verb="job"), NotFound())
    del prefix
    view = outcome.jobs[0]
    return _json(_job_view(view.job, view.batch, view), 200, {"ETag": f'"{view.job.version}"'})


def _batch(prefix: str, outcome: Counted) -> Reply:
    del prefix
    return _json(_batch_view(outcome.batch, outcome.counts))


def _archive(prefix: str, outcome: Archived) -> Reply:
    del prefix
    return Reply(body=outcome, media="application/zip")


ENCODERS: Final[Mapping[str, Callable[[str, Any], Reply]]] = {
    "job-submit": _submitted_job,
    "batch-submit": _submitted_batch,
    "job": _job,
    "archive": _archive,
    "batch": _batch,
}


def encode(prefix: str, call: Call, outcome: Outcome) -> Reply:
    """The answer to a call that went well."""
    return ENCODERS[call.verb](prefix, outcome)


def _json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status=status, headers=headers or {}, body=msgspec.json.encode(body))


def _job_view(job: Job, batch: Batch, whole: Whole | None = None) -> JobView:
    """The job; with its attempts' number and files where they were looked up."""
    attempts = whole.attempts if whole else ()
    shown = attempts[job.canonical - 1] if job.canonical is not None and job.canonical <= len(attempts) else None
    shown = shown or (attempts[-1] if attempts else None)
    files = shown.outputs if shown and job.state.over else ()
    return JobView(
        id=job_text(batch.id, job.id),
        batch=batch_text(batch.id),
        number=place(batch.id, job.id) + 1,
        state=NAMES[job.state],
        created=_moment(job.created),
        name=batch.name or UNSET,
        labels=dict(batch.labels) or UNSET,
        priority=job.priority,
        started=UNSET if job.started is None else _moment(job.started),
        ended=UNSET if job.ended is None else _moment(job.ended),
        exit_code=UNSET if job.exit_code is None else job.exit_code,
        failure=UNSET if job.failure is None else job.failure.value,
        limit=UNSET if job.limit is None else job.limit.value,
        message=job.message or UNSET,
        attempts=len(attempts) if whole else UNSET,
        outputs=tuple(FileView(path=f.path, size=f.size, sha256=f.digest, output=f.output) for f in files)
        if whole
        else UNSET,
        skipped=(shown.skipped if shown and job.state.over else 0) or UNSET,
    )


def _batch_view(batch: Batch, counts: Mapping[JobState, int]) -> BatchView:
    return BatchView(
        id=batch_text(batch.id),
        name=batch.name,
        count=batch.count,
        created=_moment(batch.created),
        ended=all(state.over for state, number in counts.items() if number),
        counts={NAMES[state]: counts[state] for state in JobState if counts.get(state)},
        labels=dict(batch.labels) or UNSET,
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- problems

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {
    "invalid": (422, "invalid", "The request has a fault"),
    "invalid-json": (400, "invalid-json", "The body cannot be read"),
    "unauthenticated": (401, "unauthenticated", "No credential, or one that does not hold"),
    "forbidden": (403, "forbidden", "This account may not do that"),
    "not-found": (404, "not-found", "There is no such thing here"),
    "unknown-operation": (404, "unknown-operation", "There is nothing at this address"),
    "app-not-found": (404, "app-not-found", "There is no such app here"),
    "result-expired": (410, "gone", "It was here; its time has ended"),
    "file-not-found": (404, "file-not-found", "There is no such file here"),
    "method-not-allowed": (405, "method-not-allowed", "This address answers to another method"),
    "conflict": (409, "conflict", "The present state does not allow it"),
    "job-active": (409, "job-active", "A job is not over"),
    "gone": (410, "gone", "It was here; its time has ended"),
    "timeout": (408, "timeout", "The body came too slowly"),
    "batch-too-large": (413, "batch-too-large", "More jobs than one batch may have here"),
    "too-large": (413, "too-large", "Larger than this server accepts"),
    "key-reused": (422, "key-reused", "This key belongs to another request"),
    "unrunnable": (422, "unrunnable", "No environment here can run it"),
    "app-not-runnable": (422, "app-not-runnable", "The image cannot be had here"),
    "too-many": (429, "too-many", "Over the rate of this account"),
    "too-many-jobs": (429, "too-many-jobs", "Over the number of jobs of this account"),
    "storage-quota": (429, "storage-quota", "Over the stored files of this account"),
    "unavailable": (503, "unavailable", "The server cannot do this now"),
    "storage-full": (507, "storage-full", "The server's disk is full to its floor"),
    "internal": (500, "internal", "Something went wrong in the server"),
}
"""The model's code to status, code and title."""

FIRST_OF_OURS: Final = 500
"""Statuses from here on say that the fault is ours."""

NEXT: Final[Mapping[str, str]] = {
    "key-reused": "Use a new key, or send the first body.",
    "unauthenticated": "Send Authorization: Bearer KEY, with a key of this server.",
    "batch-too-large": "Send the jobs in several batches.",
    "timeout": "Send it again, faster, or in smaller batches.",
    "storage-full": "Send it again later; nothing was changed.",
    "too-many": "Come again after the seconds in Retry-After.",
    "unavailable": "Send it again; nothing was changed.",
}

_INDEX: Final = re.compile(r"\[(\d+)\]")


def refuse(call: Call, error: JobgateError) -> Reply:
    """The problem. Of faults that are not the asker's it tells no details."""
    asked = isinstance(error, RequestError)
    keys = (error.code, _code_of(type(error)), "invalid" if asked else "internal")
    found = (PROBLEMS[key] for key in keys if key in PROBLEMS)
    status, code, title = next(one for one in found if (one[0] < FIRST_OF_OURS) == asked)
    detail = error.message if asked and code != "not-found" else title
    faults: tuple[Fault, ...] = ()
    if status in (400, 413, 422):  # the codes that say the body is at fault
        each = error.each if isinstance(error, Faults) else (error,)
        faults = tuple(Fault(pointer=pointer(e.field), code=e.code, detail=e.message) for e in each if e.field)
        if len(faults) > 1:
            detail = f"{len(faults)} faults{' at least' if len(faults) == MOST else ''}; the first is {detail}"
    problem = Problem(
        type=f"/v1/problems/{code}",
        code=code,
        title=title,
        status=status,
        detail=detail,
        next=NEXT.get(code, UNSET),
        errors=faults or UNSET,
    )
    return Reply(status=status, headers=_headers(call, error), body=msgspec.json.encode(problem), media=PROBLEM)


def _code_of(kind: type[JobgateError]) -> str:
    """The code of the nearest class of the tree that has one."""
    return next(str(base.__dict__["code"]) for base in kind.__mro__ if "code" in base.__dict__)


def pointer(field: str) -> str:
    """RFC 6901, in a fragment: `jobs[2].inputs[0].url` is `#/jobs/2/inputs/0/url`."""
    escaped = field.replace("~", "~0").replace("/", "~1")
    return "#/" + quote(_INDEX.sub(r".\1", escaped).replace(".", "/"), safe="/~!$&'()*+,;=:@?")


def _headers(call: Call, error: JobgateError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, TooMany | Unavailable) or error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed) and call.verb:
        headers["Allow"] = "POST" if call.verb.endswith("-submit") else "GET, HEAD"
    return headers
