"""What may mean a million jobs is done in slices, each a transaction of its own between which others have their turn.

What breaks off in between is partly done; the same request again does the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from jobgate.model.account import Principal
from jobgate.model.errors import Conflict, NotFound
from jobgate.model.guard import Seen
from jobgate.model.job import Job
from jobgate.model.outcomes import Changed, Counted, JobView
from jobgate.model.selectors import Ids, Of, Selector
from jobgate.model.state import JobState
from jobgate.operations.context import Context
from jobgate.operations.find import counted
from jobgate.operations.select import SLICE, Piece, batch_of, one, piece, views
from jobgate.store.births import SHOWN
from jobgate.store.store import Store
from jobgate.store.transaction import Transaction

_TURNS: Final[WeakKeyDictionary[Store, asyncio.Lock]] = WeakKeyDictionary()
"""Of each store: requests with more than one slice take turns, or a hundred of them would make one long commit."""
_LONG: Final = 0.05
"""Seconds that the work of a slice may take: others wait for it. The next one is smaller, or larger, by that."""
T = TypeVar("T")


class First(Generic[T]):
    """What an answer names: all that were asked for by name; of others the first `SHOWN`, and how many more."""

    def __init__(self, selector: Selector) -> None:
        self._most = len(selector.jobs) if isinstance(selector, Ids) else SHOWN
        self.named: list[T] = []
        self.more = 0

    def add(self, items: Sequence[T]) -> None:
        """These too."""
        room = self._most - len(self.named)
        self.named += items[:room]
        self.more += len(items[room:])


class Told:
    """What became of the jobs of one request."""

    def __init__(self, selector: Selector) -> None:
        self._done = First[Job](selector)
        self._unchanged = First[Job](selector)
        self._missing: list[str] = []
        self._states: dict[JobState, int] = {}

    def add(self, done: Sequence[Job], unchanged: Sequence[Job], missing: Sequence[str]) -> None:
        """One slice."""
        self._done.add(done)
        self._unchanged.add(unchanged)
        self._missing += missing
        for job in done:
            self._states[job.state] = self._states.get(job.state, 0) + 1

    def changed(self, shown: JobView | Counted | None) -> Changed:
        """All of it; `shown` is what was asked about, as it is now."""
        same = len(self._unchanged.named) + self._unchanged.more
        return Changed(
            done=tuple(self._done.named),
            unchanged=tuple(self._unchanged.named),
            missing=tuple(self._missing),
            more=self._done.more + self._unchanged.more,
            states=self._states,
            same=same,
            shown=shown,
        )


async def slices(  # noqa: PLR0913  # whose, which, what and on which conditions
    context: Context,
    principal: Principal,
    selector: Selector,
    work: Callable[[Transaction, Sequence[Job], float], T],
    *,
    seen: Seen | None = None,
    reading: bool = False,
    spare: bool = False,
    begin: int | None = None,
) -> AsyncGenerator[tuple[T, tuple[str, ...]], None]:
    """What `work` returns for each slice of the jobs, and names of those missing. `spare`: see `Store.write`.

    `begin`: jobs of the first slice where nobody knows how much work one is; the next are sized by the time it took.

    Raises NotFound, and Conflict (`changed`) when it is not as `seen`, at the first only; then nothing was done.
    """
    size = begin or SLICE
    turn = _TURNS.setdefault(context.store, asyncio.Lock())
    rest: Selector | None = selector
    while rest is not None:
        asked, now = rest, context.clock()

        def part(
            tx: Transaction, asked: Selector = asked, now: float = now, size: int = size
        ) -> tuple[T, Piece, float]:
            began = time.monotonic()
            if seen is not None and asked is selector:
                as_seen(tx, principal, selector, seen)
            found = piece(tx, principal, asked, size)
            result = work(tx, [job for job, _ in found[0]], now)
            return result, found, time.monotonic() - began

        try:
            if reading:
                result, (_, missing, rest), took = await context.store.read(part)
            elif asked is selector:
                result, (_, missing, rest), took = await context.store.write(part, spare=spare)
            else:
                async with turn:
                    result, (_, missing, rest), took = await context.store.write(part, spare=spare)
        except NotFound:
            if asked is selector:
                raise
            return  # the batch went with its last job, which was in the slice before, or another's request took it
        if begin is not None:
            size = next_size(size, took)
        yield result, missing
        await asyncio.sleep(0)


def next_size(size: int, took: float) -> int:
    """How many jobs the next slice has, after one of this size that took so long: at most twice as many."""
    return max(1, min(SLICE, int(size * min(2.0, _LONG / max(took, 1e-6)))))


def as_seen(tx: Transaction, principal: Principal, selector: Selector, seen: Seen) -> None:
    """Raises Conflict (`changed`) when the one job or batch is of no such version, NotFound without it."""
    found = shown(tx, principal, selector)
    if found is not None and found.version not in seen:
        raise Conflict("it is not as it was when it was seen; look again, and ask again", code="changed")


def shown(tx: Transaction, principal: Principal, selector: Selector) -> JobView | Counted | None:
    """The one job or batch that is meant, as it is now. Raises NotFound."""
    match selector:
        case Ids(jobs=(name,), missing=()):
            (found,) = views(tx, [one(tx, principal, name)])
            return found
        case Of(batch):
            return counted(tx, batch_of(tx, principal, batch))
        case _:
            return None


async def look(context: Context, principal: Principal, selector: Selector) -> JobView | Counted | None:
    """As `shown`; None also when it has gone meanwhile."""
    try:
        return await context.store.read(lambda tx: shown(tx, principal, selector))
    except NotFound:
        return None
