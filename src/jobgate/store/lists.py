"""Pages of jobs and of batches: each by the index that leads to it, and with bounded work.

What an index cannot tell is looked at row by row. With `looks` a page ends after about so many rows, with fewer jobs
than its limit if need be, and says where to go on: one answer costs the same however much there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from jobgate.model.facts import Attempts
from jobgate.model.ids import STRIDE, AccountId, JobId, bound
from jobgate.model.job import Batch, Job
from jobgate.model.selectors import BatchesWhere, Where
from jobgate.model.state import JobState, Limit
from jobgate.store import rows
from jobgate.store.driver import Driver, Row
from jobgate.store.tables import FIRST_OVER, FIRST_TAKEN, RARE, STATE_NUMBERS

_LAST: Final = (1 << 63) - 1
"""Greater than every id."""
_SLACK: Final = 60.0
"""Seconds that ids may run ahead of the clock: a burst does by milliseconds, a clock that was set back by more."""
_COLUMNS: Final = "j.id, j.batch, j.owner, j.spec, j.state, j.priority, j.created, j.ready, j.version, j.doc"
_PIECE: Final = 500
_STRETCH: Final = 5000
"""Rows that one statement passes over at most."""
_PART: Final = 20
"""Rows that could be looked at in the time that goes to the next batch."""
_LIVE: Final = frozenset(range(FIRST_TAKEN, FIRST_OVER))


class _Part(msgspec.Struct, frozen=True):
    """Jobs that one index leads to in the order of their ids, from `low` to `high`."""

    clauses: tuple[str, ...]
    values: tuple[object, ...]
    low: int
    high: int
    ident: str = "j.id"


class _Looked(msgspec.Struct):
    """How much was looked at."""

    left: int
    at: int = 0
    """The last row."""


class Lists:
    """Pages over what is kept, with what this transaction has written."""

    def __init__(self, driver: Driver, flush: Callable[[], None]) -> None:
        self._db = driver
        self._flush = flush

    def jobs(self, owner: AccountId, where: Where) -> tuple[list[tuple[Job, Attempts]], JobId | None]:
        """An account's jobs that meet the conditions; and after which job to go on, if there may be more."""
        self._flush()
        looked = _Looked(_LAST if where.looks is None else where.looks)
        found: list[tuple[Job, Attempts]] = []
        for part in self._parts(owner, where):
            for row in self._rows(part, where, looked):
                job, attempts = rows.job_of(row[:-1])
                if not _meets(job, attempts, row[-1], where):
                    continue
                if len(found) == where.limit:
                    return found, found[-1][0].id
                found.append((job, attempts))
            if looked.left <= 0:
                return found, JobId(looked.at)
            looked.left -= _PART
            looked.at = part.high if where.ascending else part.low
        return found, None

    def batches(self, owner: AccountId, where: BatchesWhere) -> Iterator[Batch]:
        """An account's batches, newest first, as far as it is read.

        They meet all conditions but those about states; and there are retired ones among them, whatever is asked.
        """
        self._flush()
        low, high = _ids(where.since, where.before)
        if where.after is not None:
            high = min(high, where.after - 1)
        for _, _, _, *row in self._batches(owner, where, low, high):
            batch = rows.batch_of(*row)
            if (where.since is None or batch.created >= where.since) and (
                where.before is None or batch.created < where.before
            ):
                yield batch

    # --- where to look

    def _parts(self, owner: AccountId, where: Where) -> Iterator[_Part]:
        low, high = _ids(where.since, where.before)
        if where.since is not None:
            low = self._filled(owner, where.since, low)
        if where.after is not None:
            low, high = (max(low, where.after + 1), high) if where.ascending else (low, min(high, where.after - 1))
        numbers = frozenset(STATE_NUMBERS[state] for state in where.states)
        if where.batch is None and where.app is None and where.name is None and not where.labels:
            yield _within(numbers, _Part(("j.owner = ?",), (owner,), low, high))
            return
        for ident, count, retired, *_ in self._batches(owner, where, 0, high):
            if not count or (retired is not None and where.batch is None):
                yield _Part((), (), 1, 0)  # it costs a look
                continue
            last = ident + (count - 1) * STRIDE
            if last < low:
                if where.since is None:
                    continue
                return
            part = _Part(("j.batch = ?", "+j.owner = ?"), (ident, owner), max(low, ident), min(high, last))
            if count > _STRETCH and numbers and numbers <= RARE:
                part = _within(numbers, _Part(("j.owner = ?", "+j.batch = ?"), (owner, ident), part.low, part.high))
            yield part

    def _filled(self, owner: AccountId, since: float, low: int) -> int:
        """Jobs that filled a batch have the ids it was made with: lower ones than others of their time."""
        row = self._db.one("batch_filled_since", owner, since)
        return low if row is None or row[0] is None else min(low, row[0])

    def _batches(self, owner: AccountId, where: Where | BatchesWhere, low: int, high: int) -> Iterator[Row]:
        """Of each batch that bears the name, app and labels: id, number of jobs, whether it is retired, document."""
        clauses, tables, ident = ["b.owner = ?"], "batch b", "b.id"
        values: list[object] = [owner]
        for number, (key, value) in enumerate(where.labels):
            on = f"l{number}"
            tables = f"label {on} CROSS JOIN {tables}" if number == 0 else f"{tables} CROSS JOIN label {on}"
            ident = "l0.batch"
            clauses += [f"{on}.owner = ?", f"{on}.key = ?", f"{on}.value = ?", f"{on}.batch = b.id"]
            values += [owner, key, value]
        for column, asked in (("app", where.app), ("name", where.name)):
            if asked is not None:
                clauses += [f"b.{column} = ?", *([f"b.{column} <> ''"] if asked else [])]
                values.append(asked)
        if isinstance(where, Where) and where.batch is not None:
            low = high = where.batch
        sql = (
            f"SELECT b.id, b.count, b.retired, b.doc, b.number, b.first FROM {tables} WHERE {' AND '.join(clauses)} "  # noqa: S608  # our own words
            f"AND {ident} >= ? AND {ident} <= ? ORDER BY {ident} DESC LIMIT ?"
        )
        size = min(where.limit + 1, _PIECE)
        while low <= high:
            piece = self._db.text(sql, *values, low, high, size)
            yield from piece
            if len(piece) < size:
                return
            high = piece[-1][0] - 1

    # --- looking

    def _rows(self, part: _Part, where: Where, looked: _Looked) -> Iterator[Row]:
        """The part's rows, in order, until enough is looked at; the last column is the place they are bound to."""
        clauses, values = _narrow(where)
        i = part.ident
        among = " AND ".join((*part.clauses, f"{i} >= ?", f"{i} <= ?"))
        order = f"ORDER BY {i} {'ASC' if where.ascending else 'DESC'} LIMIT"
        sql = f"SELECT {_COLUMNS}, j.place FROM job j WHERE {' AND '.join((among, *clauses))} {order} ?"  # noqa: S608  # our own words
        edges = f"SELECT j.id FROM job j WHERE {among} {order} 1 OFFSET ?"  # noqa: S608  # our own words
        low, high, size = part.low, part.high, min(where.limit + 1, _PIECE)
        stretch = 2 * size
        while low <= high and looked.left > 0:
            stretch = min(2 * stretch, _STRETCH, looked.left)
            edge = self._db.text(edges, *part.values, low, high, stretch) if clauses else []
            ends = edge[0][0] if edge else high if where.ascending else low
            piece = self._db.text(sql, *part.values, *((low, ends) if where.ascending else (ends, high)), *values, size)
            for row in piece:
                looked.left -= 1
                looked.at = row[0]
                yield row
            if len(piece) == size:
                ends = looked.at
            elif not edge:
                return
            else:
                looked.left -= stretch
                looked.at = ends
            low, high = (ends + 1, high) if where.ascending else (low, ends - 1)


def _within(numbers: frozenset[int], part: _Part) -> _Part:
    """The part by the index of those states, where there is one."""
    if numbers and numbers <= RARE:
        return msgspec.structs.replace(part, clauses=(*part.clauses, f"j.state IN {tuple(sorted(RARE))}"))
    if numbers and numbers <= _LIVE:
        words = (f"j.state BETWEEN {FIRST_TAKEN} AND {FIRST_OVER - 1}", *(f"+{word}" for word in part.clauses))
        return msgspec.structs.replace(part, clauses=words, ident="+j.id")
    return part


def _narrow(where: Where) -> tuple[list[str], list[object]]:
    """What is to be seen of each row."""
    clauses: list[str] = []
    values: list[object] = []
    if where.batch is None:
        clauses.append("NOT EXISTS (SELECT 1 FROM batch r WHERE r.id = j.batch AND r.retired IS NOT NULL)")
    if where.states:
        numbers = sorted(STATE_NUMBERS[state] for state in where.states)
        clauses.append(f"+j.state IN ({', '.join(map(str, numbers))})")
    if where.since is not None:
        clauses.append("j.created >= ?")
        values.append(where.since)
    if where.before is not None:
        clauses.append("j.created < ?")
        values.append(where.before)
    if where.environment is not None:
        clauses.append("(j.place = ? OR instr(j.doc, ?) > 0)")  # a document without the word has no such attempt
        values += [where.environment, where.environment.encode()]
    return clauses, values


def _meets(job: Job, attempts: Attempts, place: str, where: Where) -> bool:
    """Whether the rest is as asked for, too."""
    if where.environment not in (None, attempts[-1].environment if attempts else place):
        return False
    if where.timed_out is None or job.state is not JobState.FAILED:
        return True  # only a failed job can have been stopped at its wall time
    return (job.limit is Limit.WALLTIME) == where.timed_out


def _ids(since: float | None, before: float | None) -> tuple[int, int]:
    """Between which ids the jobs lie that were made then."""
    low = 0 if since is None else bound(since) - (STRIDE << 16)  # the first of that millisecond
    return low, _LAST if before is None else min(bound(before + _SLACK), _LAST)
