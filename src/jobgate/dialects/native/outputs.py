"""What jobs leave: their files, one by one or as an archive."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.asked import Limit, query
from jobgate.dialects.native.jobs import name_of
from jobgate.dialects.native.pages import onward
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, file_view
from jobgate.dialects.native.wire import FileView
from jobgate.dialects.native.wire_files import FileList
from jobgate.model.ids import batch_id
from jobgate.model.operations import Archive, Read
from jobgate.model.outcomes import Archived, Content
from jobgate.model.storing import ArchiveBatch, Files, Gathered, ListFiles

_FoldCase = Annotated[bool, Meta(description="Names that differ in case alone are kept apart.")]


class _ArchiveQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    output: Annotated[int, Meta(ge=0, le=999_999, description="Only the files of this output, from 0.")] | None = None
    fold_case: _FoldCase = False


class _BatchQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    logs: Annotated[bool, Meta(description="Each job's log too, as `log.txt`.")] = False
    partial: Annotated[bool, Meta(description="What there is, also of a batch that is not over.")] = False
    fold_case: _FoldCase = False


class _FilesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Limit = 100
    after: Annotated[int, Meta(ge=0, le=1 << 40, description="From the answer before; see `next`.")] = 0


def _archive(call: Call) -> Ask:
    asked = query(call, _ArchiveQuery)
    return Ask(operation=Archive(job=name_of(call), output=asked.output, fold_case=asked.fold_case))


def _archived(prefix: str, call: Call, outcome: Archived) -> Reply:
    del prefix, call
    return Reply(body=outcome, media="application/zip")


def _archive_batch(call: Call) -> Ask:
    asked = query(call, _BatchQuery)
    batch = batch_id(call.path.get("id", ""))
    return Ask(operation=ArchiveBatch(batch=batch, logs=asked.logs, partial=asked.partial, fold_case=asked.fold_case))


def _gathered(prefix: str, call: Call, outcome: Gathered) -> Reply:
    del prefix, call
    return Reply(body=outcome, media="application/zip")


def _files(call: Call) -> Ask:
    asked = query(call, _FilesQuery)
    return Ask(operation=ListFiles(job=name_of(call), after=asked.after, limit=asked.limit))


def _listed(prefix: str, call: Call, outcome: Files) -> Reply:
    more = None if outcome.more is None else str(outcome.more)
    following, headers = onward(f"{prefix}/jobs/{call.path.get('id', '')}/files", call, more)
    items = tuple(file_view(packed.path, packed.artifact) for packed in outcome.files)
    return answer(FileList(items=items, next=following), 200, headers)


def _file(call: Call) -> Ask:
    return Ask(operation=Read(job=name_of(call), output=None, path=call.path.get("path", "")))


def _content(prefix: str, call: Call, outcome: Content) -> Reply:
    del prefix, call
    return Reply(body=outcome.artifact)


VERBS: Final = (
    Verb(
        name="files",
        method="GET",
        path="/jobs/{id}/files",
        summary="The files of a job that is over",
        subject="files",
        query=_FilesQuery,
        gives={200: FileList},
        refuses=("job-active", "gone"),
        shown=FileList(items=(FileView(path="fit.log", size=109, sha256="9f" * 32, output=0, mode=0o644),), next=None),
        decode=_files,
        encode=_listed,
    ),
    Verb(
        name="file",
        method="GET",
        path="/jobs/{id}/files/{path:path}",
        summary="One file of a job that is over, by its path in the workspace",
        subject="files",
        headers={"Range": "A part of it.", "If-None-Match": "Nothing, when it is this content."},
        gives={200: "application/octet-stream", 206: "application/octet-stream", 304: None},
        refuses=("job-active", "file-not-found", "gone", "range"),
        decode=_file,
        encode=_content,
    ),
    Verb(
        name="archive",
        method="GET",
        path="/jobs/{id}/archive",
        summary="All files of a job that is over, as a zip; with ?output=N those of one output",
        subject="files",
        query=_ArchiveQuery,
        gives={200: "application/zip"},
        refuses=("job-active", "gone", "file-not-found"),
        decode=_archive,
        encode=_archived,
    ),
    Verb(
        name="batch-archive",
        method="GET",
        path="/batches/{id}/archive",
        summary="All files of a batch's jobs, as a zip, each job's below its number",
        description=(
            "It is made while it is sent, so its size is not known before. An archive whose end is missing was broken "
            "off: a file was deleted meanwhile, or the server stopped."
        ),
        subject="files",
        query=_BatchQuery,
        gives={200: "application/zip"},
        refuses=("job-active", "gone"),
        decode=_archive_batch,
        encode=_gathered,
    ),
)
