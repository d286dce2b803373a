"""Submitting: one job, or a batch of them: copies, a sweep, a list, or one job a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from jobgate.dialects.dialect import Ask, Body, Call, Lines, Reply
from jobgate.dialects.native.asked import guard, query
from jobgate.dialects.native.bound import Apps
from jobgate.dialects.native.lines import FillQuery, JobLines, LinesQuery
from jobgate.dialects.native.pages import tag
from jobgate.dialects.native.rows import NoRows, Rows, Table, sound, unused
from jobgate.dialects.native.samples import BATCH_BODIES, EQUAL_BODY, FILLED, FULL_BODY, JOB_BODY, NEW_BATCH, NEW_JOB
from jobgate.dialects.native.shapes import Jobs, every, read, read_batch, said, wrong_shape, wrong_texts
from jobgate.dialects.native.specs import Specs, app_name
from jobgate.dialects.native.sweep import Sweep
from jobgate.dialects.native.verb import NoQuery, Verb
from jobgate.dialects.native.views import answer, batch_view, job_view
from jobgate.dialects.native.wire import (
    NAME,
    BatchDraft,
    BatchView,
    FillDraft,
    JobDraft,
    JobsDraft,
    JobView,
    LoneDraft,
    NamedDraft,
)
from jobgate.dialects.reading import uncollected
from jobgate.model.account import Scope
from jobgate.model.catalogue import Catalogue
from jobgate.model.errors import Invalid, TooLarge
from jobgate.model.ids import JobId, batch_id, batch_text, job_text
from jobgate.model.job import Origin, check_name
from jobgate.model.operations import Group, Submit
from jobgate.model.outcomes import Submitted

NDJSON: Final = "application/x-ndjson"
D = TypeVar("D", BatchDraft, FillDraft)

# --- the verbs


class _Jobs:
    """Lone jobs, whose apps are those of a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def submit(self, call: Call) -> Ask:
        """A batch of one."""
        apps = Apps(self._catalogue, call.account)
        draft = read(call, LoneDraft, apps)
        specs = Specs(apps)
        try:
            group = Group(specs.spec(draft, 0))
        except Invalid:
            raise every(call, LoneDraft, apps) from None
        if wrong := wrong_texts(draft.name, draft.labels):
            raise wrong
        return Ask(operation=_with_batch(_submit(call, draft, (group,), specs.secrets, app=app_name(draft)), draft))


class _Batches:
    """Batches of at most so many jobs, whose apps are those of a catalogue."""

    def __init__(self, most: int, catalogue: Catalogue) -> None:
        self._most = most
        self._catalogue = catalogue

    def submit(self, call: Call) -> Ask:
        """A batch in one JSON object, or the bare list of its jobs."""
        query(call, NoQuery)
        apps = Apps(self._catalogue, call.account)
        with uncollected(call.body):
            draft = self._read(call, BatchDraft, apps)
            if wrong := wrong_texts(draft.name, draft.labels):
                raise wrong
            return Ask(operation=_with_batch(self._jobs(call, draft, apps), draft))

    def fill(self, call: Call) -> Ask:
        """Jobs for an empty batch, in one JSON object."""
        query(call, NoQuery)
        into = batch_id(call.path.get("id", ""))
        apps = Apps(self._catalogue, call.account)
        with uncollected(call.body):
            return Ask(operation=replace(self._jobs(call, self._read(call, FillDraft, apps), apps), into=into))

    def _read(self, call: Call, kind: type[D], apps: Apps) -> D:
        """Raises Invalid with every fault."""
        draft = read_batch(call, kind, apps)
        jobs = None if draft.jobs is UNSET else len(draft.jobs)
        if wrong_shape(said(draft), jobs, draft):
            raise every(call, kind, apps)
        return draft

    def _jobs(self, call: Call, draft: JobsDraft, apps: Apps) -> Submit:
        """Raises Invalid with every fault, TooLarge."""
        if isinstance(draft, BatchDraft) and draft.open:
            return replace(_submit(call, draft, (), {}, app=""), empty=True)
        try:
            return self._made(call, draft, apps)
        except Invalid:
            raise every(call, type(draft), apps) from None

    def _made(self, call: Call, draft: JobsDraft, apps: Apps) -> Submit:
        """Raises Invalid, TooLarge."""
        specs = Specs(apps)
        if draft.template is UNSET:
            jobs = () if draft.jobs is UNSET else draft.jobs
            groups = _groups(jobs, specs)
            named = {app_name(job) for job in jobs}
            made = _submit(call, draft, groups, specs.secrets, app=named.pop() if len(named) == 1 else "")
            return replace(made, names=_names(jobs))
        app = app_name(draft.template)
        if draft.sweep is UNSET and not draft.placeholders:
            group = Group(specs.spec(draft.template, 0), draft.count)
            return _submit(call, draft, (group,), specs.secrets, app=app)
        swept = self._swept(draft.template, draft, apps)
        return _submit(call, draft, (Group(swept.spec(0), swept.size, swept.spec),), swept.secrets, app=app)

    def _swept(self, template: JobDraft, draft: JobsDraft, apps: Apps) -> Sweep:
        """Raises Invalid, and TooLarge before anything is made."""
        table: Table | None = None if draft.sweep is UNSET else draft.sweep
        rows: Rows = NoRows(draft.count) if table is None else sound(table)
        if rows.size > self._most:
            told = f"a batch has at most {self._most} jobs here, and this sweep makes {rows.size}"
            raise TooLarge(told, code="batch-too-large", field="sweep" if table is not None else "count")
        swept = Sweep(template, rows, apps)
        if table is not None:
            for error in unused(table, swept.used):
                raise error
        swept.check()
        return swept

    def lines(self, call: Call) -> Lines:
        """A batch as one job a line; what the batch itself has stands in the query."""
        return JobLines(call, self._most, Apps(self._catalogue, call.account))

    def filling_lines(self, call: Call) -> Lines:
        """Jobs for an empty batch, as one a line."""
        return JobLines(call, self._most, Apps(self._catalogue, call.account), batch_id(call.path.get("id", "")))


def _groups(jobs: tuple[NamedDraft, ...], specs: Specs) -> tuple[Group, ...]:
    """Neighbours that are equal but for their names are copies of one spec. Raises Invalid for the first fault."""
    groups: list[Group] = []
    begin, last = 0, _unnamed(jobs[0])
    for place, one in enumerate(jobs):
        job = _unnamed(one)
        if job != last:
            groups.append(Group(specs.spec(last, begin), place - begin))
            begin, last = place, job
    groups.append(Group(specs.spec(last, begin), len(jobs) - begin))
    return tuple(groups)


def _unnamed(job: NamedDraft) -> NamedDraft:
    return replace(job, name="") if job.name else job


def _names(jobs: tuple[NamedDraft, ...]) -> tuple[str, ...]:
    """What the jobs are called; nothing where none has a name. Raises Invalid."""
    names = tuple(job.name for job in jobs)
    if not any(names):
        return ()
    for place, name in enumerate(names):
        if name:
            check_name(name, f"jobs[{place}].name")
    return names


def _submit(
    call: Call, draft: JobsDraft | LoneDraft, groups: tuple[Group, ...], secrets: Mapping[str, str], *, app: str
) -> Submit:
    return Submit(
        groups=groups,
        origin=Origin(dialect=NAME),
        app=app,
        priority=draft.priority,
        held=draft.held,
        secrets=secrets,
        guard=guard(call, *filter(None, (call.path.get("id", "").encode(),))),
    )


def _with_batch(made: Submit, draft: BatchDraft | LoneDraft) -> Submit:
    """With what a batch has beside its jobs."""
    return replace(
        made,
        name=draft.name,
        labels=draft.labels,
        webhook=draft.webhook,
        expires=None if draft.expires is None else draft.expires.timestamp(),
    )


# --- the answers


def _submitted_job(prefix: str, call: Call, outcome: Submitted) -> Reply:
    """201 with the job; for a repeated key the job as it is now."""
    del call
    ident = job_text(outcome.batch.id, JobId(outcome.batch.id))
    headers = {"Location": f"{prefix}/jobs/{ident}"}
    if not outcome.jobs:  # repeated, and deleted since: what is left to say is its name
        return answer({"id": ident, "batch": batch_text(outcome.batch.id)}, 201, headers | _replayed(outcome))
    job = outcome.jobs[0]
    version = tag(job.version + outcome.batch.renamed)
    view = replace(job_view(job, outcome.batch), attempt_count=UNSET if outcome.replayed else 0)
    return answer(view, 201, headers | version | _replayed(outcome))


def _submitted_batch(prefix: str, call: Call, outcome: Submitted) -> Reply:
    del call
    counted = outcome.counted
    headers = {"Location": f"{prefix}/batches/{batch_text(outcome.batch.id)}"}
    return answer(batch_view(counted), 201, headers | tag(counted.version) | _replayed(outcome))


def _filled_batch(prefix: str, call: Call, outcome: Submitted) -> Reply:
    del prefix, call
    return answer(batch_view(outcome.counted), 200, tag(outcome.counted.version) | _replayed(outcome))


def _replayed(outcome: Submitted) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if outcome.replayed else {}


_REFUSED: Final = (
    *(
        "unrunnable",
        "app-not-found",
        "app-not-runnable",
        "app-version-not-found",
        "app-deprecated",
        "licence-required",
        "not-found",
        "webhook-not-found",
    ),
    *("too-many-jobs", "storage-quota", "storage-full"),
)


def verbs(limit: int, most: int, lone: int, catalogue: Catalogue) -> tuple[Verb, ...]:
    """With so many bytes of a body at most, and of a lone job's, and so many jobs of a batch."""
    batches = _Batches(most, catalogue)
    return (
        Verb(
            name="job-submit",
            method="POST",
            path="/jobs",
            summary="Submit one job",
            subject="jobs",
            scope=Scope.SUBMIT,
            body=Body.WHOLE,
            limit=min(limit, lone),
            early=True,
            takes=LoneDraft,
            gives={201: JobView},
            headers={"Idempotency-Key": ""},
            refuses=_REFUSED,
            example=JOB_BODY,
            examples={"Nearly everything there is": FULL_BODY},
            shown=NEW_JOB,
            decode=_Jobs(catalogue).submit,
            encode=_submitted_job,
        ),
        Verb(
            name="batch-submit",
            method="POST",
            path="/batches",
            summary="Submit a batch of jobs",
            description="One JSON object, or the bare list of its jobs. Or, as application/x-ndjson, one job a line, "
            "read as it comes in: then what a batch has beside its jobs stands in the query, which the others may not "
            "have.",
            subject="batches",
            scope=Scope.SUBMIT,
            body=Body.LINES,
            lines=batches.lines,
            limit=limit,
            early=True,
            takes=BatchDraft | Jobs,
            media=("application/json", NDJSON),
            query=LinesQuery,
            gives={201: BatchView},
            headers={"Idempotency-Key": ""},
            refuses=(*_REFUSED, "batch-too-large", "name-taken"),
            example=EQUAL_BODY,
            examples=BATCH_BODIES,
            shown=NEW_BATCH,
            decode=batches.submit,
            encode=_submitted_batch,
        ),
        Verb(
            name="batch-fill",
            method="POST",
            path="/batches/{id}/jobs",
            summary="Put jobs into a batch that was made empty, once",
            description="All of them or none, in any of the ways of POST /batches. Name, labels, webhook and expiry "
            "stay what they were.",
            subject="batches",
            scope=Scope.SUBMIT,
            body=Body.LINES,
            lines=batches.filling_lines,
            limit=limit,
            early=True,
            takes=FillDraft,
            media=("application/json", NDJSON),
            query=FillQuery,
            gives={200: BatchView},
            headers={"Idempotency-Key": ""},
            refuses=(*_REFUSED, "batch-too-large", "not-empty", "name-taken"),
            example={"jobs": [{"command": ["echo", "a"], "name": "first"}, {"command": ["echo", "b"]}]},
            shown=FILLED,
            decode=batches.fill,
            encode=_filled_batch,
        ),
    )
