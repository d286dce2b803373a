"""What one remote procedure call is: how it is asked, what is told, how errors are worded [BOINC, sections 2 and 3]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from jobgate.dialects.boinc import xml
from jobgate.dialects.boinc.jobs import Words
from jobgate.dialects.boinc.xml import Element
from jobgate.dialects.dialect import Ask, Call, Stream
from jobgate.model.errors import (
    Conflict,
    Forbidden,
    Invalid,
    JobgateError,
    NotFound,
    RequestError,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unrunnable,
)
from jobgate.model.job import Batch
from jobgate.model.operations import Called, Known, Operation
from jobgate.model.outcomes import Outcome
from jobgate.model.selectors import BatchCalled

LONGEST: Final = 250
"""Bytes of an error's text, escaped: clients keep 256 and cut it badly."""
NAMED: Final = 100_000
"""Things that one call names: they are looked up together, while no others are."""
FAILED: Final = -1
OFFLINE: Final = -183
"""The error's number where the server cannot be used at the moment."""
REQUEST: Final = "request"
"""The form's field with the document."""
DONE: Final = xml.tag("success", 1)
DONE_BARE: Final = "<success/>\n"
"""As upload_files has always told it."""


class Rpc(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    name: str
    ask: Callable[[Words, Element, Call], Ask]
    """Of the root element. Raises a RequestError."""
    tell: Callable[[Words, Element, Outcome], str | Stream]
    """What stands between the tags of the reply; of a stream, its head and tail are."""
    large: bool = False
    """Its document may be: it is not read again for the reply."""
    submits: bool = False
    """Who may not is refused in the words of those who may not submit."""
    legacy: str = ""
    """The root of its reply before July 2016; empty: the reply is one element itself."""


def of_batch(root: Element, then: Callable[[Batch], Operation], *, unknown: str = "no such batch") -> Called:
    """An operation on the batch that `batch_id` or `batch_name` says. Raises Invalid when none does.

    What is another's looks like none.
    """
    number, name = root.integer("batch_id"), root.word("batch_name")
    if not number and not name:
        raise Invalid("batch not specified", code="batch-not-specified")

    def meant(known: Known) -> Operation:
        (batch,) = known.batches
        if batch is None:
            raise NotFound(unknown, code="batch-not-found")
        return then(batch)

    called = BatchCalled(number=number) if number else BatchCalled(name=name)
    return Called(batches=(called,), then=meant)


def named(root: Element, field: str, most: int = NAMED) -> list[str]:
    """The names that stand in its children `field`, in order. Raises TooLarge for more than `most`."""
    names = [element.text.strip() for element in root.all(field)]
    if len(names) > most:
        raise TooLarge(f"at most {most} {field}", code="body-too-large")
    return names


# --- errors


def one_line(message: str) -> str:
    """The text without line breaks and what XML cannot say; never empty."""
    return " ".join(xml.plain(message).split()) or "unknown error"


def error(message: str, number: int = FAILED) -> str:
    """The error element: what clients look for first, and no more than they can keep."""
    said = one_line(message)
    kept = xml.text(said)
    while len(kept.encode()) > LONGEST:
        said = said[: -max((len(kept.encode()) - LONGEST) // 6, 1)]
        kept = xml.text(said)
    return f"<error>\n{xml.tag('error_num', number)}<error_msg>{kept}</error_msg>\n</error>\n"


_SAID: Final = frozenset(
    {
        "unreadable",
        "bad-command",
        "create-work",
        "no-app",
        "batch-not-found",
        "batch-not-specified",
        "job-not-found",
        "wrong-files",
        "file-mode",
        "no-estimate",
        "no-jobs",
        "bad-filename",
        "staged",
    }
)
"""Errors whose words are the contract's already."""


def number_of(failed: JobgateError) -> int:
    """Which error it is: clients tell it from 0 alone, and people may look it up."""
    return OFFLINE if isinstance(failed, Unavailable) and failed.code != "storage-full" else FAILED


def words_of(failed: JobgateError, rpc: Rpc | None) -> str:  # one line for each kind
    """What is told of an error; of a fault that is not the asker's nothing but that."""
    match failed:
        case Unavailable(code="storage-full"):
            return "the disk is full; nothing new is taken"  # what there is can be asked for, stopped and retired
        case Unavailable():
            return "Project is temporarily offline"
        case JobgateError() if not isinstance(failed, RequestError):
            return "the server failed"
        case Unauthenticated():
            return "no authenticator" if failed.code == "no-authenticator" else "bad authenticator"
        case Forbidden() | NotFound(code="app-not-found"):  # one that is there, and not the asker's
            return "no submit access" if rpc is not None and rpc.submits else "no file access"
        case TooMany(code="too-many-jobs"):
            return "limit on jobs in progress exceeded"
        case Conflict(code="not-empty"):
            return "batch not in init state"
        case Conflict(code="immutable"):
            return f"file immutability violation for {failed.field or ''}".rstrip()
        case TooLarge():
            return f"request is too large: {failed.message}"
        case RequestError(code="host-file" | "copy-failed") if failed.about:
            return f"Can't get MD5 of file {failed.about}"
        case NotFound(code="file-not-found") if failed.about:
            return f"sandbox link file {failed.about} not found"
        case RequestError() if failed.code in _SAID:
            return failed.message
        case NotFound(code="file-not-found") | Unrunnable() | Conflict() | Invalid() | NotFound() if _makes(rpc):
            return f"create_work failed: {failed.message}"
        case _:
            return failed.message


def _makes(rpc: Rpc | None) -> bool:
    return rpc is not None and rpc.name == "submit_batch"
