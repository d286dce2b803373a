"""Batches: lists of them, one with its jobs counted, its jobs, its failures, and what its owner may do with it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from jobgate.dialects.dialect import Ask, Body, Call, Reply
from jobgate.dialects.native.asked import Waiting, body_or, known, query
from jobgate.dialects.native.jobs import (
    IF_MATCH,
    CancelDraft,
    Force,
    JobPage,
    Patch,
    Stopping,
    changes,
    deleted,
    listed,
)
from jobgate.dialects.native.lists import Conditions, JobConditions, after, cursor, labels, states, where
from jobgate.dialects.native.pages import held, onward, seen, tag, waiting
from jobgate.dialects.native.samples import BATCH, FAILURE, JOB, STOPPED
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, batch_view, failure_view
from jobgate.dialects.native.wire import BatchView, FailureView, Lease
from jobgate.model.account import Scope
from jobgate.model.errors import NotFound
from jobgate.model.ids import BatchId, batch_id, batch_text
from jobgate.model.operations import Cancel, Change, Count, Delete, Find, FindBatches, Retire, Retry
from jobgate.model.outcomes import Changed, Counted, Deleted, Found, FoundBatches
from jobgate.model.selectors import BatchesWhere, Of
from jobgate.model.state import JobState


class BatchQuery(Waiting, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one batch."""

    expand: Annotated[
        tuple[Literal["failures", "waits"], ...], Meta(description="What is shown beside the batch.")
    ] = ()


class BatchConditions(Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What batches are chosen by."""

    retired: Annotated[bool, Meta(description="Those too that are retired.")] = False
    expand: Annotated[tuple[Literal["waits"], ...], Meta(description="What is shown of each beside its state.")] = ()


class BatchPatch(Patch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is not said stays."""

    expires: Lease | UnsetType | None = UNSET
    """When it is cancelled and retired (RFC 3339); null: never."""


class RetryDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs."""

    state: Literal["failed"] = "failed"


class BatchPage(Struct, frozen=True, kw_only=True):
    """A page of batches."""

    items: tuple[BatchView, ...]
    next: str | None
    """Address of the next page; null at the end. A page may be short, though there is a next one."""


class FailurePage(Struct, frozen=True, kw_only=True):
    """In which ways jobs failed, the most frequent first."""

    items: tuple[FailureView, ...]
    next: None = None


class CancelView(Struct, frozen=True, kw_only=True):
    """What became of the jobs of a batch that was asked to stop."""

    id: str
    asked: int
    """All jobs that are kept."""
    cancelled: int
    """They had not begun, and ended at once."""
    cancelling: int
    """They are running still, and will end."""
    unchanged: int
    """They were over."""
    batch: BatchView


class RetryView(Struct, frozen=True, kw_only=True):
    """How many jobs are queued again."""

    id: str
    retried: int
    batch: BatchView


def id_of(call: Call) -> BatchId:
    """The batch that the address names. Raises NotFound."""
    return batch_id(call.path.get("id", ""))


# --- what is asked


def _list(call: Call) -> Ask:
    asked = query(call, BatchConditions)
    where = BatchesWhere(
        states=states(asked.state),
        labels=labels(asked.label),
        app=asked.app,
        name=asked.name,
        since=None if asked.since is None else asked.since.timestamp(),
        before=None if asked.before is None else asked.before.timestamp(),
        after=None if asked.after is None else BatchId(after(asked.after)),
        limit=asked.limit,
        retired=asked.retired,
    )
    return Ask(operation=FindBatches(where=where, waits="waits" in asked.expand, ledger=True))


def _batch(call: Call) -> Ask:
    asked = query(call, BatchQuery)
    expand = asked.expand
    count = Count(id_of(call), failures="failures" in expand, waits="waits" in expand, ledger=True)
    return waiting(call, count, asked)


def _jobs(call: Call) -> Ask:
    asked = query(call, JobConditions)
    selector = where(asked, call.path.get("id", ""), ascending=True)
    return Ask(operation=Find(selector=selector, waits="waits" in asked.expand))


def _failures(call: Call) -> Ask:
    return Ask(operation=Count(id_of(call), failures=True))


def _patch(call: Call) -> Ask:
    asked, given = changes(call, BatchPatch)
    change = Change(
        selector=Of(id_of(call)),
        priority=known(asked.priority),
        hold=known(asked.hold),
        name=known(asked.name),
        labels=given,
        expires=asked.expires.timestamp() if isinstance(asked.expires, datetime) else asked.expires,
        seen=seen(call),
        show=True,
    )
    return Ask(operation=change)


def _cancel(call: Call) -> Ask:
    asked = body_or(call, CancelDraft, CancelDraft())
    return Ask(operation=Cancel(selector=Of(id_of(call)), message=asked.message, seen=seen(call), show=True))


def _retry(call: Call) -> Ask:
    body_or(call, RetryDraft, RetryDraft())
    return Ask(operation=Retry(selector=Of(id_of(call)), seen=seen(call), show=True))


def _retire(call: Call) -> Ask:
    return Ask(operation=Retire(batch=id_of(call)))


def _delete(call: Call) -> Ask:
    return Ask(operation=Delete(selector=Of(id_of(call)), force=query(call, Force).force, seen=seen(call)))


# --- what is answered


def _listed(prefix: str, call: Call, outcome: FoundBatches) -> Reply:
    address, headers = onward(f"{prefix}/batches", call, cursor(outcome.more))
    return answer(BatchPage(items=tuple(map(batch_view, outcome.batches)), next=address), 200, headers)


def _shown(prefix: str, call: Call, outcome: Counted) -> Reply:
    del prefix
    return held(call, batch_view(outcome), outcome.version)


def _jobs_listed(prefix: str, call: Call, outcome: Found) -> Reply:
    path = f"{prefix}/batches/{call.path['id']}/jobs"
    return listed(path, call, outcome, query(call, JobConditions).expand)


def _failures_shown(prefix: str, call: Call, outcome: Counted) -> Reply:
    del prefix
    return held(call, FailurePage(items=tuple(map(failure_view, outcome.failures or ()))), outcome.version)


def _as_it_is(outcome: Changed) -> tuple[Counted, BatchView]:
    """Raises NotFound when it has gone meanwhile."""
    if not isinstance(outcome.shown, Counted):
        raise NotFound
    return outcome.shown, batch_view(outcome.shown)


def _patched(prefix: str, call: Call, outcome: Changed) -> Reply:
    del prefix, call
    counted, view = _as_it_is(outcome)
    return answer(view, 200, tag(counted.version))


def _retired(prefix: str, call: Call, outcome: Counted) -> Reply:
    del prefix, call
    return answer(batch_view(outcome), 202, tag(outcome.version))


def _cancelled(prefix: str, call: Call, outcome: Changed) -> Reply:
    del prefix, call
    counted, view = _as_it_is(outcome)
    cancelled = outcome.states.get(JobState.CANCELLED, 0)
    cancelling = sum(outcome.states.values()) - cancelled
    told = CancelView(
        id=view.id,
        asked=cancelled + cancelling + outcome.same,
        cancelled=cancelled,
        cancelling=cancelling,
        unchanged=outcome.same,
        batch=view,
    )
    return answer(told, 202, tag(counted.version))


def _retried(prefix: str, call: Call, outcome: Changed) -> Reply:
    del prefix, call
    counted, view = _as_it_is(outcome)
    told = RetryView(id=batch_text(counted.batch.id), retried=sum(outcome.states.values()), batch=view)
    return answer(told, 202, tag(counted.version))


def _deleted(prefix: str, call: Call, outcome: Deleted) -> Reply:
    del prefix, call
    return deleted(outcome)


VERBS: Final = (
    Verb(
        name="batches",
        method="GET",
        path="/batches",
        summary="Batches that meet all conditions, newest first, with their jobs counted",
        subject="batches",
        query=BatchConditions,
        gives={200: BatchPage},
        asks={"state": "running", "label": "project=birds"},
        shown=BatchPage(items=(BATCH,), next=None),
        decode=_list,
        encode=_listed,
    ),
    Verb(
        name="batch",
        method="GET",
        path="/batches/{id}",
        summary="A batch; with ?wait=SECONDS when all its jobs have ended",
        subject="batches",
        query=BatchQuery,
        headers={"If-None-Match": "Answered with 304 when it is of this ETag still."},
        gives={200: BatchView, 304: None},
        asks={"wait": "60"},
        shown=BATCH,
        decode=_batch,
        encode=_shown,
    ),
    Verb(
        name="batch-change",
        method="PATCH",
        path="/batches/{id}",
        summary="Another name, other labels, another expiry; for all its jobs another priority, held or let go",
        subject="batches",
        scope=Scope.CONTROL,
        body=Body.WHOLE,
        takes=BatchPatch,
        headers=IF_MATCH,
        gives={200: BatchView},
        refuses=("changed", "retired"),
        example={"name": "second run", "hold": True},
        shown=replace(BATCH, name="second run"),
        decode=_patch,
        encode=_patched,
    ),
    Verb(
        name="batch-cancel",
        method="POST",
        path="/batches/{id}/cancel",
        summary="Ask all jobs of a batch to stop",
        subject="batches",
        scope=Scope.CONTROL,
        body=Body.WHOLE,
        takes=CancelDraft,
        optional=True,
        headers=IF_MATCH,
        gives={202: CancelView},
        refuses=("changed",),
        example={"message": "a newer one runs"},
        shown=CancelView(id=BATCH.id, asked=1000, cancelled=356, cancelling=32, unchanged=612, batch=STOPPED),
        decode=_cancel,
        encode=_cancelled,
    ),
    Verb(
        name="batch-retry",
        method="POST",
        path="/batches/{id}/retry",
        summary="Ask for another attempt of every job of a batch that failed",
        subject="batches",
        scope=Scope.CONTROL,
        body=Body.WHOLE,
        takes=RetryDraft,
        optional=True,
        headers=IF_MATCH,
        gives={202: RetryView},
        refuses=("too-many-jobs", "unrunnable", "changed", "retired"),
        example={"state": "failed"},
        shown=RetryView(id=BATCH.id, retried=7, batch=BATCH),
        decode=_retry,
        encode=_retried,
    ),
    Verb(
        name="batch-retire",
        method="POST",
        path="/batches/{id}/retire",
        summary="Be done with a batch: its jobs are asked to stop, its files are deleted, and no list has it any more",
        description="Once more, it changes nothing. Its records are kept for their time, and its id finds them.",
        subject="batches",
        scope=Scope.CONTROL,
        gives={202: BatchView},
        shown=replace(STOPPED, retired="2026-11-24T23:30:00.000Z"),
        decode=_retire,
        encode=_retired,
    ),
    Verb(
        name="batch-delete",
        method="DELETE",
        path="/batches/{id}",
        summary="Forget a batch with its jobs and files; a live one with ?force=true",
        subject="batches",
        scope=Scope.CONTROL,
        query=Force,
        headers=IF_MATCH,
        gives={204: None, 202: Stopping},
        refuses=("job-active", "changed"),
        shown=Stopping(stopping=(JOB.id,)),
        decode=_delete,
        encode=_deleted,
    ),
    Verb(
        name="batch-jobs",
        method="GET",
        path="/batches/{id}/jobs",
        summary="The jobs of a batch, in order of their numbers",
        subject="batches",
        query=JobConditions,
        gives={200: JobPage},
        shown=JobPage(items=(replace(JOB, command=UNSET, outputs=UNSET),), next=None),
        decode=_jobs,
        encode=_jobs_listed,
    ),
    Verb(
        name="batch-failures",
        method="GET",
        path="/batches/{id}/failures",
        summary="In which ways jobs of a batch failed, the most frequent first",
        subject="batches",
        gives={200: FailurePage},
        shown=FailurePage(items=(FAILURE,), next=None),
        decode=_failures,
        encode=_failures_shown,
    ),
)
