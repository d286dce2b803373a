"""SQLite: one writer, whose transactions many requests share.

Writes gather in a list. When the writer is free, all of them go to its thread as one transaction with a savepoint each;
while it syncs, the next gather. Nobody commits alone, nobody waits for a timer. A lone write with nothing else going
on is done on the loop at once: the hop to the thread would be the larger part of its time.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, NullPool, create_engine
from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect
from sqlalchemy.exc import DBAPIError

from jobgate.model.advance import Step
from jobgate.model.errors import Unavailable
from jobgate.model.ids import BatchId, Ids
from jobgate.model.numbers import MOST, Counter
from jobgate.store.accounts import notice
from jobgate.store.driver import Row, Shared
from jobgate.store.spare import Spare
from jobgate.store.statements import compiled
from jobgate.store.store import BatchListener, Listener
from jobgate.store.transaction import Transaction

T = TypeVar("T")

HEAD: Final = "0015"
_COME_AGAIN: Final = 5.0
"""Seconds."""
_ITS_OWN: Final = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""Faults of what was asked, not of the database: trying again cannot help, and its neighbours are not touched."""
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "wal_autocheckpoint=4000",  # pages: a hot page is written back once for many commits
    "cache_size=-16000",
    "temp_store=MEMORY",
    "secure_delete=FAST",  # some builds overwrite all that is deleted: a megabyte's end was a megabyte's write
)
_TEXTS: Final = compiled(sqlite_dialect())
_AT_ONCE: Final = 128
"""Rows of one insert of very many: each costs a third of one on its own."""


@cache
def _many_rows(name: str) -> str:
    """An insert of `_AT_ONCE` rows."""
    head, values, row = _TEXTS[name].rpartition(" VALUES ")
    return head + values + ", ".join([row] * _AT_ONCE)


class _Driver:
    """Named statements on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany

    def all(self, name: str, *params: object) -> list[Row]:
        return self._execute(_TEXTS[name], params).fetchall()

    def one(self, name: str, *params: object) -> Row | None:
        row: Row | None = self._execute(_TEXTS[name], params).fetchone()
        return row

    def run(self, name: str, *params: object) -> int:
        return self._execute(_TEXTS[name], params).rowcount

    def many(self, name: str, params: Iterable[Sequence[object]]) -> None:
        self._executemany(_TEXTS[name], params)

    def load(self, name: str, params: Iterable[Sequence[object]]) -> None:
        rows = iter(params)
        while len(piece := list(islice(rows, _AT_ONCE))) == _AT_ONCE:
            self._execute(_many_rows(name), list(chain.from_iterable(piece)))
        self._executemany(_TEXTS[name], piece)

    def text(self, sql: str, *params: object) -> list[Row]:
        return self._execute(sql, params).fetchall()


class _Write:
    """One function that waits for the writer, and what came of it."""

    __slots__ = ("error", "future", "made", "posted", "queued", "result", "spare", "steps", "touched", "work")

    def __init__(self, work: Callable[[Transaction], Any], future: asyncio.Future[Any], *, spare: bool) -> None:
        self.work = work
        self.future = future
        self.spare = spare
        self.result: Any = None
        self.error: BaseException | None = None
        self.steps: list[Step] = []
        self.queued = 0
        self.posted = False
        self.made = False
        self.touched: dict[BatchId, None] = {}


class SqliteStore:
    """The store on one file. Made inside a running loop; `calm` says that nothing else is going on.

    `numbers` is the greatest of the small numbers that it gives to batches. `spare` is room for a full disk; without,
    nothing can be written there.
    """

    def __init__(  # noqa: PLR0913  # where it is, and how it behaves
        self,
        path: Path,
        *,
        busy_timeout: float = 5.0,
        node: int = 0,
        calm: Callable[[], bool] = lambda: True,
        numbers: int = MOST,
        spare: Spare | None = None,
    ) -> None:
        self._path = path
        self._spare = spare
        self._busy = busy_timeout
        self.calm = calm
        try:
            self._writer = self._connect()
            self._reader = self._connect(query_only=True)
            last = _Driver(self._writer).one("job_last")
            ids = Ids(node, last=max(_last_id(self._writer), (last[0] or 0) if last else 0))
            self._shared = Shared(ids, numbers=Counter(numbers))
        except sqlite3.Error as error:
            raise Unavailable(f"the database {path} cannot be opened: {error}") from error
        self._reading = Shared(self._shared.ids, counts=self._shared.counts)
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "jobgate-writer")
        self._pending: list[_Write] = []
        self._running = False
        self._closed = False
        self._listeners: list[Listener] = []
        self._batch_listeners: list[BatchListener] = []
        self._senders: list[Callable[[], None]] = []
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.commits = 0

    def _connect(self, *, query_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._busy, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        if query_only:
            connection.execute("PRAGMA query_only=ON")
        return connection

    def listen(self, listener: Listener) -> None:
        """From now on `listener` is told of each commit."""
        self._listeners.append(listener)

    def listen_outbox(self, wake: Callable[[], None]) -> None:
        """From now on `wake` is called after each commit that made a delivery due."""
        self._senders.append(wake)

    def listen_batches(self, listener: BatchListener) -> None:
        """From now on `listener` is told of each commit that changed batches."""
        self._batch_listeners.append(listener)

    async def write(self, work: Callable[[Transaction], T], *, spare: bool = False) -> T:
        """What `work` returns, when it is on disk; see `Store.write`."""
        if self._closed:
            raise Unavailable("the server is stopping; try again in a moment")
        write = _Write(work, self._loop.create_future(), spare=spare)
        self._pending.append(write)
        self._kick()
        result: T = await write.future
        return result

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns; see `Store.read`."""
        try:
            self._reader.execute("BEGIN")
            try:
                driver = _Driver(self._reader)
                notice(driver, self._reading)
                return work(Transaction(driver, self._reading))
            finally:
                self._reader.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        """Finishes what was asked and lets go of the file."""
        self._closed = True
        await self._quiet.wait()
        self._thread.shutdown()
        self._writer.close()
        self._reader.close()

    # --- the writer

    def _kick(self) -> None:
        if not self._running and self._pending:
            self._running = True
            self._quiet.clear()
            self._loop.call_soon(self._go)  # the rest of this pass of the loop joins

    def _go(self) -> None:
        writes, self._pending = self._pending, []
        if len(writes) == 1 and self.calm() and self._at_once(writes):
            self._done(writes)
        else:
            self._thread.submit(self._commit, writes).add_done_callback(
                lambda _: self._loop.call_soon_threadsafe(self._done, writes)
            )

    def _at_once(self, writes: list[_Write]) -> bool:
        """Commits on the loop; False when the file is another's now: the loop waits for nobody."""
        self._writer.execute("PRAGMA busy_timeout=0")
        try:
            self._begin(self._writer)
        except sqlite3.Error:
            return False
        finally:
            self._writer.execute(f"PRAGMA busy_timeout={int(self._busy * 1000)}")
        self._commit(writes, begun=True)
        return True

    def _commit(self, writes: list[_Write], *, begun: bool = False) -> None:
        """One transaction for all. What one raises undoes only its own part."""
        error = self._transact(writes, begun=begun)
        spare = self._spare
        if spare is None or (error is None and not spare.short):
            return
        if error is None:
            spare.refill()
            return
        entitled = [write for write in writes if write.spare]
        while entitled and error is not None and _is_full(error) and spare.give():
            for write in entitled:
                write.error = None
            error = self._transact(entitled)

    def _transact(self, writes: list[_Write], *, begun: bool = False) -> Exception | None:
        """What went wrong for all of them."""
        connection = self._writer
        try:
            if not begun:
                self._begin(connection)
            for write in writes:
                self._one(connection, write)
            connection.execute("COMMIT")
            self.commits += 1
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing was written, and nobody is told otherwise
            self._shared.live.clear()
            self._shared.counts.clear()
            self._shared.hooks.clear()
            for write in writes:
                write.error = write.error or _unavailable(error)
            with suppress(sqlite3.Error):
                _undo(connection)
            return error
        return None

    def _begin(self, connection: sqlite3.Connection) -> None:
        _undo(connection)  # if that failed the last time
        connection.execute("BEGIN IMMEDIATE")
        notice(_Driver(connection), self._shared)

    def _one(self, connection: sqlite3.Connection, write: _Write) -> None:
        connection.execute("SAVEPOINT one")
        transaction = Transaction(_Driver(connection), self._shared)
        try:
            write.result = write.work(transaction)
            transaction.flush()
            transaction.settled()
        except BaseException as error:  # it belongs to the one who asked, and is raised there
            if isinstance(error, sqlite3.Error) and not isinstance(error, _ITS_OWN):
                raise  # a full disk or a broken file undoes the others too
            connection.execute("ROLLBACK TO one")
            write.error = error
        else:
            jobs = transaction.jobs
            write.steps, write.queued, write.made = jobs.steps, jobs.queued, jobs.made
            write.touched = jobs.touched
            write.posted = transaction.outbox.fresh
        connection.execute("RELEASE one")

    def _done(self, writes: list[_Write]) -> None:
        self._running = False
        steps = [step for write in writes if write.error is None for step in write.steps]
        queued = sum(write.queued for write in writes if write.error is None)
        if steps or queued or any(write.made for write in writes if write.error is None):
            self._tell([partial(listener, steps, queued) for listener in self._listeners])
        touched = {batch for write in writes if write.error is None for batch in write.touched}
        if touched:
            self._tell([partial(listener, touched) for listener in self._batch_listeners])
        if any(write.posted for write in writes if write.error is None):
            for wake in self._senders:
                wake()
        for write in writes:
            if write.future.cancelled():
                continue
            if write.error is not None:
                write.future.set_exception(write.error)
            else:
                write.future.set_result(write.result)
        self._kick()
        if not self._running:
            self._quiet.set()

    def _tell(self, listeners: Iterable[Callable[[], None]]) -> None:
        for tell in listeners:
            try:
                tell()
            except Exception as error:  # noqa: BLE001  # those who wrote are answered all the same
                self._loop.call_exception_handler({"message": "a listener of the store failed", "exception": error})


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


_NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""The second: the file that its connections share could not grow."""


def _is_full(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) in _NO_ROOM


def _unavailable(error: Exception) -> Unavailable:
    full = _is_full(error)
    text = "the disk is full" if full else "the database cannot be used now"
    code = "storage-full" if full else "unavailable"
    refused = Unavailable(f"{text}; nothing was changed, try again later", code=code, retry_after=_COME_AGAIN)
    refused.__cause__ = error
    return refused


def _last_id(connection: sqlite3.Connection) -> int:
    """The greatest id drawn so far, in any table that has some."""
    rows = connection.execute(
        "SELECT max(id) FROM account UNION SELECT max(id) FROM credential UNION SELECT max(id) FROM spec "
        "UNION SELECT max(id) FROM folder UNION SELECT max(id) FROM webhook UNION SELECT max(id) FROM delivery"
    ).fetchall()
    return max((row[0] or 0 for row in rows), default=0)


def migrate(path: Path, *, busy_timeout: float = 5.0) -> None:
    """Makes the file, or brings it to this version's schema: whole, or not at all.

    Raises Unavailable when it cannot be opened, or belongs to a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # its companions get the same: nobody else on this host reads what jobs are told
        known = _revision(path)
        if known == HEAD:
            return
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        scripts = ScriptDirectory.from_config(config)
        if known is not None and known not in {script.revision for script in scripts.walk_revisions()}:
            raise Unavailable(
                f"the database {path} belongs to a newer version of Jobgate: its schema is {known}, and this version "
                f"knows those up to {HEAD}. Install the newer version again, or give another database"
            )
        engine = create_engine(
            URL.create("sqlite", database=str(path)),
            isolation_level="AUTOCOMMIT",  # the driver would commit before each CREATE; the transaction is ours
            connect_args={"timeout": busy_timeout},
            poolclass=NullPool,
        )
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        raise Unavailable(f"the database {path} cannot be opened: {error.orig}") from error
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"the database {path} cannot be opened: {error}") from error


def _revision(path: Path) -> str | None:
    if not path.exists():
        return None
    connection = sqlite3.connect(path)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        connection.close()
    return None if row is None else str(row[0])
