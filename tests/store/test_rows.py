"""Rows that a version before wrote are read as those of today."""

from __future__ import annotations

import msgspec
import pytest

from jobgate.model.facts import Attempts
from jobgate.model.job import Job
from jobgate.model.state import JobState
from jobgate.store import rows
from jobgate.store.tables import STATE_NUMBERS
from jobgate.testing.outcomes import attempt, job


def read(one: Job, doc: bytes) -> tuple[Job, Attempts]:
    state = STATE_NUMBERS[one.state]
    return rows.job_of(
        (one.id, one.batch, one.owner, one.spec, state, one.priority, one.created, one.ready, one.version, doc)
    )


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED, JobState.QUEUED])
def test_an_attempt_written_without_its_batch_is_read_with_it(state: JobState) -> None:
    one = job(state)
    attempts = () if state is JobState.QUEUED else (attempt(one),)
    whole = rows.document(one, attempts)
    assert read(one, whole) == (one, attempts)
    old = msgspec.msgpack.decode(whole)
    for each in old[1]:
        del each["id"]["batch"]
    assert read(one, msgspec.msgpack.encode(old)) == (one, attempts)


def test_a_document_that_is_wrong_otherwise_is_not_read() -> None:
    one = job(JobState.RUNNING)
    old = msgspec.msgpack.decode(rows.document(one, (attempt(one),)))
    del old[1][0]["state"]
    with pytest.raises(msgspec.ValidationError):
        read(one, msgspec.msgpack.encode(old))
