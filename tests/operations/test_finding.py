"""Batches as lists, their failures, their names; versions that must be as they were seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from workbench import MANY, Bench, ids, names, run

from jobgate.model.attempt import LOG, Exit
from jobgate.model.errors import Conflict, Invalid, NotFound
from jobgate.model.events import Broke, Collected, Exited, Started
from jobgate.model.events import Cancel as CancelEvent
from jobgate.model.files import Artifact
from jobgate.model.ids import BatchId, Digest, JobId
from jobgate.model.job import LABELS, Batch
from jobgate.model.operations import Cancel, Change, Count, Delete, Find, FindBatches
from jobgate.model.outcomes import Counted, FoundBatches
from jobgate.model.selectors import BatchesWhere, Ids, Of, Where
from jobgate.model.state import Failure, JobState
from jobgate.operations.failures import SHOWN
from jobgate.testing.store_lab import HERE, claim

# --- batches


async def pages(bench: Bench, **asked: Any) -> list[Batch]:
    found: list[Batch] = []
    after: BatchId | None = None
    while True:
        page = await bench.ask(FindBatches(where=BatchesWhere(**asked, after=after)))
        assert isinstance(page, FoundBatches)
        found += [replace(one.batch, cancelled=None) for one in page.batches]
        after = page.more
        if after is None:
            return found


def test_batches_are_found_by_where_they_stand_in_pages_of_bounded_work(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        queued, held = await bench.batch(2), await bench.batch(2, held=True)
        over, failed = await bench.over(2), await bench.batch(2)
        await bench.batch(1, owner=bench.lab.other)
        await bench.lab.tell(ids(failed)[0], claim(bench.lab), Broke(1, Failure.PROGRAM))
        running = await bench.batch(2)
        await bench.lab.tell(ids(running)[1], claim(bench.lab), Started(1, bench.lab.now))
        ways = {
            JobState.QUEUED: [queued],
            JobState.HELD: [held],
            JobState.CANCELLED: [over],
            JobState.RUNNING: [running],
            JobState.SUCCEEDED: [],
        }
        await bench.ask(Cancel(selector=Of(failed.id)))
        for looks in (1, 2, 100):
            assert await pages(bench, limit=1, looks=looks) == [running, failed, over, held, queued]
            assert await pages(bench, limit=2, looks=looks, states=frozenset({JobState.FAILED})) == [failed]
            for state, batches in ways.items():
                assert await pages(bench, limit=2, looks=looks, states=frozenset({state})) == batches, state

    run(tmp_path, body)


def test_a_batch_says_where_its_first_jobs_ran(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(2)
        assert (await bench.ask(Count(batch.id))).environments == ()
        await bench.lab.tell(ids(batch)[1], claim(bench.lab))
        assert (await bench.ask(Count(batch.id))).environments == (HERE,)

    run(tmp_path, body)


def test_the_jobs_of_a_batch_that_is_not_theirs_are_not_found_where_it_is_needed(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(2, owner=bench.lab.other)
        assert (await bench.ask(Find(selector=Where(batch=batch.id)))).jobs == ()
        for unknown in (batch.id, BatchId(1)):
            with pytest.raises(NotFound):
                await bench.ask(Find(selector=Where(batch=unknown, needs_batch=True)))

    run(tmp_path, body)


# --- failures


class Blobs:
    def __init__(self, content: bytes) -> None:
        self.content = content

    async def open(self, digest: Digest, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        del length
        if digest != "a" * 64:
            raise NotFound
        yield self.content[offset:]


def _log(content: bytes | None, digest: str = "a" * 64) -> dict[str, Artifact]:
    size = 5000 if content is None else len(content)
    return {LOG: Artifact(LOG, Digest(digest), size, inline=content)}


async def fails(bench: Bench, job: JobId, code: int, logs: dict[str, Artifact], message: str = "") -> None:
    end = (Exited(1, 2.0, Exit(code), message=message), Collected(1, logs=logs))
    await bench.lab.tell(job, claim(bench.lab), Started(1, 1.0), *end)


def test_failures_that_are_equal_are_counted_together_and_the_first_says_its_last_line(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(9)
        jobs = ids(batch)
        bench.context = replace(bench.context, blobs=Blobs(b"x" * 4990 + b"\nlast one\n"))
        await fails(bench, jobs[0], 2, _log(None))
        for job in jobs[1:4]:
            await fails(bench, job, 1, _log(b"first\n\xff end \r\n\n  \n"))
        await fails(bench, jobs[4], 2, _log(b""), "told")
        await fails(bench, jobs[5], 3, _log(None, "b" * 64))
        await bench.lab.tell(jobs[6], claim(bench.lab), Broke(1, Failure.IMAGE, "no such image"))
        await bench.lab.tell(jobs[7], CancelEvent())
        found = await bench.ask(Count(batch.id, failures=True))
        assert isinstance(found, Counted)
        assert found.failures is not None
        told = [
            (way.failure, way.exit_code, way.message, way.count, way.such_as, way.last_line) for way in found.failures
        ]
        who = names(batch)
        assert told == [
            (Failure.PROGRAM, 1, "", 3, who[1], "\ufffd end"),
            (Failure.PROGRAM, 2, "", 1, who[0], "last one"),
            (Failure.PROGRAM, 2, "told", 1, who[4], None),
            (Failure.PROGRAM, 3, "", 1, who[5], None),
            (Failure.IMAGE, None, "no such image", 1, who[6], None),
        ]
        assert (await bench.ask(Count(batch.id))).failures is None
        with pytest.raises(NotFound):
            await bench.ask(Count(batch.id, failures=True), bench.lab.other)

    run(tmp_path, body)


def test_of_very_many_ways_to_fail_the_most_frequent_are_told(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(SHOWN * 2 + 10)
        jobs = ids(batch)
        pairs = [
            (job, (claim(bench.lab), Broke(1, Failure.IMAGE, f"{max(place, 9)}"))) for place, job in enumerate(jobs)
        ]
        await bench.lab.advance(pairs)
        found = (await bench.ask(Count(batch.id, failures=True))).failures
        assert len(found) == SHOWN
        assert (found[0].count, found[0].message, found[1].count) == (10, "9", 1)

    run(tmp_path, body)


# --- names and versions


def test_a_batch_gets_another_name_and_labels_at_once_however_large_it_is(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(MANY, labels={"a": "1", "b": "2"})
        change = Change(selector=Of(batch.id), name="n", labels={"a": None, "c": "3"}, show=True)
        before = (await bench.ask(Count(batch.id))).version
        changed = await bench.ask(change)
        assert (changed.shown.batch.name, changed.shown.batch.labels) == ("n", {"b": "2", "c": "3"})
        assert changed.shown.version > before
        assert await bench.commits(bench.ask(change)) == 1
        assert await pages(bench, labels=(("c", "3"),)) == await pages(bench, name="n") == [changed.shown.batch]

    run(tmp_path, body)


def test_a_lone_job_stands_for_its_batch_and_one_of_several_does_not(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        lone, many = await bench.over(1), await bench.batch(2)
        change = Change(selector=Ids(names(lone)), labels={"a": "1"}, show=True)
        changed = await bench.ask(change)
        assert changed.shown.batch.labels == {"a": "1"}
        with pytest.raises(Invalid) as caught:
            await bench.ask(Change(selector=Ids(names(many)[:1]), labels={"a": "1"}, priority=7))
        assert (caught.value.code, caught.value.field) == ("of-batch", "labels")
        assert (await bench.lab.row(ids(many)[0]))[0].priority == 0
        assert await pages(bench, labels=(("a", "1"),)) == [replace(changed.shown.batch, cancelled=None)]

    run(tmp_path, body)


@pytest.mark.parametrize("priority", [None, 7])
def test_labels_grow_to_a_bound_and_no_change_goes_beyond_it(tmp_path: Path, priority: int | None) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(2, labels={"a": "x" * (LABELS - 1)})
        with pytest.raises(Invalid) as caught:
            await bench.ask(Change(selector=Of(batch.id), labels={"b": "1"}, name="n", priority=priority))
        assert (caught.value.code, caught.value.field) == ("too-long", "labels")
        kept = (await bench.ask(Count(batch.id))).batch
        assert (kept.name, kept.labels) == (batch.name, batch.labels)
        assert (await bench.lab.row(ids(batch)[0]))[0].priority == 0
        changed = await bench.ask(Change(selector=Of(batch.id), labels={"a": None, "b": "1"}, show=True))
        assert changed.shown.batch.labels == {"b": "1"}

    run(tmp_path, body)


def test_name_priority_and_hold_change_together(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(MANY)
        changed = await bench.ask(Change(selector=Of(batch.id), name="n", priority=3, hold=True, show=True))
        assert changed.states == changed.shown.counts == {JobState.HELD: MANY}
        assert changed.shown.batch.name == "n"
        assert (await bench.lab.row(ids(batch)[-1]))[0].priority == 3

    run(tmp_path, body)


@pytest.mark.parametrize("of_batch", [False, True])
def test_what_is_not_as_it_was_seen_is_left_as_it_is(tmp_path: Path, *, of_batch: bool) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(2 if of_batch else 1)
        selector: Any = Of(batch.id) if of_batch else Ids(names(batch))
        version = (await bench.ask(Change(selector=selector, show=True))).shown.version
        changes: list[Any] = [
            Change(selector=selector, name="n", seen=(version + 1,)),
            Change(selector=selector, priority=2, seen=(version + 1,)),
            Cancel(selector=selector, seen=(version + 1,)),
            Delete(selector=selector, force=True, seen=(version + 1,)),
            Delete(selector=selector, seen=(version + 1,)),
        ]
        for change in changes:
            with pytest.raises(Conflict) as caught:
                await bench.ask(change)
            assert caught.value.code == "changed"
        assert (await bench.ask(Change(selector=selector, show=True))).shown.version == version
        for change in (replace(changes[0], show=True), replace(changes[1], show=True), replace(changes[2], show=True)):
            after = (await bench.ask(replace(change, seen=(version,)))).shown.version
            assert after > version
            version = after
        await bench.ask(Delete(selector=selector, seen=(version,)))
        assert await bench.counts(batch) == {}

    run(tmp_path, body)
