"""Submitting: one job, or a batch of them: copies, a sweep, a list, or one job a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from jobgate.dialects.dialect import Ask, Body, Call, Lines, Reply
from jobgate.dialects.native.asked import guard, query
from jobgate.dialects.native.lines import JobLines, LinesQuery
from jobgate.dialects.native.pages import tag
from jobgate.dialects.native.rows import NoRows, Rows, Table, sound, unused
from jobgate.dialects.native.samples import BATCH_BODIES, EQUAL_BODY, FULL_BODY, JOB_BODY, NEW_BATCH, NEW_JOB
from jobgate.dialects.native.shapes import Jobs, every, read, read_batch, said, wrong_shape, wrong_texts
from jobgate.dialects.native.specs import Specs, app_name
from jobgate.dialects.native.sweep import Sweep
from jobgate.dialects.native.verb import NoQuery, Verb
from jobgate.dialects.native.views import answer, batch_view, job_view
from jobgate.dialects.native.wire import NAME, BatchDraft, BatchView, JobDraft, JobView, LoneDraft
from jobgate.dialects.reading import uncollected
from jobgate.model.account import Scope
from jobgate.model.errors import Invalid, TooLarge
from jobgate.model.ids import JobId, batch_text, job_text
from jobgate.model.job import Origin
from jobgate.model.operations import Group, Submit
from jobgate.model.outcomes import Submitted

NDJSON: Final = "application/x-ndjson"

# --- the verbs


def _submit_job(call: Call) -> Ask:
    draft = read(call, LoneDraft)
    specs = Specs()
    try:
        group = Group(specs.spec(draft, 0))
    except Invalid:
        raise every(call, LoneDraft) from None
    return _submit(call, (group,), draft, specs.secrets, app=app_name(draft))


class _Batches:
    """Batches of at most so many jobs."""

    def __init__(self, most: int) -> None:
        self._most = most

    def submit(self, call: Call) -> Ask:
        """A batch in one JSON object, or the bare list of its jobs."""
        query(call, NoQuery)
        with uncollected(call.body):
            draft = read_batch(call)
            jobs = None if draft.jobs is UNSET else len(draft.jobs)
            if wrong_shape(said(draft), jobs, draft.count, placeholders=draft.placeholders):
                raise every(call, BatchDraft)
            try:
                return self._ask(call, draft)
            except Invalid:
                raise every(call, BatchDraft) from None

    def _ask(self, call: Call, draft: BatchDraft) -> Ask:
        """Raises Invalid, TooLarge."""
        specs = Specs()
        if draft.template is UNSET:
            jobs = () if draft.jobs is UNSET else draft.jobs
            groups = _groups(jobs, specs)
            apps = {app_name(job) for job in jobs}
            return _submit(call, groups, draft, specs.secrets, app=apps.pop() if len(apps) == 1 else "")
        app = app_name(draft.template)
        if draft.sweep is UNSET and not draft.placeholders:
            group = Group(specs.spec(draft.template, 0), draft.count)
            return _submit(call, (group,), draft, specs.secrets, app=app)
        swept = self._swept(draft.template, draft)
        return _submit(call, (Group(swept.spec(0), swept.size, swept.spec),), draft, swept.secrets, app=app)

    def _swept(self, template: JobDraft, draft: BatchDraft) -> Sweep:
        """Raises Invalid, and TooLarge before anything is made."""
        table: Table | None = None if draft.sweep is UNSET else draft.sweep
        rows: Rows = NoRows(draft.count) if table is None else sound(table)
        if rows.size > self._most:
            told = f"a batch has at most {self._most} jobs here, and this sweep makes {rows.size}"
            raise TooLarge(told, code="batch-too-large", field="sweep" if table is not None else "count")
        swept = Sweep(template, rows)
        if table is not None:
            for error in unused(table, swept.used):
                raise error
        swept.check()
        return swept

    def lines(self, call: Call) -> Lines:
        """A batch as one job a line; what the batch itself has stands in the query."""
        return JobLines(call, self._most)


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


def _submit(
    call: Call, groups: tuple[Group, ...], draft: BatchDraft | LoneDraft, secrets: Mapping[str, str], *, app: str
) -> Ask:
    if wrong := wrong_texts(draft.name, draft.labels):
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


def _replayed(outcome: Submitted) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if outcome.replayed else {}


_REFUSED: Final = (
    *("unrunnable", "app-not-found", "licence-required", "app-not-runnable", "not-found", "webhook-not-found"),
    *("too-many-jobs", "storage-quota", "storage-full"),
)


def verbs(limit: int, most: int, lone: int) -> tuple[Verb, ...]:
    """With so many bytes of a body at most, and of a lone job's, and so many jobs of a batch."""
    batches = _Batches(most)
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
            decode=_submit_job,
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
            refuses=(*_REFUSED, "batch-too-large"),
            example=EQUAL_BODY,
            examples=BATCH_BODIES,
            shown=NEW_BATCH,
            decode=batches.submit,
            encode=_submitted_batch,
        ),
    )
