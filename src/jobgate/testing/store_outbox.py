"""Promises of every store about webhooks: what is told, once, with the fact that it tells of; and what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from jobgate.model.account import Action, Deed
from jobgate.model.errors import Conflict, NotFound
from jobgate.model.events import Cancel, Rank
from jobgate.model.ids import AccountId, BatchId, JobId, WebhookId
from jobgate.model.job import Batch, Origin
from jobgate.model.operations import Group
from jobgate.model.state import JobState
from jobgate.model.webhook import Delivery, Notice, Occasion, Standing, Try, Webhook, after
from jobgate.store.outbox import Turns
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import EVERY, PLAIN, Lab, Promise, life, members, promise, raised

ALL: Final = frozenset(Occasion) - {Occasion.TEST}
TURNS: Final = Turns(100, 100, 2)
ENDS: Final = frozenset({Occasion.BATCH_ENDED})


def added(
    tx: Transaction,
    lab: Lab,
    occasions: Iterable[Occasion] = ALL,
    owner: AccountId | None = None,
    *,
    named: bool = False,
) -> Webhook:
    """A new webhook."""
    made = Webhook(
        id=tx.outbox.draw(lab.tick()),
        owner=lab.owner if owner is None else owner,
        url="https://example.org/",
        created=lab.now,
        occasions=frozenset(occasions),
        named=named,
    )
    tx.outbox.add(made)
    return made


async def hook(
    lab: Lab, occasions: Iterable[Occasion] = ALL, owner: AccountId | None = None, *, named: bool = False
) -> Webhook:
    """A new webhook, in a transaction of its own."""
    return await lab.store.write(lambda tx: added(tx, lab, occasions, owner, named=named))


async def told(lab: Lab, webhook: Webhook) -> list[Notice]:
    """What it is told of, the oldest first."""
    found = await lab.store.read(lambda tx: tx.outbox.deliveries(webhook.id, EVERY))
    return [one.notice for one in reversed(found)]


async def due(lab: Lab, busy: Iterable[tuple[Webhook, Delivery]] = (), turns: Turns = TURNS) -> list[Delivery]:
    """Whose time has come, beside those that are on their way."""
    now_sent = {delivery.id: webhook for webhook, delivery in busy}
    return [one for _, one in await lab.store.read(lambda tx: tx.outbox.due(lab.now, now_sent, turns))]


async def failed(lab: Lab, webhook: Webhook, delivery: Delivery) -> Delivery:
    """A try of it failed."""
    later = after(delivery, Try(at=lab.now, seconds=0.1, status=500), lab.now)
    await lab.store.write(lambda tx: tx.outbox.tried(webhook, later))
    return later


async def posted(lab: Lab, webhook: Webhook, count: int) -> list[Delivery]:
    """So many notices to it."""
    notice = Notice(occasion=Occasion.TEST, at=lab.now, webhook=webhook.id)
    return await lab.store.write(lambda tx: [tx.outbox.post([webhook], notice, lab.tick())[0] for _ in range(count)])


@promise
async def the_end_of_a_job_is_told_with_the_fact_and_is_there_after_a_reopen(lab: Lab) -> None:
    """One notice a job, one a batch, with the cursor and the number of the fact that they tell of."""
    webhook = await hook(lab)
    batch = await lab.submit(2, labels={"k": "v"}, app="a")
    good, bad = members(batch)
    await lab.tell(good, *life(lab))
    assert [notice.occasion for notice in await told(lab, webhook)] == [Occasion.JOB_SUCCEEDED]
    await lab.tell(bad, *life(lab, code=3))
    await lab.reopen()
    first, second, third = await told(lab, webhook)
    assert (first.job, first.state, first.exit_code) == (good, JobState.SUCCEEDED, 0)
    assert (second.job, second.occasion, second.exit_code) == (bad, Occasion.JOB_FAILED, 3)
    assert (third.occasion, third.state, third.job) == (Occasion.BATCH_ENDED, JobState.FAILED, None)
    assert (third.counts, third.count) == ({JobState.SUCCEEDED: 1, JobState.FAILED: 1}, 2)
    facts = dict(await lab.events())
    for notice in (first, second):
        fact = facts[notice.cursor // 2]
        assert (fact.job, fact.seq, fact.at) == (notice.job, notice.seq, notice.at)
        assert (notice.batch, notice.labels) == (batch.id, {"k": "v"})
    assert third.cursor == second.cursor + 1


@promise
async def what_is_undone_is_told_nobody(lab: Lab) -> None:
    """A transaction that raises leaves no delivery, and the webhook it made is no webhook."""
    webhook = await hook(lab)
    job = await lab.one()

    def work(tx: Transaction) -> None:
        tx.jobs.advance([(job, Cancel())], lab.now)
        tx.flush()
        raise Conflict("not this one")

    def other(tx: Transaction) -> None:
        made = replace(webhook, id=tx.outbox.draw(lab.now))
        tx.outbox.add(made)
        tx.jobs.advance([(job, Cancel())], lab.now)
        tx.flush()
        raise Conflict("nor this")

    for each in (work, other):
        await raised(lab.store.write(each), Conflict)
    assert await told(lab, webhook) == []
    assert await lab.store.read(lambda tx: tx.outbox.count(lab.owner)) == 1
    await lab.tell(job, Cancel())
    assert [notice.occasion for notice in await told(lab, webhook)] == [Occasion.JOB_CANCELLED, Occasion.BATCH_ENDED]


@promise
async def a_batch_ends_once_however_its_jobs_end(lab: Lab) -> None:
    """One by one, in one transaction, or some deleted before the others; a job that goes on ends nothing."""
    webhook = await hook(lab, ENDS)
    for size in (1, 5):
        single = members(await lab.submit(size))
        for job in single:
            assert await told(lab, webhook) == []
            await lab.tell(job, *life(lab))
        together = members(await lab.submit(size))
        await lab.advance([(job, Cancel()) for job in together])
        one, two = await told(lab, webhook)
        assert (one.counts, two.counts) == ({JobState.SUCCEEDED: size}, {JobState.CANCELLED: size})
        await lab.store.write(lambda tx: tx.outbox.clear(webhook.id, EVERY))
    first, second, third = members(await lab.submit(3))
    await lab.tell(first, *life(lab))
    await lab.forget([first])
    await lab.tell(second, Rank(3))
    await lab.tell(third, *life(lab))
    assert await told(lab, webhook) == []
    await lab.tell(second, Cancel())
    (last,) = await told(lab, webhook)
    assert last.counts == {JobState.SUCCEEDED: 1, JobState.CANCELLED: 1}


@promise
async def only_the_owners_enabled_webhooks_hear_and_named_ones_only_when_named(lab: Lab) -> None:
    """Nothing of another account's."""
    mine, foreign, named = await hook(lab), await hook(lab, owner=lab.other), await hook(lab, named=True)
    off = await hook(lab)
    await lab.store.write(lambda tx: tx.outbox.put(replace(off, enabled=False)))
    await lab.tell(await lab.one(), Cancel())
    assert [len(await told(lab, each)) for each in (mine, foreign, named, off)] == [2, 0, 0, 0]
    await lab.store.write(lambda tx: _named(tx, lab, named.id))
    assert [len(await told(lab, each)) for each in (mine, foreign, named, off)] == [4, 0, 2, 0]


def _named(tx: Transaction, lab: Lab, webhook: WebhookId) -> None:
    """A batch that names a webhook, and its end."""
    batch = Batch(
        id=BatchId(tx.jobs.draw(lab.tick())),
        owner=lab.owner,
        count=1,
        origin=Origin(dialect="test"),
        created=lab.now,
        webhook=webhook,
    )
    tx.jobs.add(batch, [Group(PLAIN)])
    tx.jobs.advance([(JobId(batch.id), Cancel())], lab.now)


@promise
async def a_change_that_another_process_made_and_recorded_is_heeded_at_once(lab: Lab) -> None:
    """A webhook made, disabled, enabled and deleted beside this store, and a merge of its account."""
    beside = await lab.place.open()
    cancelled = 0

    async def hears(owner: AccountId, webhook: Webhook, *, it_does: bool) -> None:
        nonlocal cancelled
        cancelled += it_does
        await lab.tell(await lab.one(owner=owner), Cancel())
        assert len(await told(lab, webhook)) == cancelled

    def record(tx: Transaction, action: Action, other: AccountId | None = None) -> None:
        heir = AccountId(0) if other is None else other
        tx.accounts.record(Deed(at=lab.now, actor="beside", action=action, account=lab.owner, other=heir))

    def add(tx: Transaction) -> Webhook:
        record(tx, Action.WEBHOOK_ADDED)
        return added(tx, lab, {Occasion.JOB_CANCELLED})

    def put(webhook: Webhook, action: Action) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            tx.outbox.put(webhook)
            record(tx, action)

        return work

    def merge(tx: Transaction) -> None:
        tx.accounts.merge(tx.accounts.get(lab.owner), tx.accounts.get(lab.other), lab.tick())
        record(tx, Action.MERGED, lab.other)

    def remove(tx: Transaction) -> None:
        tx.outbox.remove(webhook.id, lab.now)
        record(tx, Action.WEBHOOK_DELETED)

    try:
        await lab.tell(await lab.one(), Cancel())  # what this store remembers: that there is none
        webhook = await beside.write(add)
        await hears(lab.owner, webhook, it_does=True)
        await beside.write(put(replace(webhook, enabled=False), Action.WEBHOOK_DISABLED))
        await hears(lab.owner, webhook, it_does=False)
        await beside.write(put(webhook, Action.WEBHOOK_CHANGED))
        await hears(lab.owner, webhook, it_does=True)
        await beside.write(merge)
        await hears(lab.other, webhook, it_does=True)
        found = await lab.store.read(lambda tx: tx.outbox.of(lab.other, EVERY))
        assert [(one.id, one.owner) for one in found] == [(webhook.id, lab.other)]
        await beside.write(remove)
        await hears(lab.other, webhook, it_does=False)
    finally:
        await beside.close()


@promise
async def each_webhook_has_its_turn_whatever_waits_for_another(lab: Lab) -> None:
    """Two of each, none that is on its way; what failed is due when it is, and says when that will be."""
    slow, quick = await hook(lab), await hook(lab)
    many, (one,) = await posted(lab, slow, 50), await posted(lab, quick, 1)
    lab.tick()
    assert {each.id for each in await due(lab)} == {many[0].id, many[1].id, one.id}
    busy = [(slow, many[0]), (slow, many[1])]
    assert [each.id for each in await due(lab, busy)] == [one.id]
    assert [each.id for each in await due(lab, busy, Turns(3, 9, 2))] == [one.id]
    for tight in (Turns(2, 9, 2), Turns(9, 2, 2)):
        assert await due(lab, busy, tight) == []
    later = await failed(lab, quick, one)
    assert await due(lab, busy) == []
    assert await lab.store.read(lambda tx: tx.outbox.next_due(lab.now)) == later.due
    assert later.due is not None
    lab.now = later.due
    assert [each.id for each in await due(lab, busy)] == [one.id]
    await lab.reopen()
    assert {each.id for each in await due(lab)} == {many[0].id, many[1].id, one.id}


@promise
async def nothing_is_due_of_a_disabled_webhook_until_it_is_enabled_again(lab: Lab) -> None:
    """And of one that is deleted, never."""
    webhook = await hook(lab)
    waiting = await posted(lab, webhook, 1)
    off = replace(webhook, enabled=False)
    await lab.store.write(lambda tx: tx.outbox.put(off))
    assert await due(lab) == []
    await failed(lab, off, waiting[0])
    assert await due(lab) == []
    lab.now += 100
    await lab.store.write(lambda tx: tx.outbox.put(webhook))
    assert [each.id for each in await due(lab)] == [waiting[0].id]
    await lab.store.write(lambda tx: tx.outbox.remove(webhook.id, lab.now))
    assert await due(lab) == []
    await raised(lab.store.read(lambda tx: tx.outbox.get(webhook.id)), NotFound)
    assert await lab.store.write(lambda tx: tx.outbox.clear(webhook.id, EVERY)) == 1


@promise
async def deliveries_are_kept_for_their_time_and_read_by_page(lab: Lab) -> None:
    """Newest first; the ids go on after a reopen."""
    webhook = await hook(lab)
    first = await posted(lab, webhook, 3)
    lab.now += 1000
    await lab.reopen()
    second = await posted(lab, webhook, 2)
    every = [each.id for each in (*first, *second)][::-1]
    assert sorted(every, reverse=True) == every
    page = await lab.store.read(lambda tx: tx.outbox.deliveries(webhook.id, 3))
    rest = await lab.store.read(lambda tx: tx.outbox.deliveries(webhook.id, 9, page[-1].id))
    assert [each.id for each in (*page, *rest)] == every
    assert all(each.standing is Standing.WAITING for each in page)
    assert await lab.store.write(lambda tx: tx.outbox.expire(lab.now - 500, EVERY)) == 3
    assert [each.id for each in await lab.store.read(lambda tx: tx.outbox.deliveries(webhook.id, 9))] == every[:2]


@promise
async def the_sender_is_woken_by_what_becomes_due_and_by_nothing_else(lab: Lab) -> None:
    """After the commit, and not by one that came to nothing."""
    woken: list[int] = []
    lab.store.listen_outbox(lambda: woken.append(1))
    await lab.tell(await lab.one(), Cancel())
    assert woken == []
    webhook = await hook(lab, ENDS)
    assert woken == []
    job = await lab.one()
    await lab.tell(job, Rank(1))
    assert woken == []

    def undone(tx: Transaction) -> None:
        tx.jobs.advance([(job, Cancel())], lab.now)
        tx.flush()
        raise Conflict("not this one")

    await raised(lab.store.write(undone), Conflict)
    assert woken == []
    await lab.tell(job, Cancel())
    assert woken == [1]
    await lab.store.write(lambda tx: tx.outbox.put(webhook))
    assert woken == [1, 1]


SUITE: Final[tuple[Promise, ...]] = (
    the_end_of_a_job_is_told_with_the_fact_and_is_there_after_a_reopen,
    what_is_undone_is_told_nobody,
    a_batch_ends_once_however_its_jobs_end,
    only_the_owners_enabled_webhooks_hear_and_named_ones_only_when_named,
    a_change_that_another_process_made_and_recorded_is_heeded_at_once,
    each_webhook_has_its_turn_whatever_waits_for_another,
    nothing_is_due_of_a_disabled_webhook_until_it_is_enabled_again,
    deliveries_are_kept_for_their_time_and_read_by_page,
    the_sender_is_woken_by_what_becomes_due_and_by_nothing_else,
)
