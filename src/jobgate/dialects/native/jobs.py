"""Jobs: lists of them, one as it stands, and what its owner may do with it."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from jobgate.dialects.dialect import Ask, Body, Call, Reply
from jobgate.dialects.native.asked import Waiting, body, body_or, known, query
from jobgate.dialects.native.lists import AllJobs, cursor, where
from jobgate.dialects.native.pages import held, onward, seen, tag, waiting
from jobgate.dialects.native.samples import ATTEMPT, JOB
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import EVERYTHING, answer, attempt_view, whole_view
from jobgate.dialects.native.wire import AttemptView, JobView
from jobgate.model.account import Scope
from jobgate.model.errors import Conflict, Invalid, NotFound
from jobgate.model.ids import JobId, JobName, job_name
from jobgate.model.operations import Called, Cancel, Change, Delete, Find, Known, Retry
from jobgate.model.outcomes import Changed, Deleted, Found
from jobgate.model.outcomes import JobView as Whole
from jobgate.model.selectors import Ids, JobCalled

IF_MATCH: Final = {"If-Match": "Refused with 412 when it is not of this ETag any more."}
MOST: Final = 1000
PAGE: Final = 16 << 20
"""Bytes of a page of jobs, or one job: a thousand of them with their specs may be many gigabytes."""
Text = Annotated[str, Meta(max_length=1000)]


class JobQuery(Waiting, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one job."""

    expand: Annotated[
        tuple[Literal["attempts", "waits", "draft"], ...], Meta(description="What is shown beside the job.")
    ] = ()


class Force(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`?force=true`."""

    force: Annotated[bool, Meta(description="Live jobs are cancelled first.")] = False


class CancelDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    message: Text = ""


class Patch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is not said stays."""

    priority: Annotated[int, Meta(ge=-1000, le=1000)] | UnsetType = UNSET
    hold: bool | UnsetType = UNSET
    labels: dict[str, str | None] | UnsetType = UNSET
    """Only these change; null takes one away. They are the batch's: on a job of several they are refused."""
    name: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    """The batch's, as the labels are."""


P = TypeVar("P", bound=Patch)


class FindDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of jobs, or their names, or both."""

    ids: Annotated[tuple[str, ...], Meta(max_length=MOST)] = ()
    names: Annotated[tuple[str, ...], Meta(max_length=MOST)] = ()
    """What their owner calls them."""


class JobPage(Struct, frozen=True, kw_only=True):
    """A page of jobs."""

    items: tuple[JobView, ...]
    next: str | None
    """Address of the next page; null at the end. A page may be short, though there is a next one."""


class JobsFound(Struct, frozen=True, kw_only=True):
    """Jobs in the order asked for, ids before names."""

    items: tuple[JobView, ...]
    missing: tuple[str, ...]
    """Ids and names that are unknown, or another's."""


class AttemptPage(Struct, frozen=True, kw_only=True):
    """All attempts of a job."""

    items: tuple[AttemptView, ...]
    next: None = None


class Stopping(Struct, frozen=True, kw_only=True):
    """Jobs that are asked to stop, and will be deleted when the same is asked again after that."""

    stopping: tuple[str, ...]


def name_of(call: Call) -> JobName:
    """The job that the address names. Raises NotFound."""
    return job_name(call.path.get("id", ""))


def one_of(call: Call) -> Ids:
    """That job and no other. Raises NotFound."""
    return Ids((name_of(call),))


def changes(call: Call, kind: type[P]) -> tuple[P, dict[str, str | None]]:
    """What a PATCH asks for, and the labels in it. Raises Invalid."""
    asked = body(call, kind)
    labels: dict[str, str | None] = {} if asked.labels is UNSET else asked.labels
    if asked.name is not UNSET and "\0" in asked.name:
        raise Invalid("name: NUL is refused", field="name")
    if any("\0" in f"{key}{value}" for key, value in labels.items()):
        raise Invalid("labels: NUL is refused", field="labels")
    return asked, labels


# --- what is asked


def _list(call: Call) -> Ask:
    asked = query(call, AllJobs)
    return Ask(operation=Find(selector=where(asked, asked.batch), waits="waits" in asked.expand))


def _find(call: Call) -> Ask:
    asked = body(call, FindDraft)
    number = len(asked.ids) + len(asked.names)
    if not number:
        raise Invalid(f"1 to {MOST} ids or names are needed", code="missing-field", field="ids")
    if number > MOST:
        raise Invalid(f"1 to {MOST} ids and names are taken together, and these are {number}", field="ids")
    names: list[JobName] = []
    missing: list[str] = []
    for ident in asked.ids:
        try:
            names.append(job_name(ident))
        except NotFound:
            missing.append(ident)
    if not asked.names:
        return Ask(operation=Find(selector=Ids(tuple(names), tuple(missing))))

    def then(known: Known) -> Find:
        found = [one.name if one is not None and not one.attempt else None for one in known.jobs]
        absent = [name for name, one in zip(asked.names, found, strict=True) if one is None]
        there = [one for one in found if one is not None]
        return Find(selector=Ids((*names, *there), (*missing, *absent)))

    return Ask(operation=Called(jobs=tuple(JobCalled(name=name) for name in asked.names), then=then))


def _job(call: Call) -> Ask:
    asked = query(call, JobQuery)
    return waiting(call, Find(selector=one_of(call), waits="waits" in asked.expand), asked)


def _attempts(call: Call) -> Ask:
    return Ask(operation=Find(selector=one_of(call)))


def _patch(call: Call) -> Ask:
    asked, labels = changes(call, Patch)
    change = Change(
        selector=one_of(call),
        priority=known(asked.priority),
        hold=known(asked.hold),
        name=known(asked.name),
        labels=labels,
        seen=seen(call),
        show=True,
    )
    return Ask(operation=change)


def _cancel(call: Call) -> Ask:
    asked = body_or(call, CancelDraft, CancelDraft())
    return Ask(operation=Cancel(selector=one_of(call), message=asked.message, seen=seen(call), show=True))


def _retry(call: Call) -> Ask:
    return Ask(operation=Retry(selector=one_of(call), seen=seen(call), show=True))


def _delete(call: Call) -> Ask:
    return Ask(operation=Delete(selector=one_of(call), force=query(call, Force).force, seen=seen(call)))


# --- what is answered


def listed(path: str, call: Call, outcome: Found, expand: tuple[str, ...]) -> Reply:
    """A page of jobs."""
    items, more = _fitting(outcome, expand)
    address, headers = onward(path, call, cursor(more))
    return answer(JobPage(items=items, next=address), 200, headers)


def _fitting(outcome: Found, expand: tuple[str, ...]) -> tuple[tuple[JobView, ...], JobId | None]:
    """As many as go into one answer, and after which job to go on."""
    items: list[JobView] = []
    room = PAGE
    for view in outcome.jobs:
        item = whole_view(view, expand)
        room -= len(msgspec.json.encode(item))
        if room < 0 and items:
            return tuple(items), outcome.jobs[len(items) - 1].job.id
        items.append(item)
    return tuple(items), outcome.more


def _listed(prefix: str, call: Call, outcome: Found) -> Reply:
    return listed(f"{prefix}/jobs", call, outcome, query(call, AllJobs).expand)


def _found(prefix: str, call: Call, outcome: Found) -> Reply:
    del prefix, call
    return answer(JobsFound(items=tuple(whole_view(view, ()) for view in outcome.jobs), missing=outcome.missing))


def _shown(prefix: str, call: Call, outcome: Found) -> Reply:
    del prefix
    view = _only(outcome)
    return held(call, whole_view(view, EVERYTHING | set(query(call, JobQuery).expand)), view.version)


def _attempts_shown(prefix: str, call: Call, outcome: Found) -> Reply:
    del prefix
    view = _only(outcome)
    return held(call, AttemptPage(items=tuple(attempt_view(one, view.spec) for one in view.attempts)), view.version)


def _only(outcome: Found) -> Whole:
    """Raises NotFound."""
    if not outcome.jobs:
        raise NotFound
    return outcome.jobs[0]


def _changed(status: int, outcome: Changed) -> Reply:
    """The job as it is after that. Raises NotFound."""
    if not isinstance(outcome.shown, Whole):
        raise NotFound
    return answer(whole_view(outcome.shown), status, tag(outcome.shown.version))


def _patched(prefix: str, call: Call, outcome: Changed) -> Reply:
    del prefix, call
    return _changed(200, outcome)


def _cancelled(prefix: str, call: Call, outcome: Changed) -> Reply:
    del prefix, call
    return _changed(200 if outcome.unchanged else 202, outcome)


def _retried(prefix: str, call: Call, outcome: Changed) -> Reply:
    del prefix, call
    if outcome.unchanged:
        state = outcome.unchanged[0].state
        code = "not-failed" if state.over else "job-active"
        raise Conflict(f"only a job that failed can be tried again; this one is {state.value}", code=code)
    return _changed(202, outcome)


def deleted(outcome: Deleted) -> Reply:
    """Nothing is left, or what is stopping still."""
    if not outcome.stopping:
        return Reply(status=204)
    return answer(Stopping(stopping=tuple(map(str, outcome.stopping))), 202)


def _deleted(prefix: str, call: Call, outcome: Deleted) -> Reply:
    del prefix, call
    if outcome.missing:
        raise NotFound
    return deleted(outcome)


_LISTED: Final = replace(JOB, command=UNSET, outputs=UNSET)
VERBS: Final = (
    Verb(
        name="jobs",
        method="GET",
        path="/jobs",
        summary="Jobs that meet all conditions, newest first",
        subject="jobs",
        query=AllJobs,
        gives={200: JobPage},
        refuses=("not-found",),
        asks={"state": "failed,cancelled", "limit": "50"},
        shown=JobPage(items=(_LISTED,), next="/v1/jobs?state=failed%2Ccancelled&limit=50&after=c1k9x"),
        decode=_list,
        encode=_listed,
    ),
    Verb(
        name="jobs-find",
        method="POST",
        path="/jobs/find",
        summary="Up to 1,000 jobs by their ids or names",
        subject="jobs",
        body=Body.WHOLE,
        takes=FindDraft,
        gives={200: JobsFound},
        example={"ids": ["2n6r0kqa-1", "2n6r0kqa-640"]},
        shown=JobsFound(items=(_LISTED,), missing=("2n6r0kqa-1",)),
        decode=_find,
        encode=_found,
    ),
    Verb(
        name="job",
        method="GET",
        path="/jobs/{id}",
        summary="A job; with ?wait=SECONDS when it has ended",
        subject="jobs",
        query=JobQuery,
        headers={"If-None-Match": "Answered with 304 when it is of this ETag still."},
        gives={200: JobView, 304: None},
        asks={"wait": "60"},
        shown=JOB,
        decode=_job,
        encode=_shown,
    ),
    Verb(
        name="job-change",
        method="PATCH",
        path="/jobs/{id}",
        summary="Another priority, name or labels; held or let go",
        description="A job that is over keeps its priority. Name and labels belong to the batch: a job of several is "
        "refused with 422.",
        subject="jobs",
        scope=Scope.CONTROL,
        body=Body.WHOLE,
        takes=Patch,
        headers=IF_MATCH,
        gives={200: JobView},
        refuses=("changed", "retired"),
        example={"priority": 10, "labels": {"stage": "final", "draft": None}},
        shown=replace(JOB, state="queued", priority=10, labels={"stage": "final"}),
        decode=_patch,
        encode=_patched,
    ),
    Verb(
        name="job-cancel",
        method="POST",
        path="/jobs/{id}/cancel",
        summary="Ask a job to stop; one that is over is answered with 200",
        subject="jobs",
        scope=Scope.CONTROL,
        body=Body.WHOLE,
        takes=CancelDraft,
        optional=True,
        headers=IF_MATCH,
        gives={202: JobView, 200: JobView},
        refuses=("changed",),
        example={"message": "a newer one runs"},
        shown=replace(JOB, state="cancelling"),
        decode=_cancel,
        encode=_cancelled,
    ),
    Verb(
        name="job-retry",
        method="POST",
        path="/jobs/{id}/retry",
        summary="Ask for another attempt of a job that failed, under the same id and spec",
        subject="jobs",
        scope=Scope.CONTROL,
        headers=IF_MATCH,
        gives={202: JobView},
        refuses=("job-active", "not-failed", "too-many-jobs", "unrunnable", "changed", "retired"),
        shown=replace(JOB, state="queued"),
        decode=_retry,
        encode=_retried,
    ),
    Verb(
        name="job-delete",
        method="DELETE",
        path="/jobs/{id}",
        summary="Forget a job with its files; a live one with ?force=true",
        subject="jobs",
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
        name="attempts",
        method="GET",
        path="/jobs/{id}/attempts",
        summary="Every start of a job",
        subject="jobs",
        gives={200: AttemptPage},
        shown=AttemptPage(items=(ATTEMPT,), next=None),
        decode=_attempts,
        encode=_attempts_shown,
    ),
)
