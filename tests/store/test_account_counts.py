"""How an account's jobs stand: counted once, then kept as they move."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from store_places import sqlite
from test_tallies import LIFE, told

from jobgate.model.events import Cancel
from jobgate.model.job import Batch
from jobgate.model.state import JobState
from jobgate.store.sqlite import SqliteStore
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import Lab, members, promise

STEPS: SearchStrategy[list[tuple[str, int]]] = st.lists(
    st.tuples(st.sampled_from(("submit", "hold", "life", "cancel", "forget", "break")), st.integers(0, 5)), max_size=12
)


async def walked(lab: Lab) -> dict[JobState, int]:
    """By a walk over all of them."""
    store = await lab.place.open()
    try:
        return await store.read(lambda tx: tx.jobs.owned(lab.owner))
    finally:
        await store.close()


def _breaks(tx: Transaction, batch: Batch, now: float) -> None:
    tx.jobs.advance([(job, Cancel()) for job in members(batch)], now)
    raise ValueError("after all")


async def _step(lab: Lab, batches: list[Batch], what: str, number: int) -> None:
    if what in ("submit", "hold"):
        batches.append(await lab.submit(number + 1, held=what == "hold"))
        return
    if not batches:
        return
    batch = batches[number % len(batches)]
    there = await lab.store.read(lambda tx: tx.jobs.get(members(batch)))
    jobs = [job for job in members(batch) if job in there]
    if what == "life":
        for job in jobs:
            if there[job][0].state is JobState.QUEUED:
                await told(lab, job, *LIFE[: number + 1])
                return
    elif what == "cancel":
        await lab.store.write(lambda tx: tx.jobs.advance([(job, Cancel()) for job in jobs], lab.tick()))
    elif what == "forget":
        await lab.forget(jobs[: number + 1])
    elif jobs:
        with pytest.raises(ValueError, match="after all"):
            await lab.store.write(lambda tx: _breaks(tx, batch, lab.tick()))


@settings(max_examples=25)
@given(before=STEPS, after=STEPS)
def test_what_is_kept_is_what_a_walk_would_count(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    async def body(lab: Lab) -> None:
        batches: list[Batch] = []
        for step in before:
            await _step(lab, batches, *step)
        await lab.store.write(lambda tx: tx.jobs.keep_count(lab.owner))
        for step in after:
            await _step(lab, batches, *step)
        assert await lab.store.read(lambda tx: tx.jobs.counted(lab.owner))
        assert await lab.store.read(lambda tx: tx.jobs.owned(lab.owner)) == await walked(lab)

    promise(body)(sqlite(tmp_path_factory.mktemp("counts")))


def test_a_commit_that_failed_leaves_nothing_to_trust(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        await lab.store.write(lambda tx: tx.jobs.keep_count(lab.owner))
        assert lab.place.full is not None
        assert isinstance(lab.store, SqliteStore)
        with lab.place.full(lab.store), pytest.raises(Exception, match="full"):
            await lab.submit(20_000)
        await lab.submit(2)
        assert await lab.store.read(lambda tx: tx.jobs.owned(lab.owner)) == {JobState.QUEUED: 2} == await walked(lab)

    promise(body)(sqlite(tmp_path))
