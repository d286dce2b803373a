"""Following: nothing is missed, nothing is told twice, wherever a reader is cut off; and nobody waits for nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from told import LEASE, SPECS, legal
from workbench import Bench, names, run

from jobgate.model.account import Principal
from jobgate.model.attempt import Exit
from jobgate.model.errors import Gone, NotFound
from jobgate.model.events import Cancel as Stop
from jobgate.model.events import Claim, Collected, Event, Exited, Started
from jobgate.model.ids import JobId
from jobgate.model.operations import Count, Find, Follow, Request, Until
from jobgate.model.outcomes import End, Following, News, Page
from jobgate.model.selectors import Ids
from jobgate.model.state import JobState
from jobgate.model.told import COUNTS, ENDED, Entry, Kind, Told, tell, wanted
from jobgate.operations.handle import handle
from jobgate.store import log as logs
from jobgate.store import ring as rings
from jobgate.testing.store_lab import HERE, members

LIFE: tuple[Event, ...] = (
    Claim(HERE, LEASE, None, straight=True),
    Started(1, 5.0),
    Exited(1, 6.0, Exit(0)),
    Collected(1),
)
EVERY = frozenset(Kind)


async def told(bench: Bench, job: JobId, *events: Event) -> None:
    await bench.lab.store.write(lambda tx: tx.jobs.advance([(job, event) for event in events], bench.lab.tick()))


async def everything(bench: Bench, of: Callable[[Entry], bool], kinds: frozenset[Kind] = EVERY) -> list[Told]:
    """What a follower of those should have been told, made of the whole log at once."""
    head = await bench.lab.store.read(lambda tx: tx.log.head())
    piece = await bench.lab.store.read(lambda tx: tx.log.tail(0, head, lambda *_: True))
    entries = [entry for entry in piece.entries if isinstance(entry, Entry)]
    return [event for entry in entries if of(entry) for event in tell(entry) if wanted(kinds, event)]


async def page(bench: Bench, **asked: Any) -> Page:
    outcome = await bench.ask(Follow(**{"kinds": EVERY, "limit": 1000, **asked}))
    assert isinstance(outcome, Page)
    return outcome


async def pages(bench: Bench, **asked: Any) -> list[Told]:
    """Page after page until there is no more."""
    found, after = list[Told](), asked.pop("after", None)
    while True:
        one = await page(bench, after=after, **asked)
        found += one.events
        after = one.cursor
        if not one.more:
            return found


class Stream:
    """One who follows, and takes piece by piece; sums are put aside."""

    def __init__(self, items: Any) -> None:
        self.items: AsyncGenerator[News | End, None] = items
        self.sums: list[Told] = []
        self.end: End | None = None
        self.news = asyncio.Event()

    async def some(self) -> list[Told]:
        """The next that there is; nothing when all is told and it is over."""
        async for item in self.items:
            if isinstance(item, End):
                self.end = item
                return []
            self.sums += [event for event in item.events if event.event == COUNTS]
            self.news.set()
            if events := [event for event in item.events if event.event != COUNTS]:
                return events
        return []

    async def until(self, shown: Callable[[list[Told]], bool]) -> None:
        """Returns when its sums show that; somebody else takes."""
        while not shown(self.sums):
            self.news.clear()
            await self.news.wait()

    async def take(self, number: int) -> list[Told]:
        """So many events at least."""
        found = list[Told]()
        while len(found) < number and (more := await self.some()):
            found += more
        return found


async def stream(bench: Bench, **asked: Any) -> Stream:
    outcome = await bench.ask(Follow(**{"kinds": EVERY, "live": True, **asked}))
    assert isinstance(outcome, Following)
    assert outcome.items is not None
    return Stream(outcome.items)


def with_bench(body: Callable[[Bench], Awaitable[None]]) -> Callable[[Path], None]:
    """A test over a bench of its own."""

    def test(tmp_path: Path) -> None:
        run(tmp_path, lambda bench: asyncio.wait_for(body(bench), 60))

    test.__name__, test.__doc__ = body.__name__, body.__doc__
    return test


# --- the same for all


@st.composite
def happenings(draw: st.DrawFn) -> tuple[int, list[tuple[int, list[Event]]], int]:
    """How many jobs the batch has, what is told about them and when, and a seed for where readers are cut off."""
    spec = draw(st.sampled_from(SPECS))
    count = draw(st.integers(1, 3))
    pieces: list[tuple[int, list[Event]]] = []
    for job in range(count):
        life = draw(legal(spec))
        cuts = sorted(draw(st.lists(st.integers(0, len(life)), max_size=3)))
        pieces += [(job, life[a:b]) for a, b in zip([0, *cuts], [*cuts, len(life)], strict=True)]
    order = draw(st.permutations(range(len(pieces))))
    by_job: dict[int, list[list[Event]]] = {}
    for job, piece in pieces:
        by_job.setdefault(job, []).append(piece)
    return SPECS.index(spec), [(pieces[i][0], by_job[pieces[i][0]].pop(0)) for i in order], draw(st.integers(0, 999))


@settings(max_examples=40)
@given(story=happenings(), kept=st.sampled_from([1, 4, rings.KEPT]), few=st.booleans())
def test_a_reader_cut_off_anywhere_and_resumed_misses_nothing_and_hears_nothing_twice(
    story: tuple[int, list[tuple[int, list[Event]]], int], kept: int, *, few: bool
) -> None:
    spec, pieces, seed = story
    chance = random.Random(seed)  # noqa: S311  # where a reader is cut off is no secret
    count = max(job for job, _ in pieces) + 1

    async def body(bench: Bench) -> None:
        batch = await bench.batch(count, spec=SPECS[spec])
        first = JobId(batch.id)
        beside = await bench.batch(2)
        name = names(batch)[0]
        scopes: list[tuple[dict[str, Any], Callable[[Entry], bool]]] = [
            ({"batch": batch.id}, lambda entry: entry.batch == batch.id),
            ({"job": name}, lambda entry: entry.fact.job == first),
            ({}, lambda entry: entry.owner == bench.lab.owner),
        ]
        heard: list[list[Told]] = [[] for _ in scopes]
        cursors = [0] * len(scopes)

        async def follows(place: int, *, last: bool = False) -> None:
            """Until it is cut off, or has heard all there is."""
            asked, of = scopes[place]
            due = await everything(bench, of)
            enough = len(due) if last else chance.randint(0, len(due))
            outcome = await bench.ask(Follow(kinds=EVERY, live=True, after=cursors[place], **asked))
            if outcome.items is None:
                assert len(heard[place]) == len(due)
                return
            reader = Stream(outcome.items)
            async with aclosing(reader.items):
                while len(heard[place]) < enough:
                    some = await reader.some()
                    arrives = chance.randint(1, len(some))
                    heard[place] += some[:arrives]
                    cursors[place] = some[arrives - 1].cursor
                    if arrives < len(some) or chance.random() < 0.3:
                        return

        for job, events in pieces:
            ident = members(batch)[job]
            await asyncio.gather(told(bench, ident, *events), *(follows(place) for place in range(3)))
            if chance.random() < 0.3:
                await told(bench, members(beside)[0], Stop())
        for place, (asked, of) in enumerate(scopes):
            due = await everything(bench, of)
            while len(heard[place]) < len(due):
                await follows(place, last=True)
            assert heard[place] == due
            assert await pages(bench, limit=chance.randint(1, 7), **asked) == due
            cursors_ = [event.cursor for event in due]
            assert cursors_ == sorted(set(cursors_))

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rings, "KEPT", kept)
        if not few:
            patch.setattr(logs, "FEW", 0)
            patch.setattr(logs, "STEP", 3)
            patch.setattr(logs, "LEAP", chance.choice([0, 4]))
        run(Path(folder), lambda bench: asyncio.wait_for(body(bench), 120))


# --- streams


@with_bench
async def test_a_stream_ends_after_the_last_event_and_is_not_begun_again(bench: Bench) -> None:
    batch = await bench.batch(2)
    reader = await stream(bench, batch=batch.id)
    taking = asyncio.ensure_future(reader.take(100))
    await asyncio.sleep(0)
    for job in members(batch):
        await told(bench, job, *LIFE)
    heard = await taking
    assert [event.event for event in heard if event.kind is Kind.JOB] == [
        "job.staging_in",
        "job.running",
        "job.staging_out",
        "job.succeeded",
    ] * 2
    assert heard[-1].event == ENDED
    assert heard[-1].counts == ((JobState.SUCCEEDED, 2),)
    assert reader.end is not None
    for after in (heard[-1].cursor, reader.end.cursor):
        again = await bench.ask(Follow(batch=batch.id, live=True, after=after))
        assert again.items is None
    missed = await stream(bench, batch=batch.id, after=heard[-2].cursor)
    assert await missed.take(9) == heard[-1:]
    assert missed.end is not None


@with_bench
async def test_the_end_of_a_batch_is_told_between_two_cursors_of_its_own(bench: Bench) -> None:
    batch = await bench.batch(1)
    await told(bench, JobId(batch.id), Stop())
    *_, last, end = await pages(bench, batch=batch.id)
    assert (last.event, end.event) == ("job.cancelled", ENDED)
    assert end.cursor == last.cursor + 1
    assert await pages(bench, batch=batch.id, after=last.cursor) == [end]
    assert await pages(bench, batch=batch.id, after=end.cursor) == []


@with_bench
async def test_sums_come_with_the_cursor_up_to_which_they_are_true(bench: Bench) -> None:
    batch = await bench.batch(3)
    reader = await stream(bench, batch=batch.id, kinds=frozenset({Kind.BATCH}))
    first = asyncio.ensure_future(reader.take(1))
    for job in members(batch)[:2]:
        await told(bench, job, *LIFE)
    await reader.until(lambda sums: bool(sums) and (JobState.SUCCEEDED, 2) in (sums[-1].counts or ()))
    await told(bench, members(batch)[2], *LIFE)
    (end,) = await first
    assert end.event == ENDED
    assert await reader.some() == []
    cursors = [event.cursor for event in reader.sums]
    assert cursors == sorted(cursors)
    assert reader.sums[0].state in (JobState.QUEUED, JobState.RUNNING)
    assert all(event.count == 3 for event in reader.sums)


@with_bench
async def test_all_followers_of_a_batch_share_one_sum(bench: Bench) -> None:
    batch = await bench.batch(2)
    readers = [await stream(bench, batch=batch.id, kinds=frozenset({Kind.BATCH})) for _ in range(50)]
    takes = [asyncio.ensure_future(reader.take(1)) for reader in readers]
    for reader in readers:
        await reader.until(bool)
    assert len({event.counts for reader in readers for event in reader.sums}) == 1
    for job in members(batch):
        await told(bench, job, *LIFE)
    assert {events[0].cursor for events in await asyncio.gather(*takes)} == {takes[0].result()[0].cursor}


def test_who_falls_behind_the_ring_reads_on_from_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "KEPT", 16)

    async def body(bench: Bench) -> None:
        batch = await bench.batch(30)
        fast, slow = await stream(bench, batch=batch.id), await stream(bench, batch=batch.id)
        assert isinstance(await anext(slow.items), News)
        taking = asyncio.ensure_future(fast.take(1000))
        for job in members(batch):
            await told(bench, job, *LIFE)
        due = (await everything(bench, lambda entry: entry.batch == batch.id))[30:]
        assert await taking == due
        assert bench.context.feed.ring(bench.context.store, bench.context.clock).size <= 16
        assert await slow.take(1000) == due

    run(tmp_path, lambda bench: asyncio.wait_for(body(bench), 60))


@with_bench
async def test_nobody_is_kept_by_a_server_that_stops(bench: Bench) -> None:
    batch = await bench.batch(1)
    reader = await stream(bench, batch=batch.id)
    taking = asyncio.ensure_future(reader.take(1))
    asked = Request(
        operation=Follow(batch=batch.id, after=10**6, within=50.0),
        principal=Principal(account=bench.lab.owner, name=""),
    )
    polling = asyncio.ensure_future(handle(bench.context, asked))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not taking.done()
    bench.context.feed.close()
    assert await taking == []
    assert reader.end is None
    outcome = await polling
    assert isinstance(outcome, Page)
    assert outcome.events == ()


# --- pages


@with_bench
async def test_a_page_is_waited_for_until_there_is_an_event_of_the_kind(bench: Bench) -> None:
    batch = await bench.batch(1)
    begun = await page(bench, batch=batch.id)
    principal = Principal(account=bench.lab.owner, name="")
    asked = Follow(batch=batch.id, kinds=frozenset({Kind.FAILURE}), after=begun.cursor, within=50.0)
    polling = asyncio.ensure_future(handle(bench.context, Request(operation=asked, principal=principal)))
    await told(bench, JobId(batch.id), *LIFE[:2])
    for _ in range(50):
        await asyncio.sleep(0)
    assert not polling.done()
    await told(bench, JobId(batch.id), Exited(1, 6.0, Exit(3)), Collected(1))
    outcome = await polling
    assert isinstance(outcome, Page)
    assert [(event.event, event.exit_code) for event in outcome.events] == [("job.failed", 3)]
    over = Follow(batch=batch.id, after=outcome.cursor, within=50.0)
    nothing = await handle(bench.context, Request(operation=over, principal=principal))
    assert isinstance(nothing, Page)
    assert nothing.events == ()


@with_bench
async def test_nobody_follows_anothers(bench: Bench) -> None:
    batch = await bench.batch(1)
    mine = await page(bench)
    assert [event.batch for event in mine.events] == [batch.id]
    assert (await bench.ask(Follow(), who=bench.lab.other)).events == ()
    for asked in (Follow(batch=batch.id), Follow(job=names(batch)[0]), Follow(batch=batch.id, live=True)):
        with pytest.raises(NotFound):
            await bench.ask(asked, who=bench.lab.other)


@with_bench
async def test_a_cursor_before_what_retention_took_is_refused_and_told_where_to_go_on(
    bench: Bench,
) -> None:
    batch, kept = await bench.batch(2), await bench.batch(1)
    first, last = members(batch)
    early = (await page(bench, batch=batch.id)).events[0].cursor
    await told(bench, first, *LIFE)

    def reap(tx: Any) -> None:
        tx.log.expire([first])
        tx.jobs.delete([first], bench.lab.now)

    await bench.lab.store.write(reap)
    for asked in (Follow(batch=batch.id, after=early), Follow(after=early), Follow(after=early, live=True)):
        with pytest.raises(Gone) as gone:
            await bench.ask(asked)
        oldest = gone.value.oldest
        assert oldest is not None
        again = await bench.ask(replace(asked, after=oldest, live=False))
        assert again.events == ()
    assert [event.job for event in await pages(bench, batch=batch.id)] == [last]
    assert [event.job for event in await pages(bench, after=0)] == [last, JobId(kept.id)]
    assert await pages(bench, job=names(kept)[0], after=1)
    await told(bench, last, Stop())
    assert [event.event for event in await pages(bench, batch=batch.id, after=oldest)] == ["job.cancelled", ENDED]


@with_bench
async def test_what_its_owner_deletes_is_no_gap_and_ends_a_stream(bench: Bench) -> None:
    batch = await bench.batch(2)
    first, last = members(batch)
    begun = (await page(bench, batch=batch.id)).cursor
    await told(bench, first, *LIFE)
    await bench.lab.forget([first])
    assert await pages(bench, batch=batch.id, after=begun) == []
    await told(bench, last, Stop())
    assert [event.event for event in await pages(bench, batch=batch.id, after=begun)] == ["job.cancelled", ENDED]


# --- waiting for a change


@with_bench
async def test_a_change_is_waited_for_from_the_version_that_was_seen(bench: Bench) -> None:
    batch = await bench.batch(2)
    name = names(batch)[1]
    principal = Principal(account=bench.lab.owner, name="")

    async def ask(operation: Any, *seen: int) -> Any:
        asked = Request(operation=operation, principal=principal, until=Until.CHANGED, within=50.0, seen=seen)
        return await handle(bench.context, asked)

    counted = await bench.ask(Count(batch.id))
    found = await bench.ask(Find(selector=Ids((name,))))
    assert (counted.version, found.jobs[0].job.version) == (2, 1)
    of_batch = asyncio.ensure_future(ask(Count(batch.id), 2))
    of_job = asyncio.ensure_future(ask(Find(selector=Ids((name,))), 1))
    await told(bench, names(batch)[0].job, Stop())
    assert (await of_batch).counts == {JobState.CANCELLED: 1, JobState.QUEUED: 1}
    for _ in range(20):
        await asyncio.sleep(0)
    assert not of_job.done()
    await told(bench, name.job, Stop())
    assert (await of_job).jobs[0].job.state is JobState.CANCELLED
    assert (await ask(Count(batch.id), 2)).version > 2
    assert (await ask(Find(selector=Ids((name,))), 1)).jobs[0].job.version > 1
