"""The facts of all jobs in commit order, read back in pieces.

No piece costs more than a bounded walk, however long the log is and whoever's events lie between those asked for: the
loop that reads is the loop that answers everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from jobgate.model.facts import Fact
from jobgate.model.ids import STRIDE, AccountId, BatchId, JobId
from jobgate.model.told import Entry, Grave
from jobgate.store import rows
from jobgate.store.driver import Driver, Row
from jobgate.store.tables import NO_JOB

STEP: Final = 2000
"""Entries of the log that one piece walks over, whosesoever they are."""
FEW: Final = 256
"""Of so many jobs the entries are looked up job by job, and nobody else's are walked over."""
LEAP: Final = 4096
"""Of so many jobs it is looked up where the next entry is, when a piece has met none."""
_LAST: Final = (1 << 63) - 1


class Whose(msgspec.Struct, frozen=True):
    """The jobs whose events are meant: of one account, and of one run of ids."""

    owner: AccountId
    first: JobId = JobId(0)
    last: JobId = JobId(_LAST)

    @property
    def most(self) -> int:
        """How many jobs that can be."""
        return (self.last - self.first) // STRIDE + 1


class Piece(msgspec.Struct, frozen=True):
    """What follows a cursor, up to another."""

    entries: tuple[Entry | Grave, ...]
    upto: int
    """Every entry meant, up to this cursor, is among them."""
    head: bool
    """The log goes no further now."""


class Log:
    """The event log, in one transaction."""

    def __init__(self, driver: Driver, flush: Callable[[], None]) -> None:
        self._db = driver
        self._flush = flush

    def of(self, job: JobId) -> list[Fact]:
        """A job's facts, from its beginning."""
        self._flush()
        return [rows.fact_of(job, *row) for row in self._db.all("event_of", job)]

    def all(self, after: int, limit: int) -> list[tuple[int, Fact]]:
        """The next facts of all jobs, with their cursors."""
        self._flush()
        return [(row[0], rows.fact_of(*row[1:5])) for row in self._db.all("event_after", after, limit) if row[1] > 0]

    def touched(self, after: int, upto: int) -> list[JobId]:
        """Jobs of anybody's with an event after the one cursor, up to the other; in no order."""
        self._flush()
        return [JobId(row[0]) for row in self._db.all("event_touched", after, upto) if row[0] != NO_JOB]

    def head(self) -> int:
        """The cursor of the last fact."""
        self._flush()
        row = self._db.one("event_last")
        return 0 if row is None else int(row[0])

    def tail(self, after: int, limit: int, wanted: Callable[[AccountId, BatchId, JobId], bool]) -> Piece:
        """Of the next `limit` entries of all jobs those that are wanted."""
        self._flush()
        found = self._db.all("event_after", after, limit)
        kept = tuple(entry for row in found if (entry := _wanted(row, wanted)) is not None)
        return Piece(kept, found[-1][0] if found else after, len(found) < limit)

    def piece(self, whose: Whose, after: int, limit: int) -> Piece:
        """What follows `after`, `limit` entries at most; perhaps none, though more follow."""
        self._flush()
        head = self.head()
        if after >= head:
            return Piece((), after, head=True)
        first, last = -whose.last, -whose.first or -1
        if whose.most <= FEW:
            found = self._db.all("event_of_few", whose.first, whose.last, after, whose.owner, limit)
            graves = self._db.all("grave_of_few", first, last, after, limit)
            upto = head
        else:
            upto = min(after + STEP, head)
            found = self._db.all("event_of_many", after, upto, whose.first, whose.last, whose.owner, limit)
            graves = self._db.all("grave_of_many", after, upto, first, last, limit)
            if not (found or graves) and upto < head and whose.most <= LEAP:
                upto = self._before(whose, upto, head)
        for some in (found, graves):
            if len(some) == limit:
                upto = min(upto, some[-1][0])
        entries: list[Entry | Grave] = [_entry(row) for row in found if row[0] <= upto]
        entries += [grave for row in graves if row[0] <= upto and (grave := _grave(row)).owner == whose.owner]
        entries.sort(key=_cursor)
        return Piece(tuple(entries), upto, upto >= head)

    def _before(self, whose: Whose, after: int, head: int) -> int:
        """The cursor before the next entry; the head where there is none."""
        ranges = (whose.first, whose.last), (-whose.last, -whose.first)
        found = [row[0] for span in ranges if (row := self._db.one("event_next", *span, after)) is not None]
        return min((int(cursor) - 1 for cursor in found if cursor is not None), default=head)

    def before(self, whose: Whose) -> int:
        """The cursor before the first entry that is kept; the head where there is none."""
        self._flush()
        row = self._db.one("job_first", whose.owner, whose.first, whose.last)
        born = None if row is None else self._db.one("event_born", row[0])
        return self.head() if born is None else int(born[0]) - 1

    # --- retention

    def expire(self, jobs: Iterable[JobId]) -> None:
        """Notes how far an account's log is no longer whole, before the end of their retention removes these jobs."""
        self._flush()
        last: dict[int, int] = {}
        for job in jobs:
            row = self._db.one("event_end", job)
            if row is not None:
                last[row[1]] = max(last.get(row[1], 0), row[0])
        self._reaped(last)

    def bury(self, before: JobId, ended: float, limit: int) -> int:
        """Forgets deletions that were told of by `ended`, of jobs made before `before`; how many there were."""
        self._flush()
        last: dict[int, int] = {}
        head = self.head()
        found = [_grave(row) for row in self._db.all("grave_old", -before, ended, limit)]
        for grave in found:
            if grave.cursor != head:  # its cursor would be given again
                last[grave.owner] = max(last.get(grave.owner, 0), grave.cursor)
                self._db.run("cursor_delete", grave.cursor)
        self._reaped(last)
        return len(found)

    def _reaped(self, last: Mapping[int, int]) -> None:
        for owner, cursor in last.items():
            if cursor > self.expired(AccountId(owner)):
                self._db.run("reaped_delete", owner)
                self._db.run("reaped_add", owner, cursor)

    def expired(self, owner: AccountId) -> int:
        """The last cursor of the account's that retention has removed; 0 when it has removed none."""
        row = self._db.one("reaped_get", owner)
        return 0 if row is None else int(row[0])


class _Epitaph(msgspec.Struct, frozen=True, array_like=True):
    """What the row of a grave holds beside its columns."""

    owner: AccountId
    batch: BatchId
    last: bool


_read: Final = msgspec.msgpack.Decoder(_Epitaph)
OF_JOB: Final = 1
OF_BATCH: Final = 2
"""The `seq` of a grave: a batch has the id of its first job."""


def epitaph(owner: AccountId, batch: BatchId, *, last: bool) -> bytes:
    """The data of a grave's row."""
    return msgspec.msgpack.encode(_Epitaph(owner, batch, last))


def _grave(row: Row) -> Grave:
    cursor, job, seq, at, data = row[:5]
    told = _read.decode(data)
    return Grave(cursor, at, told.batch, told.owner, JobId(-job) if seq == OF_JOB else None, told.last)


def _wanted(row: Row, wanted: Callable[[AccountId, BatchId, JobId], bool]) -> Entry | Grave | None:
    """Marks are nobody's."""
    if row[5] is not None:
        return _entry(row) if wanted(row[6], row[5], row[1]) else None
    if row[1] >= 0:
        return None
    grave = _grave(row)
    return grave if wanted(grave.owner, grave.batch, grave.about) else None


def _cursor(entry: Entry | Grave) -> int:
    return entry.cursor


def _entry(row: Row) -> Entry:
    cursor, job, seq, at, data, batch, owner = row
    return Entry(cursor, rows.fact_of(job, seq, at, data), BatchId(batch), AccountId(owner))
