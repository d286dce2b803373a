"""From an outcome to the answer: each verb a function, and one table of them; every error in one more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from jobgate.dialects.charity_engine import foreign
from jobgate.dialects.charity_engine.decode import CURSOR, Words, body_of
from jobgate.dialects.charity_engine.settings import DAY
from jobgate.dialects.charity_engine.states import NAMES, TEXTS, reason, status
from jobgate.dialects.charity_engine.wire import (
    NAME,
    Created,
    Document,
    ErrorBody,
    JobObject,
    JobRef,
    JobResult,
    OutputFile,
    moment,
)
from jobgate.dialects.dialect import Call, Reply
from jobgate.model.attempt import Attempt
from jobgate.model.errors import (
    Conflict,
    Gone,
    JobgateError,
    MethodNotAllowed,
    NotFound,
    RequestError,
    TooMany,
    Unavailable,
    Unsatisfiable,
)
from jobgate.model.files import Artifact, OutputKind
from jobgate.model.ids import STRIDE, JobId, batch_text, job_text, text
from jobgate.model.job import Batch, Job
from jobgate.model.outcomes import Changed, Content, Deleted, Found, JobView, Log, Outcome, Submitted, Written
from jobgate.model.state import AttemptState, JobState

# --- the answers


def _created(words: Words, call: Call, outcome: Submitted) -> Reply:
    """The same for a repeated call as for the first: what was made, as it was made."""
    del call
    batch = outcome.batch
    ids = tuple(job_text(batch.id, JobId(batch.id + place * STRIDE)) for place in range(batch.count))
    document = _document_of(batch)
    return _json(
        Created(
            batch_id=batch_name(batch),
            job_ids=ids,
            instance_type=document.instance_type,
            estimated_cost=_estimate(words, batch, document),
            jobs=tuple(JobRef(id=ident, status=NAMES[JobState.QUEUED]) for ident in ids),
            replayed=outcome.replayed,
        )
    )


def _estimate(words: Words, batch: Batch, document: Document) -> float | UnsetType:
    """Most that the jobs can cost, in credits; nothing where the type has left the catalogue."""
    kind = None if document.instance_type is UNSET else words.own.type(document.instance_type)
    if kind is None or document.hours is UNSET:
        return UNSET
    app = words.setup.catalogue.apps.get(batch.app)
    return round(kind.price * document.hours * batch.count * (app.charge if app else 1.0), 6)


def _status(words: Words, call: Call, outcome: Found) -> Reply:
    if not outcome.jobs:
        return refuse(words, call, NotFound())
    documents: dict[int, Document] = {}
    shown = [_object(view, call.now, documents) for view in outcome.jobs]
    return _json({"jobs": shown, "notFound": outcome.missing})


def _list(words: Words, call: Call, outcome: Found) -> Reply:
    del words, call
    body: dict[str, object] = {"jobs": [_short(view) for view in outcome.jobs]}
    if outcome.more is not None:
        body["nextCursor"] = text(CURSOR, outcome.more)
    return _json(body)


def _aborted(words: Words, call: Call, outcome: Changed) -> Reply:
    if not outcome.done and not outcome.unchanged:
        return refuse(words, call, NotFound())
    return _json(
        {
            "aborted": [job_text(job.batch, job.id) for job in outcome.done],
            "unchanged": [JobRef(id=job_text(job.batch, job.id), status=status(job)) for job in outcome.unchanged],
            "notFound": outcome.missing,
            **_more(outcome),
        }
    )


def _removed(words: Words, call: Call, outcome: Deleted) -> Reply:
    if not outcome.jobs and not outcome.stopping:
        return refuse(words, call, NotFound())
    return _json(
        {
            "removed": [str(name) for name in outcome.jobs],
            "active": [str(name) for name in outcome.stopping],
            "notFound": outcome.missing,
            **_more(outcome),
        }
    )


def _more(outcome: Changed | Deleted) -> dict[str, int]:
    """How many jobs of a large batch are not named."""
    return {"more": outcome.more} if outcome.more else {}


def _result(words: Words, call: Call, outcome: Found) -> Reply:
    if not outcome.jobs:
        return refuse(words, call, NotFound())
    view = outcome.jobs[0]
    job = view.job
    if not job.state.over:
        told = f"{job_text(job.batch, job.id)} is {status(job)}: its result is there when it has ended"
        return refuse(words, call, Conflict(told, code="job-active"))
    if job.ended is not None and call.now - job.ended > words.own.retention_days * DAY:
        return refuse(words, call, Gone("the result was kept for its time, and is deleted"))
    attempt = shown(view)
    outputs = attempt.outputs if attempt is not None else ()
    signed = body_of(call).get("signed") is True
    return _json(
        JobResult(
            job_id=job_text(job.batch, job.id),
            status=status(job),
            exit_code=UNSET if job.exit_code is None else job.exit_code,
            output_files=tuple(_output(words, call, view, artifact, signed=signed) for artifact in outputs),
            log_url=f"{words.setup.prefix}/logs/{job_text(job.batch, job.id)}",
        )
    )


def _output(words: Words, call: Call, view: JobView, artifact: Artifact, *, signed: bool) -> OutputFile:
    path = f"/files/{job_text(view.batch.id, view.job.id)}/{artifact.path}"
    return OutputFile(
        filename=_filename(view, artifact),
        size=artifact.size,
        sha256=artifact.digest,
        url=_url(words, call, path, signed=signed, output=artifact.output),
    )


def _filename(view: JobView, artifact: Artifact) -> str:
    """Its path in the output directory; where another dialect made several outputs, its whole path."""
    outputs = view.spec.outputs
    if len(outputs) <= 1 or artifact.output >= len(outputs):
        return artifact.path
    output = outputs[artifact.output]
    return f"{output.path}/{artifact.path}" if output.kind is OutputKind.DIRECTORY else output.path


def _url(words: Words, call: Call, path: str, *, signed: bool, output: int) -> str:
    """The address of a file of this gateway; signed as it stands, escaped."""
    whole = quote(words.setup.prefix + path)
    whole += f"?output={output}" if output else ""
    if signed and words.setup.sign is not None:
        whole += ("&" if output else "?") + words.setup.sign(whole, call.now + words.own.signed_seconds)
    return whole


def _log(words: Words, call: Call, outcome: Log) -> Reply:
    del words, call
    content = outcome.content if outcome.complete else _whole_characters(outcome.content)
    return _json(
        {
            "jobId": job_text(outcome.job.batch, outcome.job.id),
            "status": status(outcome.job),
            "offset": outcome.offset,
            "nextOffset": outcome.offset + len(content),
            "content": content.decode(errors="replace"),
            "complete": outcome.complete,
        }
    )


def _whole_characters(content: bytes) -> bytes:
    """Without a character at its end whose other bytes are still to come; never empty for that."""
    for back in range(1, min(4, len(content))):
        byte = content[-back]
        if byte >= 0xC0:  # noqa: PLR2004  # UTF-8: the first byte of several
            length = 2 + (byte >= 0xE0) + (byte >= 0xF0)  # noqa: PLR2004  # of three, of four
            return content[:-back] if length > back else content
        if byte < 0x80:  # noqa: PLR2004  # UTF-8: a character of one byte
            break
    return content


def _whole_log(words: Words, call: Call, outcome: Log) -> Reply:
    del words, call
    return Reply(body=outcome.content, media="text/plain; charset=utf-8")


def _file(words: Words, call: Call, outcome: Content) -> Reply:
    del words, call
    return Reply(body=outcome.artifact, media="application/octet-stream")


def _written(words: Words, call: Call, outcome: Written) -> Reply:
    del words, call
    return _json({"hash": outcome.digest, "size": outcome.size, "stored": outcome.fresh})


ENCODERS: Final[Mapping[str, Callable[[Words, Call, Any], Reply]]] = {
    "job-create": _created,
    "job-status": _status,
    "job-list": _list,
    "job-abort": _aborted,
    "job-remove": _removed,
    "job-result": _result,
    "job-log": _log,
    "file-upload": _written,
    "files": _file,
    "logs": _whole_log,
}


def encode(words: Words, call: Call, outcome: Outcome) -> Reply:
    """The answer to a call that went well."""
    return ENCODERS[call.verb](words, call, outcome)


def _json(body: object, code: int = 200) -> Reply:
    return Reply(status=code, body=msgspec.json.encode(body))


# --- a job


def batch_name(batch: Batch) -> str:
    """A lone job's batch is called as the job is."""
    return job_text(batch.id, JobId(batch.id)) if batch.count == 1 else batch_text(batch.id)


def shown(view: JobView) -> Attempt | None:
    """The attempt whose outputs are the job's: the canonical one, or the last."""
    number = view.job.canonical
    if number is not None and number <= len(view.attempts):
        return view.attempts[number - 1]
    return view.attempts[-1] if view.attempts else None


def _document_of(batch: Batch) -> Document:
    """What was sent, where it was sent here."""
    if batch.origin.dialect != NAME:
        return Document()
    return msgspec.json.decode(batch.origin.document, type=Document)


def _object(view: JobView, now: float, documents: dict[int, Document]) -> JobObject:
    """The job in full; `documents` remembers those read already."""
    job, batch = view.job, view.batch
    document = documents.get(batch.id) if batch.origin.dialect == NAME else foreign.document(view)
    if document is None:
        document = documents[batch.id] = _document_of(batch)
    attempt = shown(view)
    why = reason(job)
    return JobObject(
        id=job_text(job.batch, job.id),
        batch_id=batch_name(batch),
        status=status(job),
        status_reason=why or UNSET,
        error=(job.message or TEXTS[why]) if why else UNSET,
        app=document.app,
        command_line=document.command_line,
        specs=document.specs,
        hours=document.hours,
        instance_type=document.instance_type,
        use_own_devices=document.use_own_devices,
        tag=document.tag,
        input_files=document.input_files,
        exit_code=UNSET if job.exit_code is None else job.exit_code,
        attempts=sum(1 for a in view.attempts if a.started is not None),
        progress=_progress(job),
        created_at=moment(job.created),
        started_at=UNSET if job.started is None else moment(job.started),
        ended_at=UNSET if job.ended is None else moment(job.ended),
        cpu_seconds=round(sum(a.usage.cpu_seconds for a in view.attempts), 6),
        wall_seconds=round(sum(_wall(a, now) for a in view.attempts), 6),
        output_count=len(attempt.outputs if attempt else ()) if job.state.over else UNSET,
    )


def _wall(attempt: Attempt, now: float) -> float:
    """Seconds it ran; of one that runs, until now."""
    if attempt.state is AttemptState.RUNNING and attempt.started is not None:
        return max(attempt.usage.wall_seconds, now - attempt.started)
    return attempt.usage.wall_seconds


def _progress(job: Job) -> float:
    if job.state is JobState.SUCCEEDED:
        return 1.0
    return 0.0 if job.started is None else min(max(job.progress, 0.0), 1.0)


def _short(view: JobView) -> JobObject:
    """The job as a list shows it."""
    job, batch = view.job, view.batch
    return JobObject(
        id=job_text(job.batch, job.id),
        batch_id=batch_name(batch),
        status=status(job),
        app=batch.app or foreign.document(view).app,
        tag=batch.labels.get("tag", UNSET),
        created_at=moment(job.created),
        ended_at=UNSET if job.ended is None else moment(job.ended),
    )


# --- refusals

REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "invalid-json": (400, "invalid-json"),
    "missing-field": (400, "missing-field"),
    "invalid-field": (400, "invalid-field"),
    "unknown-field": (400, "unknown-field"),
    "invalid-filename": (400, "invalid-filename"),
    "duplicate-filename": (400, "duplicate-filename"),
    "invalid-selector": (400, "invalid-selector"),
    "invalid-cursor": (400, "invalid-cursor"),
    "specs-exceed-instance-type": (400, "specs-exceed-instance-type"),
    "eula-required": (400, "eula-required"),
    "invalid": (400, "invalid-field"),
    "authenticator-missing": (401, "authenticator-missing"),
    "authenticator-invalid": (401, "authenticator-invalid"),
    "unauthenticated": (401, "authenticator-invalid"),
    "insufficient-balance": (402, "insufficient-balance"),
    "forbidden": (403, "not-permitted"),
    "unknown-operation": (404, "unknown-operation"),
    "job-not-found": (404, "job-not-found"),
    "not-found": (404, "job-not-found"),
    "not-found job-create": (404, "file-not-found"),
    "file-not-found": (404, "file-not-found"),
    "app-not-found": (404, "app-not-found"),
    "method-not-allowed": (405, "method-not-allowed"),
    "timeout": (408, "timeout"),
    "job-active": (409, "job-active"),
    "conflict": (409, "job-active"),
    "key-reused": (409, "token-reused"),
    "result-expired": (410, "result-expired"),
    "gone": (410, "result-expired"),
    "body-too-large": (413, "body-too-large"),
    "too-large": (413, "body-too-large"),
    "too-many-selected": (400, "invalid-selector"),
    "batch-too-large": (413, "too-many-copies"),
    "too-many-files": (413, "too-many-files"),
    "too-many-copies": (413, "too-many-copies"),
    "range": (416, "invalid-field"),
    "app-not-runnable": (422, "app-not-runnable"),
    "no-matching-instance": (422, "no-matching-instance"),
    "unrunnable": (422, "no-matching-instance"),
    "no-own-device": (422, "no-own-device"),
    "encryption-unsupported": (422, "encryption-unsupported"),
    "hash-mismatch": (422, "hash-mismatch"),
    "too-many": (429, "rate-limited"),
    "too-many-jobs": (429, "too-many-jobs"),
    "storage-quota": (429, "storage-quota"),
    "unavailable": (503, "unavailable"),
    "internal": (500, "internal"),
}
"""The model's code, or this dialect's own, to status and `errorCode`.

A code followed by a field or a verb is for that one alone.
"""

_IN_PART: Final = "the server cannot do this now; of many jobs some may be done, the same call again does the rest"
FIXED: Final[Mapping[str, str]] = {
    "job-not-found": "there is no such job",
    "authenticator-invalid": "this authenticator is unknown here, or it is blocked",
    "unavailable": "the server cannot do this now, and nothing was changed; try again",
    "internal": "something went wrong in the server",
    "unavailable job-abort": _IN_PART,
    "unavailable job-remove": _IN_PART,
}
"""Texts that never tell more: unknown and foreign look the same, and faults of ours have no details."""

ADVICE: Final[Mapping[str, str]] = {
    "too-many-selected": "job-list with the same batchId or tag gives them page by page, job-status with jobIds in full"
}
"""What to do next in this API's words, by the model's code."""


def refuse(words: Words, call: Call, error: JobgateError) -> Reply:
    """The error in this API's form. One with a code that the table lacks is told by its class."""
    del words
    keys: tuple[str, ...] = (
        f"{error.code} {error.field}",
        f"{error.code} {call.verb}",
        error.code,
        _code_of(type(error)),
        "invalid",
    )
    if not isinstance(error, RequestError):
        keys = ("unavailable" if isinstance(error, Unavailable) else "internal",)
    number, code = next(REFUSALS[key] for key in keys if key in REFUSALS)
    told = f"{error.message}; {ADVICE[error.code]}" if error.code in ADVICE else error.message
    told = FIXED.get(f"{code} {call.verb}", FIXED.get(code, told))
    body = ErrorBody(error=told, error_code=code, field=error.field or UNSET)
    return Reply(status=number, headers=_headers(call, error), body=msgspec.json.encode(body))


def _code_of(kind: type[JobgateError]) -> str:
    """The code of the nearest class of the tree that has one."""
    return next(str(base.__dict__["code"]) for base in kind.__mro__ if "code" in base.__dict__)


def _headers(call: Call, error: JobgateError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, TooMany) or error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if isinstance(error, Unsatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    if isinstance(error, MethodNotAllowed) and call.verb:
        headers["Allow"] = ALLOWED.get(call.verb, "POST")
    return headers


ALLOWED: Final[Mapping[str, str]] = {"files": "GET, HEAD", "logs": "GET, HEAD"}
"""Methods by verb, where they are not POST alone."""
