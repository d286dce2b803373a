"""The statements of the event log and of what is kept beside it; `statements.py` compiles them with the others."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any, Final

from sqlalchemy import bindparam, case, delete, func, insert, literal_column, or_, select, update
from sqlalchemy.sql.dml import Insert

from jobgate.store.tables import FIRST_OVER, LEDGER, STATE_NUMBERS, account, event, job, load, reaped, tally

_J = job.c
p = bindparam
LOG: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {}
"""Name to statement, and the order of its places."""


def _say(name: str, statement: Any, *order: str) -> None:
    LOG[name] = (statement, order)


def _insert(table: Any, *columns: str) -> Insert:
    return insert(table).values({c: p(c) for c in columns})


_FIRST = (event.c.job >= p("a"), event.c.job <= p("b"), event.c.seq == 1)
_EVENT = ("job", "seq", "at", "data")
_say("event_add", _insert(event, *_EVENT), *_EVENT)
_say("event_of", select(event.c.seq, event.c.at, event.c.data).where(event.c.job == p("j")).order_by(event.c.seq), "j")
_ENTRY_OF = select(event.c.cursor, event.c.job, event.c.seq, event.c.at, event.c.data, _J.batch, _J.owner).join_from(
    event, job, _J.id == event.c.job
)
"""The columns of an entry of the log; `log._entry` knows their order. Marks are of no job, and not among them."""
_ZERO: Final[Any] = literal_column("0")
"""Added to a column, it keeps the planner from an index that would make it walk over more than is meant."""
_say(
    "event_after",
    select(event.c.cursor, event.c.job, event.c.seq, event.c.at, event.c.data, _J.batch, _J.owner)
    .join_from(event, job, _J.id == event.c.job, isouter=True)
    .where(event.c.cursor > p("c"))
    .order_by(event.c.cursor)
    .limit(p("l")),
    "c",
    "l",
)
_GRAVE = select(event.c.cursor, event.c.job, event.c.seq, event.c.at, event.c.data)
"""A grave is the event of a job whose number is negative; its own `_grave` in `log` knows the columns' order."""
_say(
    "grave_of_few",
    _GRAVE.where(event.c.job >= p("a"), event.c.job <= p("b"), event.c.cursor + _ZERO > p("c"))
    .order_by(event.c.cursor + _ZERO)
    .limit(p("l")),
    *"abcl",
)
_say(
    "grave_of_many",
    _GRAVE.where(
        event.c.cursor > p("c"), event.c.cursor <= p("d"), event.c.job + _ZERO >= p("a"), event.c.job + _ZERO <= p("b")
    )
    .order_by(event.c.cursor)
    .limit(p("l")),
    *"cdabl",
)
_say(
    "grave_old",
    _GRAVE.where(event.c.job < _ZERO, event.c.job > p("i"), event.c.at < p("e")).limit(p("l")),
    *"iel",
)
_say("event_say", update(event).where(event.c.job == p("j"), event.c.seq == 1).values(data=p("d")), "d", "j")
_say("cursor_delete", delete(event).where(event.c.cursor == p("c")), "c")
_say(
    "event_of_many",
    _ENTRY_OF.where(
        event.c.cursor > p("c"),
        event.c.cursor <= p("d"),
        event.c.job + _ZERO >= p("a"),
        event.c.job + _ZERO <= p("b"),
        _J.owner + _ZERO == p("o"),
    )
    .order_by(event.c.cursor)
    .limit(p("l")),
    *"cdabol",
)
_say(
    "event_of_few",
    _ENTRY_OF.where(
        event.c.job >= p("a"), event.c.job <= p("b"), event.c.cursor + _ZERO > p("c"), _J.owner + _ZERO == p("o")
    )
    .order_by(event.c.cursor + _ZERO)
    .limit(p("l")),
    *"abcol",
)
_say(
    "event_next",
    select(func.min(event.c.cursor + _ZERO)).where(
        event.c.job >= p("a"), event.c.job <= p("b"), event.c.cursor + _ZERO > p("c")
    ),
    *"abc",
)
_say("event_touched", select(event.c.job).where(event.c.cursor > p("c"), event.c.cursor <= p("d")).distinct(), *"cd")
_say("event_born", select(event.c.cursor).where(event.c.job == p("j"), event.c.seq == 1), "j")
_say(
    "event_end",
    select(event.c.cursor, _J.owner)
    .join_from(event, job, _J.id == event.c.job)
    .where(event.c.job == p("j"))
    .order_by(event.c.seq.desc())
    .limit(1),
    "j",
)
_say(
    "job_first",
    select(_J.id).where(_J.owner == p("o"), _J.id >= p("a"), _J.id <= p("b")).order_by(_J.id).limit(1),
    *"oab",
)
_say("reaped_get", select(reaped.c.cursor).where(reaped.c.owner == p("o")), "o")
_say("reaped_add", _insert(reaped, "owner", "cursor"), "owner", "cursor")
_say("reaped_delete", delete(reaped).where(reaped.c.owner == p("o")), "o")
_say("event_last", select(event.c.cursor, event.c.job).order_by(event.c.cursor.desc()).limit(1))
_say("event_mark", _insert(event, "cursor", *_EVENT), "cursor", *_EVENT)
_say("event_first", select(event.c.data).where(*_FIRST).distinct(), "a", "b")
_say("event_owner", update(event).where(*_FIRST, event.c.data == p("d")).values(data=p("e")), "e", "a", "b", "d")
_say("event_at", select(event.c.cursor).where(event.c.job == p("j"), event.c.seq == p("s")), "j", "s")
_say("event_delete", delete(event).where(event.c.job == p("j")), "j")

_T = tally.c
_NUMBERS = [_T[state.value] for state in STATE_NUMBERS]
_TALLY = ("batch", *(column.name for column in _NUMBERS), "facts", "started", "ended", "estimate", "operations")
_MOVING = [_T[name] for name in LEDGER if name != "estimate"]
_say("tally_new", _insert(tally, *_TALLY), *_TALLY)
_say("tally_is", select(_T.batch).where(_T.batch == p("b")).limit(1), "b")
_say("tally_delete", delete(tally).where(_T.batch == p("b")), "b")
_say(
    "tally_of",
    select(*map(func.sum, _NUMBERS), func.sum(_T.facts), func.min(_T.started), func.max(_T.ended)).where(
        _T.batch == p("b")
    ),
    "b",
)
_say(
    "ledger_of",
    select(*(func.sum(_T[name]) for name in LEDGER), func.sum(reduce(add, _NUMBERS[:FIRST_OVER]))).where(
        _T.batch == p("b")
    ),
    "b",
)
_say(
    "tally_add",
    update(tally)
    .where(_T.batch == p("b"))
    .values(
        {
            **{column: column + p(f"n_{column.name}", type_=column.type) for column in _NUMBERS},
            _T.facts: _T.facts + p("f"),
            _T.started: case((or_(_T.started.is_(None), _T.started > p("s")), p("s")), else_=_T.started),
            _T.ended: case((or_(_T.ended.is_(None), _T.ended < p("e")), p("e")), else_=_T.ended),
            **{column: column + p(f"m_{column.name}", type_=column.type) for column in _MOVING},
        }
    )
    .returning(reduce(add, _NUMBERS[:FIRST_OVER]), *_NUMBERS[FIRST_OVER:]),
    *(f"n_{column.name}" for column in _NUMBERS),
    *"fssee",
    *(f"m_{column.name}" for column in _MOVING),
    "b",
)
_say(
    "account_grant",
    update(account).where(account.c.id == p("i")).values(credit=account.c.credit + p("c", type_=account.c.credit.type)),
    *"ci",
)
_say("account_credit", select(account.c.credit).where(account.c.id == p("i")), "i")
_say(
    "load_add",
    update(load).values(
        {column: column + p(column.name[0], type_=column.type) for column in (load.c.waiting, load.c.running)}
    ),
    *"wr",
)
_say("load_of", select(func.sum(load.c.waiting), func.sum(load.c.running)))
