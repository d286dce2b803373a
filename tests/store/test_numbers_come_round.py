"""Small numbers of a real store, when there are few: no two things have one, whatever is made and deleted."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from store_places import fresh

from jobgate.model.events import Cancel
from jobgate.model.job import Batch
from jobgate.model.numbers import WIDTH, width
from jobgate.store.sqlite import SqliteStore
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import Lab, Place, members

ROOM = 12
"""Jobs that can have numbers."""
MOST = ROOM * WIDTH
step = st.one_of(
    st.tuples(st.just("make"), st.integers(1, 4)),
    st.tuples(st.just("open"), st.just(0)),
    st.tuples(st.just("fill"), st.integers(1, 4)),
    st.tuples(st.just("drop"), st.integers(0, 5)),
    st.tuples(st.just("reopen"), st.just(0)),
)


def ranges(batches: list[Batch]) -> list[tuple[int, int]]:
    found = []
    for batch in batches:
        if batch.number:
            found.append((batch.number, batch.number + (width(batch.count) if batch.first == batch.number else WIDTH)))
        if batch.first and batch.first != batch.number:
            found.append((batch.first, batch.first + width(batch.count)))
    return sorted(found)


def room(taken: list[tuple[int, int]]) -> int:
    """The largest gap."""
    ends = [1, *(end for _, end in taken)]
    begins = [*(begin for begin, _ in taken), MOST + 1]
    return max(begin - end for end, begin in zip(ends, begins, strict=True))


def forget(tx: Transaction, batch: Batch) -> None:
    tx.jobs.forget(batch, batch.created)


def known(tx: Transaction, batch: Batch) -> Batch | None:
    return tx.numbers.batch(batch.number)


async def lived(path: Path, steps: list[tuple[str, int]]) -> None:
    async def opened() -> SqliteStore:
        return SqliteStore(path, numbers=MOST)

    lab = Lab(Place(open=opened, commits=lambda _: 0), await opened())
    try:
        await lab.furnish()
        batches: list[Batch] = []
        for word, number in steps:
            free = room(ranges(batches))
            match word:
                case "make":
                    made = await lab.submit(number)
                    assert bool(made.number) == (free >= width(number))
                    batches.append(made)
                case "open":
                    batches.append(await lab.submit(0, room=100))
                case "fill":
                    at = next((at for at, one in enumerate(batches) if not one.count), None)
                    if at is not None:
                        empty = batches[at]
                        batches[at] = await lab.store.write(partial(lab.fill, batch=empty, count=number))
                case "drop":
                    if number < len(batches):
                        gone = batches.pop(number)
                        pairs = [(job, Cancel()) for job in members(gone)]
                        await lab.advance(pairs)
                        if gone.count:
                            await lab.forget(members(gone))
                        else:
                            await lab.store.write(partial(forget, batch=gone))
                case _:
                    await lab.reopen()
            taken = ranges(batches)
            assert all(1 <= begin < end <= MOST + 1 for begin, end in taken)
            assert all(one[1] <= other[0] for one, other in pairwise(taken))
        for batch in batches:
            if batch.number:
                assert await lab.store.read(partial(known, batch=batch)) == batch
    finally:
        await lab.store.close()


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(step, max_size=30))
def test_no_two_things_have_one_number_and_one_is_given_while_there_is_room(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(lived(fresh(Path(folder)), steps))
