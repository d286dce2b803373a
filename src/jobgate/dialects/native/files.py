"""Files that people store: uploads by their hash, whole or in parts, and folders with names."""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct

from jobgate.dialects.dialect import Ask, Body, Call, Reply
from jobgate.dialects.native.asked import Limit, QueryFault, query
from jobgate.dialects.native.pages import onward
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, moment
from jobgate.dialects.native.wire_files import UploadItem, UploadList, UploadView
from jobgate.model.account import Scope
from jobgate.model.errors import NotFound
from jobgate.model.ids import Digest
from jobgate.model.operations import Write
from jobgate.model.outcomes import Content, Written
from jobgate.model.storing import Append, DropEntry, Dropped, Entries, FindUpload, ListEntries, ReadEntry, Uploaded

LIVES: Final = 30 * 86_400.0
"""Seconds that an upload lives after its last use."""
NO_MEDIA: Final = "application/octet-stream"
"""Of an answer without a body."""
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,18}", re.ASCII)


class Paging(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`?limit=` and `?after=`."""

    limit: Limit = 100
    after: Annotated[str, Meta(max_length=4096, description="From the answer before; see `next`.")] = ""


def digest_of(call: Call) -> Digest:
    """The hash that the address names. Raises NotFound."""
    found = call.path.get("sha256", "")
    if not _HASH.fullmatch(found):
        raise NotFound("there is no such upload", code="file-not-found")
    return Digest(found)


# --- whole


def _store(call: Call) -> Ask:
    return Ask(operation=Write(upload=call.body if call.upload is None else call.upload, lives=LIVES))


def _stored(prefix: str, call: Call, outcome: Written) -> Reply:
    del call
    headers = {"Location": f"{prefix}/uploads/{outcome.digest}"}
    return answer(UploadView(sha256=outcome.digest, size=outcome.size), 201 if outcome.fresh else 200, headers)


def _list(call: Call) -> Ask:
    asked = query(call, Paging)
    return Ask(operation=ListEntries(after=asked.after, limit=asked.limit))


def _listed(prefix: str, call: Call, outcome: Entries) -> Reply:
    items = tuple(
        UploadItem(
            sha256=entry.digest,
            size=entry.size,
            used=moment(entry.used),
            expires=UNSET if entry.expires is None else moment(entry.expires),
        )
        for entry in outcome.entries
    )
    following, headers = onward(f"{prefix}/uploads", call, items[-1].sha256 if outcome.more else None)
    return answer(UploadList(items=items, next=following), 200, headers)


def _read(call: Call) -> Ask:
    return Ask(operation=ReadEntry(name=digest_of(call)))


def _content(prefix: str, call: Call, outcome: Content) -> Reply:
    del prefix, call
    return Reply(body=outcome.artifact)


def _drop(call: Call) -> Ask:
    return Ask(operation=DropEntry(name=digest_of(call)))


def _dropped(prefix: str, call: Call, outcome: Dropped) -> Reply:
    del prefix, call, outcome
    return Reply(status=204, media=NO_MEDIA)


# --- in parts


def _find(call: Call) -> Ask:
    return Ask(operation=FindUpload(digest_of(call)))


def _found(prefix: str, call: Call, outcome: Uploaded) -> Reply:
    del prefix, call
    return Reply(status=200, headers=_come(outcome), media=NO_MEDIA)


def _append(call: Call) -> Ask:
    return Ask(
        operation=Append(
            digest=digest_of(call),
            offset=_said(call, "Upload-Offset"),
            length=_said(call, "Upload-Length"),
            lives=LIVES,
        )
    )


def _appended(prefix: str, call: Call, outcome: Uploaded) -> Reply:
    del call
    if not outcome.complete:
        return Reply(status=204, headers=_come(outcome), media=NO_MEDIA)
    headers = {"Location": f"{prefix}/uploads/{outcome.digest}", **_come(outcome)}
    return answer(UploadView(sha256=outcome.digest, size=outcome.length), 201 if outcome.fresh else 200, headers)


def _come(outcome: Uploaded) -> dict[str, str]:
    return {
        "Upload-Offset": str(outcome.offset),
        "Upload-Length": str(outcome.length),
        "Upload-Complete": "?1" if outcome.complete else "?0",
    }


def _said(call: Call, name: str) -> int:
    """A number of bytes in a header. Raises QueryFault."""
    value = call.headers.get(name.lower(), "")
    if not _NUMBER.fullmatch(value):
        raise QueryFault(f"{name}: a number of bytes is needed", code="invalid-field", field=name)
    return int(value)


_UPLOAD: Final = UploadView(sha256="9f" * 32, size=24)


def verbs(limit: int) -> tuple[Verb, ...]:
    """All about uploads of so many bytes at most."""
    return (
        Verb(
            name="upload",
            method="POST",
            path="/uploads",
            summary="Stores a file, named by its SHA-256",
            description="Raw bytes, whatever their media type, or a multipart form with one part named `file`.",
            subject="files",
            scope=Scope.SUBMIT,
            body=Body.UPLOAD,
            limit=limit,
            media=("application/octet-stream", "multipart/form-data"),
            gives={201: UploadView, 200: UploadView},
            refuses=("too-large", "storage-quota", "storage-full"),
            example="three lines\nof a\nfile\n",
            shown=_UPLOAD,
            decode=_store,
            encode=_stored,
        ),
        Verb(
            name="uploads",
            method="GET",
            path="/uploads",
            summary="The uploads that are whole, by their hash",
            subject="files",
            query=Paging,
            gives={200: UploadList},
            shown=UploadList(
                items=(UploadItem(sha256=_UPLOAD.sha256, size=24, used="2026-11-24T23:09:27.658Z"),), next=None
            ),
            decode=_list,
            encode=_listed,
        ),
        Verb(
            name="upload-state",
            method="HEAD",
            path="/uploads/{sha256}",
            summary="How far an upload has come: Upload-Offset, Upload-Length, Upload-Complete",
            subject="files",
            gives={200: None},
            refuses=("file-not-found",),
            decode=_find,
            encode=_found,
        ),
        Verb(
            name="upload-part",
            method="PATCH",
            path="/uploads/{sha256}",
            summary="Adds the next bytes of an upload; the last ones make it whole",
            description=(
                "What came is kept, also when the connection breaks: ask with HEAD how far it has come, and go on from "
                "there. A day after the last part one that is not whole is forgotten."
            ),
            subject="files",
            scope=Scope.SUBMIT,
            body=Body.STREAM,
            limit=limit,
            media=("application/octet-stream",),
            headers={
                "Upload-Offset": "Where the part begins: at the end of the last one.",
                "Upload-Length": "Bytes of the whole.",
            },
            gives={204: None, 201: UploadView, 200: UploadView},
            refuses=(
                "file-not-found",
                "offset",
                "upload-busy",
                "mismatch",
                "too-large",
                "too-many-uploads",
                "storage-quota",
                "storage-full",
            ),
            example="three lines\nof a\nfile\n",
            sends={"Upload-Offset": "0", "Upload-Length": "24"},
            shown=_UPLOAD,
            decode=_append,
            encode=_appended,
        ),
        Verb(
            name="upload-read",
            method="GET",
            path="/uploads/{sha256}",
            summary="The content of an upload that is whole",
            subject="files",
            headers={"Range": "A part of it.", "If-None-Match": "Nothing, when it is this content."},
            gives={200: "application/octet-stream", 206: "application/octet-stream", 304: None},
            refuses=("file-not-found", "range"),
            decode=_read,
            encode=_content,
        ),
        Verb(
            name="upload-delete",
            method="DELETE",
            path="/uploads/{sha256}",
            summary="Forgets an upload, whole or not; jobs that use it keep it",
            subject="files",
            scope=Scope.SUBMIT,
            gives={204: None},
            refuses=("file-not-found", "upload-busy"),
            decode=_drop,
            encode=_dropped,
        ),
    )
