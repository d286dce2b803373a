"""What jobs leave: their archive."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.asked import query
from jobgate.dialects.native.jobs import name_of
from jobgate.dialects.native.verb import Verb
from jobgate.model.operations import Archive
from jobgate.model.outcomes import Archived


class _ArchiveQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    output: Annotated[int, Meta(ge=0, le=999_999, description="Only the files of this output, from 0.")] | None = None
    fold_case: Annotated[bool, Meta(description="Names that differ in case alone are kept apart.")] = False


def _archive(call: Call) -> Ask:
    asked = query(call, _ArchiveQuery)
    return Ask(operation=Archive(job=name_of(call), output=asked.output, fold_case=asked.fold_case))


def _archived(prefix: str, call: Call, outcome: Archived) -> Reply:
    del prefix, call
    return Reply(body=outcome, media="application/zip")


VERBS: Final = (
    Verb(
        name="archive",
        method="GET",
        path="/jobs/{id}/archive",
        summary="All files of a job that is over, as a zip; with ?output=N those of one output",
        subject="files",
        query=_ArchiveQuery,
        gives={200: "application/zip"},
        refuses=("job-active", "gone"),
        decode=_archive,
        encode=_archived,
    ),
)
