"""Promises of every store about lists: pages of jobs and of batches, their conditions, names and labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from jobgate.model.attempt import Exit
from jobgate.model.events import Cancel, Collected, Exited, Started
from jobgate.model.ids import BatchId, EnvironmentName, JobId
from jobgate.model.job import Batch, Job, Place
from jobgate.model.state import Failure, JobState, Limit
from jobgate.testing.store_lab import EVERY, HERE, PLAIN, START, Lab, Promise, claim, life, members, promise

THERE: Final = EnvironmentName("there")
BOUND: Final = replace(PLAIN, place=Place(environment=THERE))


@promise
async def pages_neither_miss_nor_repeat_while_jobs_come_and_go(lab: Lab) -> None:
    """What was there when the first page was asked for, and still is, comes once, newest first."""
    there = [job for n in (3, 1, 4, 1, 5) for job in members(await lab.submit(n))]
    gone = members(await lab.submit(2))
    for job in gone:
        await lab.tell(job, Cancel())
    for limit in (1, 3, 7, 100):
        seen: list[JobId] = []
        after: JobId | None = None
        while True:
            page, after = await lab.leaf(limit=limit, after=after)
            assert len(page) <= limit
            seen += page
            fresh = await lab.submit(2)
            await lab.forget(gone[-1:])
            if after is None:
                break
            assert after == page[-1]
            await lab.tell(JobId(fresh.id), Cancel())
            await lab.forget([JobId(fresh.id)])
        assert [job for job in seen if job in there] == there[::-1]
        assert seen == sorted(set(seen), reverse=True)


@promise
async def a_full_page_says_where_to_go_on_and_the_last_one_that_there_is_no_more(lab: Lab) -> None:
    """A page that holds exactly what there is is the last."""
    jobs = members(await lab.submit(4))[::-1]
    assert await lab.leaf(limit=3) == (jobs[:3], jobs[2])
    assert await lab.leaf(limit=4) == (jobs, None)
    assert await lab.leaf(limit=2, after=jobs[1]) == (jobs[2:], None)
    assert await lab.leaf(limit=2, after=jobs[3]) == ([], None)


class _Kept(msgspec.Struct, frozen=True):
    job: Job
    batch: Batch
    environment: str


Check = Callable[[_Kept], bool]
_CONDITIONS: Final[tuple[tuple[dict[str, Any], Check], ...]] = (
    ({}, lambda kept: kept.job.id > 0),
    ({"states": frozenset({JobState.QUEUED, JobState.HELD})}, lambda kept: kept.job.state in ("queued", "held")),
    ({"states": frozenset({JobState.FAILED})}, lambda kept: kept.job.state == "failed"),
    ({"states": frozenset({JobState.FAILED, JobState.HELD})}, lambda kept: kept.job.state in ("failed", "held")),
    ({"states": frozenset({JobState.FAILED, JobState.RUNNING})}, lambda kept: kept.job.state in ("failed", "running")),
    ({"states": frozenset({JobState.RUNNING, JobState.CANCELLING})}, lambda kept: kept.job.state == "running"),
    ({"timed_out": True}, lambda kept: kept.job.state != "failed" or kept.job.limit is Limit.WALLTIME),
    ({"timed_out": False}, lambda kept: kept.job.limit is not Limit.WALLTIME),
    ({"labels": (("colour", "red"),)}, lambda kept: kept.batch.labels.get("colour") == "red"),
    ({"labels": (("colour", ""),)}, lambda kept: kept.batch.labels.get("colour") == ""),
    ({"labels": (("colour", ""), ("b", "red"))}, lambda kept: kept.batch.labels.get("b") == "red"),
    ({"labels": (("colour", "red"), ("b", "red"))}, lambda kept: kept.job.id < 0),
    ({"app": "sum"}, lambda kept: kept.batch.app == "sum"),
    ({"app": ""}, lambda kept: not kept.batch.app),
    ({"app": "%"}, lambda kept: kept.batch.app == "%"),
    ({"name": "n"}, lambda kept: kept.batch.name == "n"),
    ({"environment": HERE}, lambda kept: kept.environment == HERE),
    ({"environment": THERE}, lambda kept: kept.environment == THERE),
    ({"since": START + 3.0}, lambda kept: kept.job.created >= START + 3.0),
    ({"before": START + 3.0}, lambda kept: kept.job.created < START + 3.0),
)


async def _mixture(lab: Lab) -> list[_Kept]:
    """Jobs of several batches, in several states; the other account has the same."""
    batches = []
    for owner in (lab.owner, lab.other):
        lab.now = START
        for labels, app in itertools.product(({}, {"colour": "red"}, {"colour": "", "b": "red"}), ("", "sum")):
            plain = app == "" and not labels
            named, spec = "n" if app and labels else "", BOUND if app else PLAIN
            batch = await lab.submit(5, owner=owner, labels=labels, app=app, held=plain, name=named, spec=spec)
            jobs = members(batch)
            now = lab.now
            if not plain:
                killed = Exited(1, now, Exit(143), failure=Failure.LIMIT, limit=Limit.WALLTIME)
                await lab.tell(jobs[0], *life(lab))
                await lab.tell(jobs[1], *life(lab, code=1))
                await lab.tell(jobs[2], claim(lab), Started(1, now), killed, Collected(1))
                await lab.tell(jobs[3], claim(lab), Started(1, now))
            lab.now = now
            batches.append(batch)
    mine = [batch for batch in batches if batch.owner == lab.owner]
    kept = []
    for batch in mine:
        for job in members(batch):
            row, attempts = await lab.row(job)
            kept.append(_Kept(row, batch, HERE if attempts else THERE if batch.app else ""))
    return sorted(kept, key=lambda one: one.job.id, reverse=True)


@promise
async def a_list_holds_exactly_the_accounts_own_jobs_that_meet_all_conditions(lab: Lab) -> None:
    """By state, label, app, name, environment, batch and time, each alone and two together, in pages of any size."""
    rows = await _mixture(lab)
    batch = rows[7].batch
    conditions = (*_CONDITIONS, ({"batch": batch.id}, lambda kept: kept.batch.id == batch.id))
    found_any = 0
    for (first, is_first), (second, is_second) in itertools.combinations_with_replacement(conditions, 2):
        if set(first) & set(second) and first != second:
            continue
        both = {**first, **second}
        expected = [kept.job.id for kept in rows if is_first(kept) and is_second(kept)]
        found_any += bool(expected)
        assert await lab.page(**both) == expected, both
        assert await _paged(lab, **both, limit=2) == expected, both
        if "batch" in both:
            assert await _paged(lab, **both, limit=2, ascending=True) == expected[::-1], both
    assert found_any > 60


async def _paged(lab: Lab, **asked: Any) -> list[JobId]:
    found: list[JobId] = []
    after: JobId | None = None
    while True:
        page, after = await lab.leaf(**asked, after=after)
        assert len(page) <= asked["limit"]
        found += page
        if after is None:
            return found


@promise
async def a_list_that_looks_at_few_jobs_for_one_page_holds_the_same_in_more_pages(lab: Lab) -> None:
    """A page may be short, or empty; the next goes on after what was looked at."""
    rows = await _mixture(lab)
    batch = rows[7].batch
    for asked, meets in (*_CONDITIONS, ({"batch": batch.id}, lambda kept: kept.batch.id == batch.id)):
        expected = [kept.job.id for kept in rows if meets(kept)]
        for looks in (1, 2, 7):
            assert await _paged(lab, **asked, limit=3, looks=looks) == expected, (asked, looks)
            if "batch" in asked:
                backward = await _paged(lab, **asked, limit=3, looks=looks, ascending=True)
                assert backward == expected[::-1], (asked, looks)


@promise
async def a_page_of_few_among_many_is_found_without_looking_at_all(lab: Lab) -> None:
    """Held, failed, cancelled and live jobs have an index: one page, though few are looked at."""
    jobs = members(await lab.submit(300))
    held = members(await lab.submit(1, held=True))
    await lab.submit(300)
    await lab.tell(jobs[0], *life(lab, code=1))
    await lab.tell(jobs[1], Cancel())
    await lab.tell(jobs[2], claim(lab), Started(1, lab.now))
    rare = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.HELD})
    assert await lab.leaf(states=rare, looks=20) == ([held[0], jobs[1], jobs[0]], None)
    assert await lab.leaf(states=frozenset({JobState.RUNNING}), looks=20) == ([jobs[2]], None)
    page, after = await lab.leaf(states=frozenset({JobState.SUCCEEDED}), looks=20)
    assert page == []
    assert after is not None
    assert after > jobs[-1]


# --- batches

_BATCHES: Final[tuple[tuple[dict[str, Any], Callable[[Batch], bool]], ...]] = (
    ({}, lambda batch: batch.id > 0),
    ({"labels": (("colour", "red"),)}, lambda batch: batch.labels.get("colour") == "red"),
    ({"labels": (("colour", ""), ("b", "red"))}, lambda batch: batch.labels.get("b") == "red"),
    ({"app": "sum"}, lambda batch: batch.app == "sum"),
    ({"name": "n"}, lambda batch: batch.name == "n"),
    ({"name": "m"}, lambda batch: batch.id < 0),
    ({"since": START + 3.0}, lambda batch: batch.created >= START + 3.0),
    ({"before": START + 3.0}, lambda batch: batch.created < START + 3.0),
)


@promise
async def a_list_of_batches_holds_the_accounts_own_that_meet_all_conditions_newest_first(lab: Lab) -> None:
    """And goes on after any of them."""
    kept = {one.batch.id: one.batch for one in await _mixture(lab)}
    batches = sorted(kept.values(), key=lambda batch: batch.id, reverse=True)
    for (first, is_first), (second, is_second) in itertools.combinations_with_replacement(_BATCHES, 2):
        if set(first) & set(second) and first != second:
            continue
        both = {**first, **second}
        expected = [batch for batch in batches if is_first(batch) and is_second(batch)]
        assert await lab.batches(**both, limit=2) == expected, both
        for batch in batches:
            rest = [one for one in expected if one.id < batch.id]
            assert await lab.batches(**both, limit=1, after=batch.id) == rest, both


@promise
async def a_batch_is_found_by_the_name_and_labels_it_has_now(lab: Lab) -> None:
    """One label changes, one goes, one comes; what it was called before finds it no more."""
    batch = await lab.submit(2, name="old", labels={"a": "1", "b": "2", "c": "3"})
    beside = await lab.submit(2, name="old", labels={"a": "1"})
    fresh = await lab.store.write(lambda tx: tx.jobs.rename(batch, "new", {"a": "9", "b": None, "d": "4", "e": None}))
    await lab.reopen()
    kept = await lab.batch(batch.id)
    assert kept == fresh == replace(batch, name="new", labels={"a": "9", "c": "3", "d": "4"}, renamed=1)
    assert await lab.batches(name="old") == await lab.batches(labels=(("a", "1"),)) == [beside]
    assert await lab.batches(name="new") == await lab.batches(labels=(("d", "4"), ("a", "9"), ("c", "3"))) == [kept]
    assert await lab.batches(labels=(("b", "2"),)) == []
    assert await lab.page(name="new") == await lab.page(labels=(("c", "3"),)) == members(batch)[::-1]
    assert await lab.store.write(lambda tx: tx.jobs.rename(kept, "new", {"a": "9", "b": None})) == kept
    for job in members(batch):
        await lab.tell(job, Cancel())
    await lab.forget(members(batch))
    assert await lab.batches(limit=EVERY) == [beside]
    assert await lab.batches(labels=(("d", "4"),)) == []


@promise
async def lists_of_batches_are_read_in_pieces_without_a_gap(lab: Lab) -> None:
    """More of them than one piece holds."""
    made: list[BatchId] = []

    for _ in range(3):
        made += await lab.store.write(lambda tx: [lab.make(tx, 1).id for _ in range(250)])
    assert [batch.id for batch in await lab.batches(limit=100)] == made[::-1]
    assert [batch.id for batch in await lab.batches(limit=EVERY)] == made[::-1]


SUITE: Final[tuple[Promise, ...]] = (
    pages_neither_miss_nor_repeat_while_jobs_come_and_go,
    a_full_page_says_where_to_go_on_and_the_last_one_that_there_is_no_more,
    a_list_holds_exactly_the_accounts_own_jobs_that_meet_all_conditions,
    a_list_that_looks_at_few_jobs_for_one_page_holds_the_same_in_more_pages,
    a_page_of_few_among_many_is_found_without_looking_at_all,
    a_list_of_batches_holds_the_accounts_own_that_meet_all_conditions_newest_first,
    a_batch_is_found_by_the_name_and_labels_it_has_now,
    lists_of_batches_are_read_in_pieces_without_a_gap,
)
"""Every promise of this file."""
