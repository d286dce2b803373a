"""SQLite's own: what happens when the file is held, full, broken or closed in the middle."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from store_places import FILE, filled, fresh, locked, sqlite

from jobgate.model.advance import Step
from jobgate.model.errors import Conflict, Unavailable
from jobgate.model.guard import Guard
from jobgate.model.ids import AccountId, Digest
from jobgate.store.sqlite import SqliteStore
from jobgate.store.tables import METADATA
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import Lab, life, members, promise


def over(folder: Path, body: Callable[[Lab], Awaitable[None]]) -> None:
    """`body` over a furnished SQLite file."""
    promise(body)(sqlite(folder))


def own(lab: Lab) -> SqliteStore:
    assert isinstance(lab.store, SqliteStore)
    return lab.store


# --- held by another


def test_while_another_holds_the_file_writes_are_refused_and_reads_go_on(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        batch = await lab.submit(2)
        with locked(tmp_path / FILE):
            with pytest.raises(Unavailable) as refused:
                await lab.submit()
            assert (refused.value.code, refused.value.retryable) == ("unavailable", True)
            assert await lab.page() == members(batch)[::-1]
        assert await lab.submit()
        assert await lab.live() == 3

    over(tmp_path, body)


def test_a_lock_that_is_let_go_in_time_is_waited_for(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    holds, asked = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(path):
            holds.set()
            asked.wait()

    async def body() -> None:
        store = SqliteStore(path, busy_timeout=60.0, calm=lambda: False)
        try:
            threading.Thread(target=hold).start()
            holds.wait()
            write = asyncio.ensure_future(store.write(lambda tx: tx.accounts.create("lab", 0.0)))
            await asyncio.sleep(0)
            asked.set()
            assert (await write).name == "lab"
        finally:
            asked.set()
            await store.close()

    asyncio.run(body())


# --- full, and broken in the middle


@pytest.mark.parametrize("calm", [True, False])
def test_however_much_room_is_left_a_submit_is_whole_or_refused(tmp_path: Path, *, calm: bool) -> None:
    async def body(lab: Lab) -> None:
        own(lab).calm = lambda: calm
        kept = 0
        refused = 0
        for pages in range(0, 60, 3):
            with filled(lab.store, pages):
                try:
                    kept += (await lab.submit(150, labels={"a": "b"}, secrets={"s": b"x"})).count
                except Unavailable as error:
                    assert error.code == "storage-full"  # noqa: PT017  # both ends are right, at some size
                    refused += 1
            assert sum((await lab.owned()).values()) == len(await lab.events()) == await lab.live() == kept
        assert kept
        assert refused

    over(tmp_path, body)


@contextmanager
def broken_off(store: SqliteStore, after: int) -> Iterator[None]:
    """The writer breaks off after so many steps of the database's own machine."""
    left = after

    def step() -> int:
        nonlocal left
        left -= 1
        return left < 0

    writer = store._writer  # noqa: SLF001  # the fault is put into its connection
    writer.set_progress_handler(step, 10)
    try:
        yield
    finally:
        writer.set_progress_handler(None, 0)


@pytest.mark.parametrize("calm", [True, False])
def test_an_error_anywhere_in_a_commit_undoes_all_of_it_and_no_more(tmp_path: Path, *, calm: bool) -> None:
    async def body(lab: Lab) -> None:
        own(lab).calm = lambda: calm
        jobs = members(await lab.submit(3))
        heard: list[Step] = []

        def listener(steps: list[Step], queued: int) -> None:
            heard.extend(steps)

        lab.store.listen(listener)
        errors = 0
        for after in range(400):
            before = await lab.seen()
            asked = [lab.submit(2, secrets={"s": b"x"}), lab.tell(jobs[0], *life(lab)), lab.submit()]
            with broken_off(own(lab), after):
                outcomes = await asyncio.gather(*asked, return_exceptions=True)
            refused = [isinstance(outcome, Unavailable) for outcome in outcomes]
            assert all(refused) or not any(refused), outcomes
            assert await lab.live() == sum(n for state, n in (await lab.owned()).items() if not state.over)
            if not any(refused):
                break
            errors += 1
            await lab.unchanged(before)
            assert heard == []
        assert errors > 10
        assert len(heard) == 4
        assert await lab.live() == 5

    over(tmp_path, body)


def test_a_commit_that_failed_holds_the_file_no_longer(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        def breaks(tx: Transaction) -> None:
            lab.make(tx, 2)
            raise sqlite3.OperationalError("disk I/O error")

        with pytest.raises(Unavailable):
            await lab.store.write(breaks)
        with locked(tmp_path / FILE):
            assert await lab.page() == []

    over(tmp_path, body)


def test_of_what_was_deleted_no_table_keeps_a_row(tmp_path: Path) -> None:
    guard = Guard(key="k", body=Digest("0" * 64), lives=60.0)

    def rows() -> dict[str, int]:
        with closing(sqlite3.connect(tmp_path / FILE)) as database:
            return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in METADATA.tables}  # noqa: S608  # our own words

    async def body(lab: Lab) -> None:
        before = rows()
        for wait in (0.0, 120.0):
            batch = await lab.submit(3, guard=guard, labels={"a": "b", "c": "d"}, secrets={"s": b"x"})
            await lab.store.write(lambda tx, batch=batch: tx.blobs.hold(Digest("a" * 64), -batch.id))  # type: ignore[misc]  # a default binds it
            await lab.tell(members(batch)[0], *life(lab))
            lab.tick(wait)
            await lab.forget(members(batch))
            await lab.store.write(lambda tx: tx.blobs.bury(lab.now + 1e9, 100))
            guards = 0 if wait else 1
            assert rows() == before | {"guard": guards, "event": 1}, (
                "a mark of the cursor is left, and a key in its time"
            )
            lab.tick(120.0)

    over(tmp_path, body)


def test_a_row_that_cannot_be_read_is_told_and_nothing_else_stops(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        own(lab)._reader.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)  # noqa: SLF001  # the fault is put there
        with pytest.raises(Unavailable):
            await lab.seen()
        own(lab)._reader.set_authorizer(None)  # noqa: SLF001  # and taken away
        assert await lab.submit()
        assert await lab.live() == 1

    over(tmp_path, body)


# --- opening


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"

    async def body() -> None:
        for content in (b"", b"my letters, not yours\n" * 100):
            path.write_bytes(content)
            with pytest.raises(Unavailable, match="cannot be opened"):
                SqliteStore(path)
        with pytest.raises(Unavailable, match="cannot be opened"):
            SqliteStore(tmp_path)

    asyncio.run(body())


def test_each_commit_is_synced_and_no_reader_waits_for_a_writer(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        for connection in (own(lab)._writer, own(lab)._reader):  # noqa: SLF001  # its settings are the promise
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)

    over(tmp_path, body)


# --- answers


def test_a_listener_that_fails_keeps_nobody_from_the_answer(tmp_path: Path) -> None:
    """What is on disk is on disk: the fault goes to the loop's own handler."""
    told: list[object] = []

    async def body(lab: Lab) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        heard: list[int] = []

        def fails(steps: list[Step], queued: int) -> None:
            raise ValueError("a listener's own fault")

        def hears(steps: list[Step], queued: int) -> None:
            heard.append(queued)

        lab.store.listen(fails)
        lab.store.listen(hears)
        for calm in (True, False):
            own(lab).calm = lambda calm=calm: calm  # type: ignore[misc]  # a default binds it
            batches = await asyncio.wait_for(asyncio.gather(lab.submit(2), lab.submit(1)), 30.0)
            assert [batch.count for batch in batches] == [2, 1]
            assert (await asyncio.wait_for(lab.submit(3), 30.0)).count == 3
        assert heard == [3, 3, 3, 3]

    over(tmp_path, body)
    assert [type(error) for error in told] == [ValueError] * 4


def test_what_a_work_raises_in_the_writers_thread_comes_out_on_the_loop(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        own(lab).calm = lambda: False
        threads: list[str] = []

        def work(tx: Transaction) -> None:
            threads.append(threading.current_thread().name)
            tx.accounts.create("lab", 0.0)

        with pytest.raises(Conflict):
            await lab.store.write(work)
        assert threads == ["jobgate-writer_0"]

    over(tmp_path, body)


def test_a_store_that_was_closed_leaves_a_file_that_any_sqlite_can_read(tmp_path: Path) -> None:
    async def body(lab: Lab) -> None:
        await lab.submit(2, owner=AccountId(lab.other))

    over(tmp_path, body)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM job").fetchone() == (2,)
