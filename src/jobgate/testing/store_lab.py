"""What the contract suite of stores works with: a database of its own, and short words for what is done to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from jobgate.model.advance import Step
from jobgate.model.attempt import Exit, Lease
from jobgate.model.errors import Unavailable
from jobgate.model.events import Claim, Collected, Event, Exited, Started, Together
from jobgate.model.facts import Attempts, Fact
from jobgate.model.files import Artifact
from jobgate.model.guard import Guard
from jobgate.model.ids import STRIDE, AccountId, BatchId, EnvironmentName, JobId, NodeName
from jobgate.model.job import Argv, Batch, Job, JobSpec, Origin
from jobgate.model.job import Step as Command
from jobgate.model.operations import Group
from jobgate.model.selectors import BatchesWhere, Where
from jobgate.model.state import JobState
from jobgate.store.store import Store
from jobgate.store.transaction import Transaction

T = TypeVar("T")

HERE: Final = EnvironmentName("here")
PLAIN: Final = JobSpec(steps=(Command(command=Argv(("true",))),))
START: Final = 1_760_000_000.0
"""When every example begins."""
EVERY: Final = 1 << 20
"""A limit that no example reaches."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One database that nobody else uses, empty at first."""

    open: Callable[[], Awaitable[Store]]
    """Opens it. Again after a close, or beside one that is open: it is the same database."""
    commits: Callable[[Store], int]
    """How many commits this store has made."""
    blocked: Callable[[], AbstractContextManager[object]] | None = None
    """While it is entered, nothing can be written; None where nobody knows how."""
    full: Callable[[Store], AbstractContextManager[object]] | None = None
    """While it is entered, there is no room for more than a few rows; None where nobody knows how."""


Promise = Callable[[Place], None]


class Lab:
    """A store with two accounts, and a clock that goes on by a second with each submit and each event."""

    def __init__(self, place: Place, store: Store) -> None:
        self.place = place
        self.store = store
        self.now = START
        self.owner = self.other = AccountId(0)
        self.lease = Lease(NodeName("node"), 0)

    async def furnish(self) -> None:
        """Accounts, and a node."""
        write = self.store.write
        self.owner = (await write(lambda tx: tx.accounts.create("lab", self.now))).id
        self.other = (await write(lambda tx: tx.accounts.create("other", self.now))).id
        self.lease = await write(lambda tx: tx.nodes.enter(self.lease.node, self.now, 60.0))

    async def reopen(self) -> None:
        """Closes the store and opens the same database again."""
        await self.store.close()
        self.store = await self.place.open()

    def tick(self, seconds: float = 1.0) -> float:
        """Later."""
        self.now += seconds
        return self.now

    # --- inside of a transaction

    def make(  # noqa: PLR0913  # what a batch can differ in
        self,
        tx: Transaction,
        count: int = 1,
        *,
        spec: JobSpec = PLAIN,
        owner: AccountId | None = None,
        guard: Guard | None = None,
        held: bool = False,
        priority: int = 0,
        app: str = "",
        labels: Mapping[str, str] | None = None,
        secrets: Mapping[str, bytes] | None = None,
        wait: float | None = None,
        name: str = "",
        names: Sequence[str] = (),
        expires: float | None = None,
        room: int = 0,
    ) -> Batch:
        """A batch, as a submit makes it; the one that its key made before, if it did. With `room` it is empty."""
        now = self.tick()
        ident = BatchId(tx.jobs.draw(now, room or count))
        mine = self.owner if owner is None else owner
        if guard is not None:
            known = tx.jobs.take(mine, guard, ident, now)
            if known is not None:
                return tx.jobs.batch(known)
        number = tx.numbers.draw(count)
        batch = Batch(
            id=ident,
            owner=mine,
            count=0 if room else count,
            origin=Origin(dialect="test"),
            created=now,
            app=app,
            name=name,
            labels=labels or {},
            priority=priority,
            expires=expires,
            number=number,
            first=0 if room else number,
            room=room,
            named=bool(names),
        )
        tx.jobs.add(batch, [] if room else [Group(spec, count)], held=held, waits=[wait])
        tx.names.add(batch, names)
        tx.secrets.seal(ident, secrets or {})
        return batch

    def fill(self, tx: Transaction, batch: Batch, count: int, names: Sequence[str] = ()) -> Batch:
        """The empty batch with so many jobs."""
        first = tx.numbers.draw(count) if batch.number else 0
        filled = replace(batch, count=count, filled=self.tick(), first=first, named=bool(names), renamed=1)
        tx.jobs.add(filled, [Group(PLAIN, count)])
        tx.names.add(filled, names)
        return filled

    def told(self, tx: Transaction, job: JobId, *events: Event) -> list[Step]:
        """What each event came to; all of them can happen."""
        steps = []
        for event in events:
            (step,) = tx.jobs.advance([(job, event)], self.tick(), self.lease)
            if not isinstance(step, Step):
                raise step
            steps.append(step)
        return steps

    # --- transactions

    async def submit(self, count: int = 1, **more: Any) -> Batch:
        """`make`, in a transaction of its own."""
        return await self.store.write(lambda tx: self.make(tx, count, **more))

    async def one(self, **more: Any) -> JobId:
        """A batch of one; its job."""
        return JobId((await self.submit(**more)).id)

    async def tell(self, job: JobId, *events: Event) -> list[Step]:
        """`told`, in a transaction of its own."""
        return await self.store.write(lambda tx: self.told(tx, job, *events))

    async def row(self, job: JobId) -> tuple[Job, Attempts]:
        """The job and its attempts as they are kept."""
        return (await self.store.read(lambda tx: tx.jobs.get([job])))[job]

    async def log(self, job: JobId) -> list[Fact]:
        """The job's events."""
        return await self.store.read(lambda tx: tx.log.of(job))

    async def batch(self, ident: BatchId) -> Batch:
        """The batch as it is kept."""
        return await self.store.read(lambda tx: tx.jobs.batch(ident))

    async def sealed(self, ident: BatchId) -> dict[str, bytes]:
        """The batch's secrets."""
        return await self.store.read(lambda tx: tx.secrets.sealed(ident))

    async def live(self, owner: AccountId | None = None) -> int:
        """How many jobs of an account's are not over, as a submit counts them."""
        mine = self.owner if owner is None else owner
        return await self.store.write(lambda tx: tx.jobs.live_of(mine))

    async def owned(self, owner: AccountId | None = None) -> dict[JobState, int]:
        """How many jobs of an account's are in which state, as they are counted one by one."""
        mine = self.owner if owner is None else owner
        return await self.store.read(lambda tx: tx.jobs.owned(mine))

    async def events(self, after: int = 0, limit: int = EVERY) -> list[tuple[int, Fact]]:
        """What follows in the log of all."""
        return await self.store.read(lambda tx: tx.log.all(after, limit))

    async def forget(self, jobs: Sequence[JobId]) -> None:
        """They are deleted."""
        await self.store.write(lambda tx: tx.jobs.delete(jobs, self.now))

    async def enter(self, name: str) -> Lease:
        """A node's process has its place."""
        return await self.store.write(lambda tx: tx.nodes.enter(NodeName(name), self.now, 60.0))

    async def heads(self, limit: int = EVERY, now: float | None = None) -> list[JobId]:
        """The first jobs of each account."""
        at = self.now if now is None else now
        return [head.job for head in await self.store.read(lambda tx: tx.jobs.heads(at, limit))]

    async def advance(self, pairs: Sequence[tuple[JobId, Event | Together]]) -> Sequence[object]:
        """What each event came to, if it can happen or not, in one transaction."""
        return await self.store.write(lambda tx: tx.jobs.advance(pairs, self.tick()))

    async def page(self, owner: AccountId | None = None, **conditions: Any) -> list[JobId]:
        """Ids of the jobs that meet the conditions."""
        return (await self.leaf(owner, **conditions))[0]

    async def leaf(self, owner: AccountId | None = None, **conditions: Any) -> tuple[list[JobId], JobId | None]:
        """Ids of the jobs that meet the conditions, and after which of them there may be more."""
        where = Where(**{"limit": EVERY, **conditions})
        mine = self.owner if owner is None else owner
        found, more = await self.store.read(lambda tx: tx.lists.jobs(mine, where))
        return [job.id for job, _ in found], more

    async def batches(self, owner: AccountId | None = None, **conditions: Any) -> list[Batch]:
        """The batches that meet the conditions."""
        mine, where = self.owner if owner is None else owner, BatchesWhere(**conditions)
        return await self.store.read(lambda tx: list(tx.lists.batches(mine, where)))

    async def seen(self) -> dict[str, object]:
        """All that can be seen of the store without naming a thing in it."""

        def look(tx: Transaction) -> dict[str, object]:
            owners = (self.owner, self.other)
            return {
                "accounts": tx.accounts.all(),
                "credentials": [tx.accounts.credentials(owner) for owner in owners],
                "jobs": [tx.lists.jobs(owner, Where(limit=EVERY)) for owner in owners],
                "counts": [tx.jobs.owned(owner) for owner in owners],
                "live": [tx.jobs.live_of(owner) for owner in owners],
                "events": tx.log.all(0, EVERY),
                "heads": tx.jobs.heads(self.now + 1e9, EVERY),
                "orphans": tx.blobs.orphans(self.now + 1e9, EVERY),
            }

        return await self.store.read(look)

    async def unchanged(self, before: Mapping[str, object]) -> None:
        """Raises AssertionError unless all is as it was."""
        after = await self.seen()
        changed = {key: (value, after[key]) for key, value in before.items() if after[key] != value}
        assert not changed, f"it is not as it was: {changed}"


def promise(body: Callable[[Lab], Awaitable[None]]) -> Promise:
    """A promise over a furnished lab, which is closed after it."""

    async def run(place: Place) -> None:
        lab = Lab(place, await place.open())
        try:
            await lab.furnish()
            await body(lab)
        finally:
            await lab.store.close()

    @wraps(body)
    def held(place: Place) -> None:
        asyncio.run(run(place))

    return held


E = TypeVar("E", bound=BaseException)


async def raised(asked: Awaitable[object], kind: type[E]) -> E:
    """The error that comes out. Raises AssertionError when none does."""
    try:
        await asked
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} came out")


async def refused(asked: Awaitable[object], code: str | None = None) -> None:
    """Raises AssertionError unless it is refused as Unavailable."""
    error = await raised(asked, Unavailable)
    assert code is None or error.code == code, f"refused with {error.code}, not {code}"
    assert error.retry_after is None or error.retry_after > 0


def members(batch: Batch) -> list[JobId]:
    """The jobs of a batch, by their numbers."""
    return [JobId(batch.id + place * STRIDE) for place in range(batch.count)]


def claim(lab: Lab) -> Claim:
    """The lab's node takes it."""
    return Claim(HERE, lab.lease, None, straight=True)


def life(lab: Lab, *, code: int = 0, outputs: Sequence[Artifact] = ()) -> tuple[Event, ...]:
    """From the queue to the end."""
    end = (Exited(1, lab.now, Exit(code)), Collected(1, tuple(outputs)))
    return (claim(lab), Started(1, lab.now), *end)
