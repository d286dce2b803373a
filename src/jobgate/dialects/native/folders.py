"""Folders: files under names of their owner's choice, for jobs to name as inputs."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

from msgspec import Meta, Struct

from jobgate.dialects.dialect import Ask, Body, Call, Reply
from jobgate.dialects.native import asked
from jobgate.dialects.native.files import NO_MEDIA, Paging
from jobgate.dialects.native.pages import onward
from jobgate.dialects.native.tags import ANY, strong, weak
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, moment
from jobgate.dialects.native.wire_files import EntryList, EntryView, FolderList, FolderView, LinkDraft
from jobgate.model.account import Scope
from jobgate.model.files import Stored
from jobgate.model.ids import Digest
from jobgate.model.outcomes import Content, Written
from jobgate.model.storing import (
    DropEntry,
    DropFolder,
    Dropped,
    Entries,
    FindFolder,
    Folders,
    Holding,
    ListEntries,
    ListFolders,
    MakeFolder,
    PutEntry,
    ReadEntry,
)

"""A tag that no content has."""


class _Forced(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    force: Annotated[bool, Meta(description="With all of its files.")] = False


class _Entries(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prefix: Annotated[str, Meta(max_length=4096, description="Only files whose path begins like that.")] = ""


def _name(call: Call) -> str:
    return call.path.get("name", "")


def _path(call: Call) -> str:
    return call.path.get("path", "")


# --- folders


def _list(call: Call) -> Ask:
    given = asked.query(call, Paging)
    return Ask(operation=ListFolders(after=given.after, limit=given.limit))


def _listed(prefix: str, call: Call, outcome: Folders) -> Reply:
    items = tuple(map(_view, outcome.folders))
    following, headers = onward(f"{prefix}/folders", call, items[-1].name if outcome.more else None)
    return answer(FolderList(items=items, next=following), 200, headers)


def _view(held: Holding) -> FolderView:
    return FolderView(name=held.folder.name, files=held.files, size=held.size, created=moment(held.created))


def _make(call: Call) -> Ask:
    return Ask(operation=MakeFolder(_name(call)))


def _find(call: Call) -> Ask:
    return Ask(operation=FindFolder(_name(call)))


def _one(prefix: str, call: Call, outcome: Folders) -> Reply:
    del prefix, call
    return answer(_view(outcome.folders[0]), 201 if outcome.fresh else 200)


def _drop(call: Call) -> Ask:
    return Ask(operation=DropFolder(_name(call), asked.query(call, _Forced).force))


def _dropped(prefix: str, call: Call, outcome: Dropped) -> Reply:
    del prefix, call, outcome
    return Reply(status=204, media=NO_MEDIA)


# --- their files


def _entries(call: Call) -> Ask:
    given = asked.query(call, _Entries)
    return Ask(operation=ListEntries(folder=_name(call), prefix=given.prefix, after=given.after, limit=given.limit))


def _entries_listed(prefix: str, call: Call, outcome: Entries) -> Reply:
    items = tuple(
        EntryView(path=entry.name, size=entry.size, sha256=entry.digest, modified=moment(entry.used))
        for entry in outcome.entries
    )
    path = f"{prefix}/folders/{quote(_name(call), safe='')}/files"
    following, headers = onward(path, call, items[-1].path if outcome.more else None)
    return answer(EntryList(items=items, next=following), 200, headers)


def _put(call: Call) -> Ask:
    content: Stored | Digest | None = call.upload
    if content is None:
        content = Digest(asked.body(call, LinkDraft).upload)
    match, there = _match(call)
    absent = ANY in weak(call.headers.get("if-none-match", ""))
    return Ask(
        operation=PutEntry(
            folder=_name(call), name=_path(call), content=content, match=match, there=False if absent else there
        )
    )


def _match(call: Call) -> tuple[tuple[Digest, ...] | None, bool | None]:
    """What `If-Match` says: the contents that are expected, or that there is any."""
    said = strong(call.headers.get("if-match", ""))
    if said is None:
        return None, None
    if ANY in said:
        return None, True
    return tuple(map(Digest, sorted(said))), None


def _written(prefix: str, call: Call, outcome: Written) -> Reply:
    headers = {
        "ETag": f'"{outcome.digest}"',
        "Location": f"{prefix}/folders/{quote(_name(call), safe='')}/files/{quote(_path(call))}",
    }
    view = EntryView(path=_path(call), size=outcome.size, sha256=outcome.digest, modified=moment(call.now))
    return answer(view, 201 if outcome.fresh else 200, headers)


def _read(call: Call) -> Ask:
    return Ask(operation=ReadEntry(folder=_name(call), name=_path(call)))


def _content(prefix: str, call: Call, outcome: Content) -> Reply:
    del prefix, call
    return Reply(body=outcome.artifact)


def _forget(call: Call) -> Ask:
    match, _ = _match(call)
    return Ask(operation=DropEntry(folder=_name(call), name=_path(call), match=match))


_FOLDER: Final = FolderView(name="data", files=1, size=24, created="2026-11-24T23:09:27.658Z")
_ENTRY: Final = EntryView(path="out/model.bin", size=24, sha256="9f" * 32, modified="2026-11-24T23:09:27.658Z")


def verbs(limit: int) -> tuple[Verb, ...]:
    """All about folders whose files have so many bytes at most."""
    folder, file = "/folders/{name}", "/folders/{name}/files/{path:path}"
    return (
        Verb(
            name="folders",
            method="GET",
            path="/folders",
            summary="The account's folders, by name",
            subject="files",
            query=Paging,
            gives={200: FolderList},
            shown=FolderList(items=(_FOLDER,), next=None),
            decode=_list,
            encode=_listed,
        ),
        Verb(
            name="folder-make",
            method="PUT",
            path=folder,
            summary="Makes a folder, unless there is one of that name",
            subject="files",
            scope=Scope.SUBMIT,
            gives={201: FolderView, 200: FolderView},
            shown=_FOLDER,
            decode=_make,
            encode=_one,
        ),
        Verb(
            name="folder",
            method="GET",
            path=folder,
            summary="A folder",
            subject="files",
            gives={200: FolderView},
            shown=_FOLDER,
            decode=_find,
            encode=_one,
        ),
        Verb(
            name="folder-delete",
            method="DELETE",
            path=folder,
            summary="Deletes a folder that is empty; with ?force=true any",
            subject="files",
            scope=Scope.SUBMIT,
            query=_Forced,
            gives={204: None},
            refuses=("folder-not-found", "folder-not-empty"),
            decode=_drop,
            encode=_dropped,
        ),
        Verb(
            name="folder-files",
            method="GET",
            path="/folders/{name}/files",
            summary="The files of a folder, by path",
            subject="files",
            query=_Entries,
            gives={200: EntryList},
            shown=EntryList(items=(_ENTRY,), next=None),
            decode=_entries,
            encode=_entries_listed,
        ),
        Verb(
            name="folder-file-put",
            method="PUT",
            path=file,
            summary="Stores a file in a folder, or puts another in its place",
            description=(
                'Raw bytes; or, as `application/json`, `{"upload": SHA256}` for one of the account\'s uploads. Jobs '
                "that were submitted before keep the file as it was then."
            ),
            subject="files",
            scope=Scope.SUBMIT,
            body=Body.UPLOAD,
            limit=limit,
            takes=LinkDraft,
            media=("application/octet-stream", "application/json"),
            headers={
                "If-Match": "Only while the file has this tag; `*`: only while there is one.",
                "If-None-Match": "`*`: only while there is none.",
            },
            gives={201: EntryView, 200: EntryView},
            refuses=("changed", "folder-not-found", "file-not-found", "too-large", "storage-quota", "storage-full"),
            example="three lines\nof a\nfile\n",
            examples={"A file that was uploaded before": {"upload": "9f" * 32}},
            shown=_ENTRY,
            decode=_put,
            encode=_written,
        ),
        Verb(
            name="folder-file",
            method="GET",
            path=file,
            summary="A file of a folder",
            subject="files",
            headers={"Range": "A part of it.", "If-None-Match": "Nothing, when it is this content."},
            gives={200: "application/octet-stream", 206: "application/octet-stream", 304: None},
            refuses=("folder-not-found", "file-not-found", "range"),
            decode=_read,
            encode=_content,
        ),
        Verb(
            name="folder-file-delete",
            method="DELETE",
            path=file,
            summary="Deletes a file of a folder; jobs that use it keep it",
            subject="files",
            scope=Scope.SUBMIT,
            headers={"If-Match": "Only while the file has this tag."},
            gives={204: None},
            refuses=("changed", "folder-not-found", "file-not-found"),
            decode=_forget,
            encode=_dropped,
        ),
    )
