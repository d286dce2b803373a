"""Those who follow are told what was deleted; that outlives what it tells of, for its time."""

from __future__ import annotations

import pytest
from test_follow import LIFE, page, pages, stream, told, with_bench
from workbench import Bench, names

from jobgate.model.errors import NotFound
from jobgate.model.ids import JobId
from jobgate.model.job import Batch
from jobgate.model.operations import Delete, Follow
from jobgate.model.selectors import Ids, Of
from jobgate.model.told import Told
from jobgate.testing.store_lab import members

FAR = JobId(1 << 62)


async def over(bench: Bench, count: int) -> Batch:
    """A batch whose jobs have all ended."""
    batch = await bench.batch(count)
    for job in members(batch):
        await told(bench, job, *LIFE)
    return batch


def deletions(events: list[Told]) -> list[tuple[str, int | None]]:
    return [(event.event, event.job) for event in events if event.event.endswith(".deleted")]


@with_bench
async def test_each_deleted_job_is_told_and_the_batch_with_its_last(bench: Bench) -> None:
    batch, kept = await bench.batch(3), await over(bench, 1)
    first, second, third = names(batch)
    for name in (first, third):
        await told(bench, name.job, *LIFE)
    follower, all_of_it = await stream(bench, batch=batch.id), await stream(bench)
    begun = (await page(bench, limit=1000)).cursor
    await bench.ask(Delete(selector=Ids((first, third))))
    assert deletions(await follower.take(2)) == [("job.deleted", first.job), ("job.deleted", third.job)]
    await told(bench, second.job, *LIFE)
    await follower.take(100)
    assert follower.end is not None, "all that is left of it is over"
    await bench.ask(Delete(selector=Ids((second,))))
    found = [event for event in await pages(bench, after=begun) if event.event.endswith(".deleted")]
    assert [event.job for event in found] == [first.job, third.job, second.job, None]
    heard = list[Told]()
    while not heard or heard[-1].event != "batch.deleted":
        heard += await all_of_it.some()
    assert deletions(heard) == deletions(found)
    cursors = [event.cursor for event in found]
    assert cursors == sorted(set(cursors))
    for number, cursor in enumerate(cursors):
        assert deletions(await pages(bench, after=cursor)) == deletions(found[number + 1 :])
    with pytest.raises(NotFound):
        await bench.ask(Follow(batch=batch.id))
    assert not deletions(await pages(bench, batch=kept.id))
    assert not deletions(list((await bench.ask(Follow(), who=bench.lab.other)).events))


@with_bench
async def test_a_batch_that_is_deleted_whole_is_one_event_however_many_jobs_it_had(bench: Bench) -> None:
    batch = await over(bench, 300)
    follower, begun = await stream(bench), (await page(bench, limit=1)).cursor
    await bench.ask(Delete(selector=Of(batch.id)))
    assert deletions(await follower.take(1)) == [("batch.deleted", None)]
    assert deletions(await pages(bench, after=begun)) == [("batch.deleted", None)]


@with_bench
async def test_who_follows_a_lone_job_is_told_whichever_way_it_goes(bench: Bench) -> None:
    for way in ("job", "batch"):
        batch = await bench.batch(1)
        (name,) = names(batch)
        follower = await stream(bench, job=name)
        await told(bench, name.job, *LIFE)
        await bench.ask(Delete(selector=Ids((name,)) if way == "job" else Of(batch.id)))
        seen = deletions(await follower.take(100))
        assert seen[-1] == ("batch.deleted", None) or not seen, "it may have ended before"
        assert follower.end is not None


@with_bench
async def test_what_retention_deletes_is_not_told_and_a_deletion_is_kept_for_its_own_time(bench: Bench) -> None:
    batch = await over(bench, 2)
    begun = (await page(bench, limit=1000)).cursor
    first, last = members(batch)
    await bench.lab.forget([first])
    assert await pages(bench, after=begun) == []
    await bench.ask(Delete(selector=Ids((names(batch)[1],))))
    found = await pages(bench, after=begun)
    assert deletions(found) == [("job.deleted", last), ("batch.deleted", None)]
    now = bench.lab.now
    assert await bench.lab.store.write(lambda tx: tx.log.bury(FAR, now - 1.0, 100)) == 0
    later = await over(bench, 1)
    await bench.lab.store.write(lambda tx: tx.log.bury(FAR, now + 1.0, 100))
    after = await pages(bench, after=found[-1].cursor)
    assert {event.batch for event in after} == {later.id}
    assert after[0].cursor > found[-1].cursor
    assert not deletions(await pages(bench))
