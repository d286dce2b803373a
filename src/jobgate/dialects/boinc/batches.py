"""The calls about batches [BOINC, sections 7.2 to 7.7 and 7.10 to 7.13]."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from jobgate.dialects.boinc import states
from jobgate.dialects.boinc.jobs import NAME, Document, Words, estimate, submission, title
from jobgate.dialects.boinc.rpc import DONE, Rpc, named, of_batch
from jobgate.dialects.boinc.templates import wrong
from jobgate.dialects.boinc.xml import Element, tag
from jobgate.dialects.dialect import Ask, Call, Stream
from jobgate.model.credit import Ledger
from jobgate.model.errors import NotFound, Unrunnable
from jobgate.model.ids import place
from jobgate.model.job import Origin
from jobgate.model.numbers import of_attempt, of_job
from jobgate.model.operations import Called, Cancel, FindBatches, Known, Members, Operation, Renew, Retire, Submit
from jobgate.model.outcomes import Counted, Estimated, FoundBatches, JobView, Outcome, Portion, Streamed, Submitted
from jobgate.model.selectors import BatchCalled, BatchesWhere, Of
from jobgate.model.state import JobState

BATCH: Final = "batch"
_FAILED: Final = (JobState.FAILED, JobState.CANCELLED, JobState.CANCELLING)
"""A job that is told to stop has failed, as its error mask says at once [BOINC, section 7.10]."""
_EMPTY: Final = Element("")


def _made(words: Words, root: Element, outcome: Outcome) -> str:
    del words, root
    assert isinstance(outcome, Submitted)  # noqa: S101  # the answer to a Submit
    return tag("batch_id", outcome.batch.number)


def _create(words: Words, root: Element, call: Call) -> Ask:
    """The three may stand inside a `batch` too, as clients before 2018 wrote them."""
    inner = root.get(BATCH) or _EMPTY

    def said(name: str) -> str:
        return root.word(name) or inner.word(name)

    app = words.open(said("app_name"))
    expires = root.real("expire_time") or inner.real("expire_time")
    return Ask(
        operation=Submit(
            groups=(),
            origin=Origin(dialect=NAME, document=msgspec.json.encode(Document(expire_time=expires))),
            name=title(said("batch_name"), app.name, call.now),
            app=app.name,
            expires=expires or None,
            empty=True,
        )
    )


def _submit(words: Words, root: Element, call: Call) -> Ask:
    number, made = submission(words, root.get(BATCH) or _EMPTY, call.now)
    if not number:
        return Ask(operation=made(None))

    def into(known: Known) -> Operation:
        (batch,) = known.batches
        if batch is None:
            raise NotFound(f"no batch {number}", code="batch-not-found")
        whole = made(batch.id)
        if batch.app and batch.app != whole.app:
            raise wrong(f"batch {number} is of the application {batch.app}")
        return whole

    return Ask(operation=Called(batches=(BatchCalled(number=number),), then=into))


def _estimate(words: Words, root: Element, call: Call) -> Ask:
    del call
    return Ask(operation=estimate(words, root.get(BATCH) or _EMPTY))


def _estimated(words: Words, root: Element, outcome: Outcome) -> str:
    del words, root
    assert isinstance(outcome, Estimated)  # noqa: S101  # the answer to an Estimate
    if outcome.seconds is None:
        raise Unrunnable("no rsc_fpops_est given for job", code="no-estimate")
    return tag("seconds", float(outcome.seconds))


# --- looking


def fields(stands: Counted, *, cpu: bool) -> str:
    """What is told of a batch, in the contract's order."""
    batch, state = stands.batch, states.of_batch(stands)
    ledger = stands.ledger or Ledger()
    failed = sum(stands.counts.get(state, 0) for state in _FAILED)
    live = sum(number for state, number in stands.counts.items() if not state.over and state not in _FAILED)
    over = state in (states.COMPLETE, states.ABORTED) or (state == states.RETIRED and not live)
    ended = (batch.cancelled or stands.ended or batch.retired or 0.0) if over else 0.0
    told = (
        tag("id", batch.number)
        + tag("create_time", batch.created)
        + tag("expire_time", batch.expires or 0.0)
        + tag("est_completion_time", ended or stands.est_end or 0.0)
        + tag("njobs", batch.count)
        + tag("fraction_done", (batch.count - live) / batch.count if batch.count else 0.0)
        + tag("nerror_jobs", failed)
        + tag("state", state)
        + tag("completion_time", ended)
        + tag("credit_estimate", ledger.estimate)
        + tag("credit_canonical", ledger.canonical)
        + tag("credit_total", ledger.total)
        + tag("name", batch.name)
        + tag("app_name", batch.app)
    )
    return told + tag("total_cpu_time", ledger.cpu_seconds) if cpu else told


def _list(words: Words, root: Element, call: Call) -> Ask:
    del root, call
    most = words.own.batches
    return Ask(operation=FindBatches(where=BatchesWhere(limit=most, looks=2 * most), ledger=True))


def _listed(words: Words, root: Element, outcome: Outcome) -> str:
    del words
    assert isinstance(outcome, FoundBatches)  # noqa: S101  # the answer to a FindBatches
    cpu = bool(root.integer("get_cpu_time"))
    seen = [one for one in reversed(outcome.batches) if one.batch.number]
    return "".join(f"<batch>\n{fields(one, cpu=cpu)}</batch>\n" for one in seen)


def _look(words: Words, root: Element, call: Call) -> Ask:
    del words, call
    return Ask(operation=of_batch(root, lambda batch: Members(batches=(batch.id,))))


def _looked(words: Words, root: Element, outcome: Outcome) -> Stream:
    """A stream; the empty `jobs` at its end is what the C++ client takes for success."""
    del words
    assert isinstance(outcome, Streamed)  # noqa: S101  # the answer to Members
    flags = bool(root.integer("get_cpu_time")), bool(root.integer("get_job_details"))
    return Stream(outcome.portions, partial(_portion, flags), tail=b"<jobs></jobs>\n")


def _portion(flags: tuple[bool, bool], portion: Portion) -> bytes:
    cpu, details = flags
    head = fields(portion.batch, cpu=cpu) if portion.begins else ""
    return (head + "".join(job(view, details=details) for view in portion.jobs)).encode()


def numbers(view: JobView) -> tuple[int, int]:
    """A job's number, and that of its canonical instance, or 0."""
    number = of_job(view.batch.first, place(view.batch.id, view.job.id))
    chosen = view.job.canonical if view.job.state is JobState.SUCCEEDED else None
    return number, of_attempt(number, chosen) if chosen else 0


def job(view: JobView, *, details: bool) -> str:
    """What query_batch tells of one job."""
    number, canonical = numbers(view)
    told = (
        tag("id", number)
        + tag("name", view.called)
        + tag("canonical_instance_id", canonical)
        + tag("n_outfiles", len(view.spec.outputs))
    )
    if details:
        word = states.detail(view)
        told += "".join(tag("error", one) for one in states.errors(view)[1])
        if word == "error":
            told += "".join(tag("exit_status", code) for code in states.exits(view.attempts))
        if canonical and view.job.canonical:
            told += tag("cpu_time", float(view.attempts[view.job.canonical - 1].usage.cpu_seconds))
        told += tag("status", word)
    return f"<job>\n{told}</job>\n"


def _poll(words: Words, root: Element, call: Call) -> Ask:
    del call
    names = named(root, "batch_name", words.own.batches)
    since = root.real("min_mod_time")

    def meant(known: Known) -> Operation:
        for name, batch in zip(names, known.batches, strict=True):
            if batch is None:
                raise NotFound(f"no batch named {name}", code="batch-not-found")
        return Members(batches=tuple(batch.id for batch in known.batches if batch is not None), since=since or None)

    return Ask(operation=Called(batches=tuple(BatchCalled(name=name) for name in names), then=meant))


def _polled(words: Words, root: Element, outcome: Outcome) -> Stream:
    """Of each batch how many jobs follow, and then they do: a wrong number would crash the client."""
    del words, root
    assert isinstance(outcome, Streamed)  # noqa: S101  # the answer to Members
    return Stream(outcome.portions, _poll_portion, head=tag("server_time", outcome.at).encode())


def _poll_portion(portion: Portion) -> bytes:
    head = tag("batch_size", portion.total) if portion.begins else ""
    jobs = (
        f"<job>\n{tag('job_name', view.called)}{tag('status', states.polled(view))}</job>\n" for view in portion.jobs
    )
    return (head + "".join(jobs)).encode()


# --- changing


def _done(words: Words, root: Element, outcome: Outcome) -> str:
    del words, root, outcome
    return DONE


def _abort(words: Words, root: Element, call: Call) -> Ask:
    del words, call
    return Ask(operation=of_batch(root, lambda batch: Cancel(selector=Of(batch.id), message="aborted by its owner")))


def _retire(words: Words, root: Element, call: Call) -> Ask:
    del words, call
    return Ask(operation=of_batch(root, lambda batch: Retire(batch=batch.id)))


def _expire(words: Words, root: Element, call: Call) -> Ask:
    del words, call
    until = root.real("expire_time")
    return Ask(operation=of_batch(root, lambda batch: Renew(batch=batch.id, expires=until if until > 0 else None)))


RPCS: Final = (
    Rpc(name="create_batch", ask=_create, tell=_made, submits=True),
    Rpc(name="submit_batch", ask=_submit, tell=_made, large=True, submits=True),
    Rpc(name="estimate_batch", ask=_estimate, tell=_estimated, large=True, submits=True, legacy="estimate"),
    Rpc(name="query_batches", ask=_list, tell=_listed, legacy="batches"),
    Rpc(name="query_batch", ask=_look, tell=_looked, legacy="batch"),
    Rpc(name="query_batch2", ask=_poll, tell=_polled, large=True),
    Rpc(name="abort_batch", ask=_abort, tell=_done),
    Rpc(name="retire_batch", ask=_retire, tell=_done),
    Rpc(name="set_expire_time", ask=_expire, tell=_done),
)
