"""From a call to what it asks for: each verb a function, and one table of them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from jobgate.dialects.charity_engine.create import submit
from jobgate.dialects.charity_engine.settings import DAY, Settings
from jobgate.dialects.charity_engine.states import wanted
from jobgate.dialects.charity_engine.wire import JobList, JobLog, Selection, Upload, members
from jobgate.dialects.dialect import Ask, Call, Setup
from jobgate.dialects.reading import json_object, typed
from jobgate.model.account import Kind, Proof
from jobgate.model.errors import Invalid, NotFound, TooLarge, Unauthenticated
from jobgate.model.files import Stored
from jobgate.model.ids import BatchId, JobId, JobName, batch_id, job_name, number
from jobgate.model.operations import Cancel, Delete, Find, Operation, Read, ReadLog, Write
from jobgate.model.selectors import Ids, Of, Selector, Where

ALL: Final = 1_000_000
"""Jobs that one tag may select: all an account can have."""
SELECTORS: Final = ("jobIds", "jobId", "batchId", "tag")
CURSOR: Final = "c"
"""First letter of a cursor; the number of the last job on the page follows."""
_FIRST: Final = "-1"
"""How the id of a batch's first job ends, which is a lone job's."""
HEADER_VERBS: Final = frozenset({"file-upload", "files", "logs"})
"""Verbs whose authenticator stands in a header."""
_LONGEST_KEY: Final = 1024


class Words(msgspec.Struct, frozen=True):
    """What every decoder is handed."""

    setup: Setup
    own: Settings


# --- the body

_STRING_OR_GAP: Final = re.compile(rb'("(?:[^"\\]|\\.)*+"?)|\xc2\xa0', re.DOTALL)


def body_of(call: Call) -> dict[str, object]:
    """The body as a JSON object, whatever its label. Raises Invalid (`invalid-json`).

    The example on the vendor's page is indented by no-break spaces. Who pastes it sends them, so between strings they
    are taken for the blanks they were meant to be.
    """
    try:
        return json_object(call.body)
    except Invalid:
        if b"\xc2\xa0" not in call.body:
            raise
    return json_object(_STRING_OR_GAP.sub(lambda found: found[1] or b" ", call.body))


# --- who asks


def credential(call: Call) -> Proof:
    """The authenticator, from the body, or for file verbs from a header. Raises Unauthenticated or Invalid."""
    if "authenticator" in call.query:
        raise _nobody("an authenticator in an address is refused; addresses are written to logs")
    value: object = None
    if call.verb in HEADER_VERBS and "authorization" in call.headers:
        value = _header(call.headers["authorization"])
    elif call.verb not in HEADER_VERBS or (call.verb == "file-upload" and _is_json(call)):
        value = body_of(call).get("authenticator")
    if value is None or value == "":
        raise _nobody("an authenticator is needed")
    if not isinstance(value, str) or len(value) > _LONGEST_KEY:
        raise Unauthenticated("this is no authenticator", code="authenticator-invalid")
    return Proof(Kind.CHARITY_ENGINE, value)


def _is_json(call: Call) -> bool:
    return call.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _nobody(why: str) -> Unauthenticated:
    return Unauthenticated(why, code="authenticator-missing", field="authenticator")


def _header(value: str) -> str | None:
    """The authenticator of `Bearer KEY`, or of HTTP Basic with it as the user and no password."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return user if colon and not password else None


# --- which jobs


def one_job(wire: str) -> JobName:
    """Raises NotFound (`job-not-found`), the same for a malformed id as for an unknown one."""
    try:
        return job_name(wire)
    except NotFound:
        raise NotFound(code="job-not-found") from None


def batch(wire: str) -> BatchId:
    """The batch, which a lone job's id names too. Raises NotFound (`job-not-found`)."""
    try:
        return batch_id(wire.removesuffix(_FIRST))
    except NotFound:
        raise NotFound(code="job-not-found") from None


def jobs(wires: tuple[str, ...]) -> Ids:
    """The ids, each once and in the order asked; those that cannot be ids are missing from the start."""
    known: list[JobName] = []
    missing: list[str] = []
    for wire in dict.fromkeys(wires):
        try:
            known.append(job_name(wire))
        except NotFound:
            missing.append(wire)
    return Ids(tuple(known), tuple(missing))


def _selected(words: Words, body: Mapping[str, object]) -> tuple[Selection, Selector]:
    """Exactly one of the four ways to say which jobs. Raises Invalid (`invalid-selector`)."""
    given = [name for name in SELECTORS if name in body]
    if len(given) != 1:
        told = f"exactly one of {', '.join(SELECTORS)} is needed; there are {len(given)}"
        raise Invalid(told, code="invalid-selector", field=given[1] if given else None)
    asked = typed(body, Selection)
    if asked.job_ids is not UNSET:
        if not 1 <= len(asked.job_ids) <= words.own.selector:
            told = f"jobIds: 1 to {words.own.selector} ids are needed"
            raise Invalid(told, code="invalid-selector", field="jobIds")
        return asked, jobs(asked.job_ids)
    if asked.job_id is not UNSET:
        return asked, jobs((asked.job_id,))
    if asked.batch_id is not UNSET:
        return asked, Of(batch(asked.batch_id))
    assert asked.tag is not UNSET  # noqa: S101  # one of the four was given
    return asked, Where(labels=(("tag", asked.tag),), limit=ALL)


def _body(words: Words, call: Call, *kinds: type) -> dict[str, object]:
    """The members of the call. In strict mode raises Invalid (`unknown-field`) for one that none of `kinds` knows."""
    if len(call.body) > words.own.body:
        raise TooLarge(f"a body has at most {words.own.body} bytes", code="body-too-large")
    body = body_of(call)
    body.pop("authenticator", None)
    if words.own.strict and kinds:
        unknown = sorted(body.keys() - frozenset[str]().union(*(members(kind) for kind in kinds)))
        if unknown:
            raise Invalid(f"{unknown[0]}: there is no such member", code="unknown-field", field=unknown[0])
    return body


# --- the verbs


def _create(words: Words, call: Call) -> Operation:
    return submit(_body(words, call), words.setup, words.own)


def _status(words: Words, call: Call) -> Operation:
    return Find(selector=_selected(words, _body(words, call, Selection))[1])


def _abort(words: Words, call: Call) -> Operation:
    return Cancel(selector=_selected(words, _body(words, call, Selection))[1], message="aborted by its owner")


def _remove(words: Words, call: Call) -> Operation:
    asked, selector = _selected(words, _body(words, call, Selection))
    return Delete(selector=selector, force=asked.force)


def _result(words: Words, call: Call) -> Operation:
    body = _body(words, call, Selection)
    if "jobId" not in body:
        raise Invalid("jobId: it is needed, and missing", code="missing-field", field="jobId")
    asked = typed(body, Selection)
    assert asked.job_id is not UNSET  # noqa: S101  # just seen
    if asked.signed and words.setup.sign is None:
        raise Invalid("signed: no signed addresses are given here", code="invalid-field", field="signed")
    return Find(selector=Ids((one_job(asked.job_id),)))


def _list(words: Words, call: Call) -> Operation:
    asked = typed(_body(words, call, JobList), JobList)
    names = (asked.status,) if isinstance(asked.status, str) else asked.status
    states, timed_out = wanted(names, "status")
    after = None if asked.cursor is UNSET else _cursor(asked.cursor)
    try:
        among = None if asked.batch_id is UNSET else batch(asked.batch_id)
    except NotFound:
        return Find(selector=Ids(()), full=False)  # a malformed id is an unknown one: an empty page
    where = Where(
        states=states,
        timed_out=timed_out,
        labels=() if asked.tag is UNSET else (("tag", asked.tag),),
        app=None if asked.app is UNSET else asked.app,
        batch=among,
        since=None if asked.created_after is UNSET else asked.created_after.timestamp(),
        before=None if asked.created_before is UNSET else asked.created_before.timestamp(),
        after=after,
        limit=asked.limit,
    )
    return Find(selector=where, full=False)


def _cursor(wire: str) -> JobId:
    try:
        return JobId(number(CURSOR, wire))
    except NotFound:
        told = "cursor: this is none that was given out; begin again without one"
        raise Invalid(told, code="invalid-cursor", field="cursor") from None


def _log(words: Words, call: Call) -> Operation:
    asked = typed(_body(words, call, JobLog), JobLog)
    if asked.limit > words.own.log_piece:
        told = f"limit: at most {words.own.log_piece} bytes are given at once"
        raise Invalid(told, code="invalid-field", field="limit")
    return ReadLog(job=one_job(asked.job_id), offset=asked.offset, limit=asked.limit)


def _whole_log(words: Words, call: Call) -> Operation:
    return ReadLog(job=one_job(call.path.get("job", "")), limit=words.own.log)


def _file(words: Words, call: Call) -> Operation:
    del words
    job = one_job(call.path.get("job", ""))
    place = call.query.get("output", "0")
    if not (place.isascii() and place.isdigit() and len(place) < 5):  # noqa: PLR2004  # more outputs than any job has
        raise NotFound(code="file-not-found")
    return Read(job=job, output=int(place), path=call.path.get("path", ""))


def _upload(words: Words, call: Call) -> Operation:
    said = call.headers.get("sha256")
    if call.upload is not None:
        upload: Stored | bytes = call.upload
        digest: str = call.upload.digest
    else:
        asked = typed(_body(words, call, Upload), Upload)
        said = said if asked.sha256 is UNSET else asked.sha256
        try:
            upload = base64.b64decode(asked.content_base64, validate=True)
        except (binascii.Error, ValueError):
            told = "contentBase64: this is not base 64"
            raise Invalid(told, code="invalid-field", field="contentBase64") from None
        digest = hashlib.sha256(upload).hexdigest()
    if said is not None and said.strip().lower() != digest:
        raise Invalid("sha256: the bytes that came have another digest", code="hash-mismatch", field="sha256")
    return Write(upload=upload, lives=words.own.upload_days * DAY)


DECODERS: Final[Mapping[str, Callable[[Words, Call], Operation]]] = {
    "job-create": _create,
    "job-status": _status,
    "job-list": _list,
    "job-abort": _abort,
    "job-remove": _remove,
    "job-result": _result,
    "job-log": _log,
    "file-upload": _upload,
    "files": _file,
    "logs": _whole_log,
}


def decode(words: Words, call: Call) -> Ask:
    """What the call asks for. Raises a RequestError; NotFound (`unknown-operation`) for a verb that is none."""
    decoder = DECODERS.get(call.verb)
    if decoder is None:
        raise NotFound("there is no such operation here", code="unknown-operation")
    return Ask(operation=decoder(words, call))
