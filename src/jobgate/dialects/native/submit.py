"""Submitting: one job, or a batch of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec import UNSET

from jobgate.dialects.dialect import Ask, Body, Call, Reply
from jobgate.dialects.native.asked import guard, not_json
from jobgate.dialects.native.faults import MOST, gathered, of_jobs, of_types
from jobgate.dialects.native.specs import Specs
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, batch_view, job_view
from jobgate.dialects.native.wire import NAME, BatchDraft, BatchView, JobDraft, JobView, LoneDraft
from jobgate.dialects.reading import json_object, uncollected
from jobgate.model.account import Scope
from jobgate.model.errors import Invalid
from jobgate.model.ids import JobId, batch_text, job_text
from jobgate.model.job import Origin
from jobgate.model.operations import Group, Submit
from jobgate.model.outcomes import Submitted
from jobgate.model.state import JobState

T = TypeVar("T")

# --- the verbs


def _submit_job(call: Call) -> Ask:
    draft = _read(call, LoneDraft)
    specs = Specs()
    try:
        group = Group(specs.spec(draft, 0))
    except Invalid:
        raise _all(call, LoneDraft) from None
    return _submit(call, (group,), draft, specs.secrets, app=_app_name(draft))


def _submit_batch(call: Call) -> Ask:
    with uncollected(call.body):
        draft = _read(call, BatchDraft)
        jobs = () if draft.jobs is UNSET else draft.jobs
        if _wrong_shape(draft.template is not UNSET, None if draft.jobs is UNSET else len(jobs), draft.count):
            raise _all(call, BatchDraft)
        specs = Specs()
        try:
            if draft.template is not UNSET:
                group = Group(specs.spec(draft.template, 0), draft.count)
                return _submit(call, (group,), draft, specs.secrets, app=_app_name(draft.template))
            groups = _groups(jobs, specs)
        except Invalid:
            raise _all(call, BatchDraft) from None
        apps = {_app_name(job) for job in jobs}
        return _submit(call, groups, draft, specs.secrets, app=apps.pop() if len(apps) == 1 else "")


def _groups(jobs: tuple[JobDraft, ...], specs: Specs) -> tuple[Group, ...]:
    """Equal neighbours are copies of one spec. Raises Invalid for the first fault."""
    groups: list[Group] = []
    begin, last = 0, jobs[0]
    for place, job in enumerate(jobs):
        if job != last:
            groups.append(Group(specs.spec(last, begin), place - begin))
            begin, last = place, job
    groups.append(Group(specs.spec(last, begin), len(jobs) - begin))
    return tuple(groups)


def _wrong_shape(template: bool, jobs: int | None, count: object) -> Invalid | None:  # two callers
    """What is wrong with a batch as a whole; `jobs` is how many there are, if any are said."""
    if template == (jobs is not None):
        return Invalid("a batch has one of template and jobs", code="one-of", field="template")
    if jobs == 0:
        return Invalid("jobs: a batch needs at least one job", field="jobs")
    return None if template or count == 1 else Invalid("count: it belongs to template; jobs are counted", field="count")


def _wrong_texts(name: str, labels: Mapping[str, str]) -> Invalid | None:
    if "\0" in name:
        return Invalid("name: NUL is refused", field="name")
    if any("\0" in text for pair in labels.items() for text in pair):
        return Invalid("labels: NUL is refused", field="labels")
    return None


# --- parts of a call


def _read(call: Call, kind: type[T]) -> T:
    """The body, decoded in one step. Raises Invalid with every fault."""
    try:
        return msgspec.json.decode(call.body, type=kind)
    except msgspec.ValidationError:
        raise _all(call, kind) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise not_json() from None


def _all(call: Call, kind: type) -> Invalid:
    """What is wrong with a body that cannot be taken: all of it."""
    found = gathered(_faults(json_object(call.body), kind))
    return found or Invalid("the body cannot be understood", code="invalid-json")


def _faults(body: Mapping[str, object], kind: type) -> Iterator[Invalid]:
    """In the order they are told: the request as a whole, then its jobs."""
    if kind is LoneDraft:
        own = frozenset(JobDraft.__struct_fields__)
        wrong = tuple(islice(of_types(body, LoneDraft), MOST))
        yield from wrong
        if not wrong:
            yield from filter(None, (_texts(body),))
            yield from of_jobs([("", 0, {name: value for name, value in body.items() if name in own})])
        return
    jobs = {name: body[name] for name in ("template", "jobs") if name in body}
    rest = {name: value for name, value in body.items() if name not in jobs}
    wrong = tuple(of_types(rest, kind))
    yield from wrong
    listed = jobs.get("jobs")
    if not wrong:
        counted = len(listed) if isinstance(listed, list) else None if listed is None else 1
        yield from filter(None, (_wrong_shape("template" in jobs, counted, body.get("count", 1)), _texts(rest)))
    if "template" in jobs:
        yield from of_jobs([("template", 0, jobs["template"])])
    if isinstance(listed, list):
        yield from of_jobs((f"jobs[{place}]", place, one) for place, one in enumerate(listed))
    elif "jobs" in jobs:
        yield from of_types(listed, tuple[JobDraft, ...], "jobs")


def _texts(body: Mapping[str, object]) -> Invalid | None:
    """As `_wrong_texts`, of a body whose types are right."""
    own = msgspec.convert({name: body[name] for name in ("name", "labels") if name in body}, BatchDraft)
    return _wrong_texts(own.name, own.labels)


def _submit(
    call: Call, groups: tuple[Group, ...], draft: BatchDraft | LoneDraft, secrets: Mapping[str, str], *, app: str
) -> Ask:
    if wrong := _wrong_texts(draft.name, draft.labels):
        raise wrong
    return Ask(
        operation=Submit(
            groups=groups,
            origin=Origin(dialect=NAME),
            name=draft.name,
            app=app,
            labels=draft.labels,
            priority=draft.priority,
            held=draft.held,
            webhook=draft.webhook,
            secrets=secrets,
            guard=guard(call),
        )
    )


def _app_name(draft: JobDraft) -> str:
    if draft.app is not UNSET:
        return draft.app
    return "" if draft.image is UNSET else draft.image


# --- the answers


def _submitted_job(prefix: str, call: Call, outcome: Submitted) -> Reply:
    """201 with the job; for a repeated key the job as it is now."""
    del call
    ident = job_text(outcome.batch.id, JobId(outcome.batch.id))
    headers = {"Location": f"{prefix}/jobs/{ident}"}
    if not outcome.jobs:  # repeated, and deleted since: what is left to say is its name
        return answer({"id": ident, "batch": batch_text(outcome.batch.id)}, 201, headers | _replayed(outcome))
    job = outcome.jobs[0]
    return answer(job_view(job, outcome.batch), 201, headers | {"ETag": f'"{job.version}"'} | _replayed(outcome))


def _submitted_batch(prefix: str, call: Call, outcome: Submitted) -> Reply:
    del call
    batch = outcome.batch
    counts: dict[JobState, int] = {}
    for job in outcome.jobs:
        counts[job.state] = counts.get(job.state, 0) + 1
    if not outcome.jobs and not outcome.replayed:
        counts = {JobState.QUEUED: batch.count}
    headers = {"Location": f"{prefix}/batches/{batch_text(batch.id)}"} | _replayed(outcome)
    return answer(batch_view(batch, counts), 201, headers)


def _replayed(outcome: Submitted) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if outcome.replayed else {}


def verbs(limit: int) -> tuple[Verb, ...]:
    """With so many bytes of a body at most."""
    return (
        Verb(
            name="job-submit",
            method="POST",
            path="/jobs",
            summary="Submit one job",
            subject="jobs",
            scope=Scope.SUBMIT,
            body=Body.WHOLE,
            limit=limit,
            early=True,
            takes=LoneDraft,
            gives={201: JobView},
            decode=_submit_job,
            encode=_submitted_job,
        ),
        Verb(
            name="batch-submit",
            method="POST",
            path="/batches",
            summary="Submit a batch of jobs",
            subject="batches",
            scope=Scope.SUBMIT,
            body=Body.WHOLE,
            limit=limit,
            early=True,
            takes=BatchDraft,
            gives={201: BatchView},
            decode=_submit_batch,
            encode=_submitted_batch,
        ),
    )
