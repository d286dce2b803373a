"""Row to model and back, here and nowhere else."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from jobgate.model.account import Account, Credential, Deed
from jobgate.model.attempt import Attempt
from jobgate.model.facts import Attempts, Fact, FactData, Submitted
from jobgate.model.history import Past
from jobgate.model.ids import AccountId, BatchId, JobId, SpecId
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.state import JobState
from jobgate.model.webhook import Delivery, Webhook
from jobgate.store.tables import STATES


class Document(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a job's row holds beside its columns."""

    job: Job
    attempts: tuple[Attempt, ...]


_encoder: Final = msgspec.msgpack.Encoder()
_document: Final = msgspec.msgpack.Decoder(Document)
_fact: Final[msgspec.msgpack.Decoder[FactData]] = msgspec.msgpack.Decoder(FactData)
_spec: Final = msgspec.msgpack.Decoder(JobSpec)
_batch: Final = msgspec.msgpack.Decoder(Batch)
_account: Final = msgspec.msgpack.Decoder(Account)
_credential: Final = msgspec.msgpack.Decoder(Credential)
_past: Final = msgspec.msgpack.Decoder(Past)
_deed: Final = msgspec.msgpack.Decoder(Deed)
_webhook: Final = msgspec.msgpack.Decoder(Webhook)
_delivery: Final = msgspec.msgpack.Decoder(Delivery)

encode = _encoder.encode


def document(job: Job, attempts: Attempts) -> bytes:
    """The `doc` column of a job."""
    return _encoder.encode(Document(job, attempts))


def job_of(row: tuple[Any, ...]) -> tuple[Job, Attempts]:
    """The job and its attempts, from the columns of `statements._JOB`."""
    ident, batch, owner, spec, state, priority, created, ready, version, doc = row
    if doc is not None:
        try:
            read = _document.decode(doc)
        except msgspec.ValidationError:
            read = _older(doc, batch)
        if read.job.owner != owner:  # its account was merged into another
            return msgspec.structs.replace(read.job, owner=AccountId(owner)), read.attempts
        return read.job, read.attempts
    job = Job(
        id=JobId(ident),
        batch=BatchId(batch),
        owner=AccountId(owner),
        spec=SpecId(spec),
        state=STATES[state],
        created=created,
        priority=priority,
        version=version,
        wanted=1,
        ready=ready,
    )
    return job, ()


def _older(doc: bytes, batch: int) -> Document:
    """A document written when the ids of attempts did not name the batch."""
    job, attempts = msgspec.msgpack.decode(doc)
    for attempt in attempts:
        attempt["id"].setdefault("batch", batch)
    return msgspec.convert([job, attempts], Document)


def fact_of(job: int, seq: int, at: float, data: bytes) -> Fact:
    """One entry of the event log."""
    return Fact(JobId(job), seq, at, _fact.decode(data))


def spec_of(doc: bytes) -> JobSpec:
    """A spec, from its row."""
    return _spec.decode(doc)


def batch_of(doc: bytes, number: int, first: int) -> Batch:
    """A batch, from its row. Its numbers are what the columns say: a document may be older than they are."""
    batch = _batch.decode(doc)
    msgspec.structs.force_setattr(batch, "number", number)  # nobody has seen it yet
    msgspec.structs.force_setattr(batch, "first", first)
    return batch


def past_of(doc: bytes) -> Past:
    """Past runs, from their row."""
    return _past.decode(doc)


def deed_of(doc: bytes) -> Deed:
    """An entry of the audit trail, from its row."""
    return _deed.decode(doc)


def given(data: bytes, gone: AccountId, heir: AccountId) -> bytes | None:
    """A job's first fact with the heir as its owner; None when it is no job of `gone`."""
    first = _fact.decode(data)
    if not isinstance(first, Submitted) or first.owner != gone:
        return None
    return _encoder.encode(msgspec.structs.replace(first, owner=heir))


def account_of(doc: bytes) -> Account:
    """An account, from its row."""
    return _account.decode(doc)


def credential_of(doc: bytes) -> Credential:
    """A credential, from its row."""
    return _credential.decode(doc)


def webhook_of(owner: int, doc: bytes) -> Webhook:
    """A webhook, from its row."""
    read = _webhook.decode(doc)
    return read if read.owner == owner else msgspec.structs.replace(read, owner=AccountId(owner))


def delivery_of(doc: bytes) -> Delivery:
    """A delivery, from its row."""
    return _delivery.decode(doc)


class Stand(msgspec.Struct, frozen=True, gc=False):
    """Where a job stands, and no more."""

    job: JobId
    state: JobState
    spec: SpecId


def stand_of(job: int, state: int, spec: int) -> Stand:
    """From a row."""
    return Stand(JobId(job), STATES[state], SpecId(spec))
