"""Output retrieval [BOINC, section 9]: by signed links, by the authenticator, and by a browser's cookie of it.

A link is signed with the batch owner's authenticator, so whose it is follows from what it is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final

from jobgate.dialects.dialect import Ask, Call
from jobgate.model.account import Kind, Proof, Signature
from jobgate.model.errors import Forbidden, Invalid, JobgateError, NotFound, Unauthenticated
from jobgate.model.files import Naming
from jobgate.model.operations import Archive, Called, Known, KnownJob, Operation, Read
from jobgate.model.selectors import BatchCalled, JobCalled
from jobgate.model.storing import ArchiveBatch

_SHOWN: Final = 40
"""Characters of what was asked that an error repeats, where it should have been a number."""
_DIGITS: Final = re.compile(r"\d{1,10}", re.ASCII)
_MD5: Final = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)


def _number(text: str, what: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise NotFound(f"no {what} {text[:_SHOWN]}")
    return int(text)


def _file(query: Mapping[str, str]) -> int:
    text = query.get("file_num", "0")
    if not _DIGITS.fullmatch(text):
        raise Invalid(f"bad file num: {text[:_SHOWN]}")
    return int(text)


def _batch(query: Mapping[str, str]) -> BatchCalled:
    if "batch_id" in query:
        return BatchCalled(number=_number(query["batch_id"], "batch"))
    if name := query.get("batch_name", ""):
        return BatchCalled(name=name)
    raise NotFound("no batch")


def told(call: Call, error: JobgateError) -> str:
    """What is said of an error, in the contract's words where it has some."""
    query = call.query
    if isinstance(error, Unauthenticated | Forbidden):
        return "bad auth str" if query.get("cmd") == "batch_files" else "bad authenticator"
    match error.code:
        case "output-not-found":
            return f"bad file num: {query.get('file_num', '0')[:_SHOWN]}: {error.message}"
        case "no-canonical":
            return f"no canonical result for wu {query.get('wu_name') or query.get('wu_id', '')}"
        case "attempt-not-found":
            return f"no job instance {query.get('result_name') or query.get('result_id', '')}"
        case "file-not-found":
            return f"no such file: {error.message}"
        case _:
            return error.message


# --- who asks


def credential(call: Call) -> Proof | Signature:
    """The authenticator itself, or what was signed with it. Raises Unauthenticated when neither is there."""
    query = call.query
    signed = query.get("auth_str", "") or query.get("auth", "")
    if call.verb == "get_output3":
        signed = _cookie(call.headers.get("cookie", ""))
    if not signed:
        raise Unauthenticated("no authenticator", code="no-authenticator")
    if call.verb != "get_output":
        return Proof(Kind.BOINC, signed)
    match query.get("cmd", ""):
        case "result_file":
            name = query.get("result_name", "")
            return Signature(Kind.BOINC, JobCalled(name=name), name, signed.lower())
        case "batch_files":
            batch = _batch(query)
            text = str(batch.number) if batch.number else batch.name
            return Signature(Kind.BOINC, batch, text, signed.lower())
        case "workunit_files":
            number = _number(query.get("wu_id", ""), "workunit")
            return Signature(Kind.BOINC, JobCalled(number=number), str(number), signed.lower())
        case "workunit_file":
            return Proof(Kind.BOINC, signed)
        case _:
            raise Invalid("bad command", code="bad-command")


def _cookie(header: str) -> str:
    """The value of `auth`; cookies of other pages are of any form, and one that cannot be hides no other."""
    for piece in header.split(";"):
        try:
            found = SimpleCookie(piece.strip()).get("auth")
        except CookieError:
            continue
        if found is not None:
            return found.value
    return ""


# --- what is asked


def _of_job(called: JobCalled, unknown: str, then: Callable[[KnownJob], Operation]) -> Ask:
    def meant(known: Known) -> Operation:
        (job,) = known.jobs
        if job is None:
            raise NotFound(unknown)
        return then(job)

    return Ask(operation=Called(jobs=(called,), then=meant))


def _file_of(number: int, file: int) -> Ask:
    """One output of the instance of that number."""
    return _of_job(
        JobCalled(number=number),
        f"no job instance {number}",
        lambda job: Read(job=job.name, number=file, attempt=job.attempt or None),
    )


def _of_batch(called: BatchCalled, naming: Naming) -> Ask:
    def meant(known: Known) -> Operation:
        (batch,) = known.batches
        if batch is None:
            raise NotFound(f"no batch {called.number or called.name}")
        return ArchiveBatch(batch=batch.id, partial=True, naming=naming)

    return Ask(operation=Called(batches=(called,), then=meant))


def signed(call: Call) -> Ask:
    """What a `get_output.php` asks for. Raises Invalid, NotFound."""
    query = call.query
    match query.get("cmd", ""):
        case "result_file":
            name, file = query.get("result_name", ""), _file(query)
            return _of_job(
                JobCalled(name=name),
                f"no job instance {name}",
                lambda job: Read(job=job.name, number=file, attempt=job.attempt or None),
            )
        case "workunit_file":
            name, file = query.get("wu_name", ""), _file(query)
            return _of_job(
                JobCalled(name=name), f"no workunit {name}", lambda job: Read(job=job.name, number=file, canonical=True)
            )
        case "workunit_files":
            number = _number(query.get("wu_id", ""), "workunit")
            return _of_job(
                JobCalled(number=number),
                f"no workunit {number}",
                lambda job: Archive(job=job.name, naming=Naming.PHYSICAL),
            )
        case "batch_files":
            return _of_batch(_batch(query), Naming.PHYSICAL)
        case _:
            raise Invalid("bad command", code="bad-command")


def plain(call: Call) -> Ask:
    """What a `get_output2.php` asks for. Raises Invalid, NotFound."""
    query = call.query
    match query.get("cmd", ""):
        case "file":
            number, file = _number(query.get("result_id", ""), "job instance"), _file(query)
            return _file_of(number, file)
        case "result":
            number = _number(query.get("result_id", ""), "job instance")
            return _of_job(
                JobCalled(number=number),
                f"no job instance {number}",
                lambda job: Archive(job=job.name, attempt=job.attempt or None, naming=Naming.LOGICAL),
            )
        case "workunit":
            number = _number(query.get("wu_id", ""), "workunit")
            return _of_job(
                JobCalled(number=number),
                f"no workunit {number}",
                lambda job: Archive(job=job.name, naming=Naming.LOGICAL),
            )
        case "batch":
            return _of_batch(_batch(query), Naming.LOGICAL)
        case _:
            raise Invalid("bad command", code="bad-command")


def browsed(call: Call) -> Ask:
    """What a `get_output3.php` asks for. Raises Invalid, NotFound."""
    query = call.query
    match query.get("action", ""):
        case "get_file":
            number, file = (
                _number(query.get("result_id", ""), "job instance"),
                _file({"file_num": query.get("index", "0")}),
            )
            return _file_of(number, file)
        case "get_batch_zip":
            return _of_batch(_batch(query), Naming.LOGICAL)
        case _:
            raise Invalid("bad command", code="bad-command")
