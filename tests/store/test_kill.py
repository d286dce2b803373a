"""What a process that was killed with no time for a last word leaves in the file."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from store_places import fresh

from jobgate.model.ids import AccountId, BatchId
from jobgate.model.state import JobState
from jobgate.store.sqlite import SqliteStore
from jobgate.store.transaction import Transaction

WRITER = Path(__file__).with_name("writer.py")
OWNER = AccountId(64)


@contextmanager
def writer(path: Path, way: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, str(WRITER), str(path), way]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kept(path: Path) -> list[BatchId]:
    """The batches in the file, when each is whole and nothing else is there; the store goes on after them."""

    def look(tx: Transaction) -> list[BatchId]:
        batches = []
        logged = tx.log.all(0, 1 << 20)
        for ident in sorted({fact.data.batch for _, fact in logged if hasattr(fact.data, "batch")}):
            batch = tx.jobs.batch(BatchId(ident))
            assert tx.jobs.counts(batch) == {JobState.QUEUED: batch.count}
            assert tx.secrets.sealed(batch.id) == {"s": b"sealed"}
            batches.append(batch.id)
        count = sum(tx.jobs.batch(ident).count for ident in batches)
        assert len(logged) == sum(tx.jobs.owned(OWNER).values()) == tx.jobs.live_of(OWNER) == count
        return batches

    async def body() -> list[BatchId]:
        store = SqliteStore(path)
        try:
            found = await store.read(look)
            assert (await store.write(lambda tx: tx.accounts.create("after", 0.0))).name == "after"
            return found
        finally:
            await store.close()

    found = asyncio.run(body())
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for asked in ("SELECT id FROM batch", "SELECT DISTINCT batch FROM spec", "SELECT batch FROM secret"):
            assert sorted(row[0] for row in database.execute(asked)) == found
    return found


def test_a_write_that_was_killed_in_its_middle_leaves_nothing(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    with writer(path, "stuck") as process:
        whole = BatchId(int(said(process)))
        assert said(process) == "written"
        process.kill()
        process.wait()
    assert kept(path) == [whole]


@pytest.mark.parametrize("answers", [1, 2, 5])
def test_what_was_answered_is_there_and_what_was_not_is_whole_or_absent(tmp_path: Path, answers: int) -> None:
    path = fresh(tmp_path)
    with writer(path, "busy") as process:
        answered = [BatchId(int(said(process))) for _ in range(answers)]
        process.kill()
        process.wait()
        assert process.stdout is not None
        answered += [BatchId(int(line)) for line in process.stdout.read().splitlines(keepends=True) if line[-1] == "\n"]
    found = kept(path)
    assert found[: len(answered)] == answered
    assert len(found) <= len(answered) + 1
