"""The statements of batches, their numbers, and the names of jobs; `statements.py` compiles them with the others."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.sql.dml import Insert

from jobgate.store.tables import batch, job_name

p = bindparam
BATCHES: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {}
"""Name to statement, and the order of its places."""


def _say(name: str, statement: Any, *order: str) -> None:
    BATCHES[name] = (statement, order)


def _insert(table: Any, *columns: str) -> Insert:
    return insert(table).values({c: p(c) for c in columns})


_B = batch.c
_ONE: Final[Any] = literal_column("1")
_DOC = (_B.doc, _B.number, _B.first)
"""The columns a batch is read by; `rows.batch_of` knows their order."""

_BATCH = ("id", "owner", "app", "count", "expires", "doc", "name", "number", "first", "wakes")
_say("batch_add", _insert(batch, *_BATCH), *_BATCH)
_say("batch_get", select(*_DOC).where(_B.id == p("i")), "i")
_say("batch_count", select(_B.count).where(_B.id == p("i")), "i")
_say("batch_rename", update(batch).where(_B.id == p("i")).values(name=p("n"), doc=p("d")), "d", "n", "i")
_say("batch_delete", delete(batch).where(_B.id == p("i")), "i")
_say("batch_put", update(batch).where(_B.id == p("i")).values(owner=p("o"), doc=p("d")), "o", "d", "i")
_say(
    "batch_set",
    update(batch)
    .where(_B.id == p("i"))
    .values(
        app=p("a"),
        count=p("c"),
        expires=p("e"),
        doc=p("d"),
        first=p("n"),
        filled=p("f"),
        retired=p("r"),
        wakes=p("w"),
    ),
    *"acednfrwi",
)
_say("batch_of_owner", select(_B.id).where(_B.owner == p("o")), "o")

# --- numbers

_say(
    "number_last",
    select(_B.number, _B.first, _B.count).where(_B.number > literal_column("0")).order_by(_B.number.desc()).limit(_ONE),
)
_LATE: Final = (_B.first != _B.number, _B.first > literal_column("0"))
"""Of batches that were made empty and have been filled."""
_say("first_last", select(_B.first, _B.count).where(*_LATE).order_by(_B.first.desc()).limit(_ONE))
_say(
    "number_upto",
    select(*_DOC).where(_B.number > literal_column("0"), _B.number <= p("n")).order_by(_B.number.desc()).limit(_ONE),
    "n",
)
_say(
    "first_upto",
    select(*_DOC).where(*_LATE, _B.first <= p("n")).order_by(_B.first.desc()).limit(_ONE),
    "n",
)
_say(
    "number_after",
    select(_B.number, _B.first, _B.count)
    .where(_B.number > literal_column("0"), _B.number > p("n"))
    .order_by(_B.number)
    .limit(p("l")),
    *"nl",
)
_say(
    "first_after",
    select(_B.first, _B.count).where(*_LATE, _B.first > p("n")).order_by(_B.first).limit(p("l")),
    *"nl",
)

# --- by name, leases, empty ones

_say(
    "batch_named",
    select(*_DOC)
    .where(_B.owner == p("o"), _B.name == p("n"), _B.name != literal_column("''"), _B.retired.is_(None))
    .order_by(_B.id.desc())
    .limit(_ONE),
    *"on",
)
_say(
    "batch_named_any",
    select(*_DOC)
    .where(_B.owner == p("o"), _B.name == p("n"), _B.name != literal_column("''"))
    .order_by(_B.id.desc())
    .limit(_ONE),
    *"on",
)
_say(
    "batch_filled_since",
    select(func.min(_B.id)).where(_B.owner == p("o"), _B.filled.is_not(None), _B.filled >= p("s")),
    *"os",
)
_say(
    "batch_wakes",
    select(_B.id).where(_B.wakes.is_not(None), _B.wakes <= p("n")).order_by(_B.wakes).limit(p("l")),
    *"nl",
)
_say("batch_linger", update(batch).where(_B.id == p("i")).values(wakes=p("w")), *"wi")
_say("batch_stir", update(batch).where(_B.wakes.is_not(None), _B.wakes >= p("w")).values(wakes=_B.retired), "w")
_say("batch_next_wake", select(func.min(_B.wakes)).where(_B.wakes.is_not(None), _B.wakes > p("n")), "n")
_say(
    "batch_empty",
    select(*_DOC).where(_B.count == literal_column("0"), _B.id > p("a"), _B.id < p("b")).order_by(_B.id).limit(p("l")),
    *"abl",
)

# --- names of jobs

_NAME = ("owner", "name", "batch", "job")
_say("name_add", _insert(job_name, *_NAME), *_NAME)
_say(
    "name_get",
    select(job_name.c.batch, job_name.c.job).where(job_name.c.owner == p("o"), job_name.c.name == p("n")),
    *"on",
)
_say("name_delete", delete(job_name).where(job_name.c.job == p("j")), "j")
_OTHER = job_name.alias("other")
_say(
    "name_clash",
    select(job_name.c.name).where(
        job_name.c.owner == p("o"),
        select(_OTHER.c.name).where(_OTHER.c.owner == p("t"), _OTHER.c.name == job_name.c.name).exists(),
    ),
    *"ot",
)
_say(
    "name_change",
    update(job_name).where(job_name.c.owner == p("o"), job_name.c.name == p("n")).values(name=p("m")),
    *"mon",
)
_say("name_move", update(job_name).where(job_name.c.owner == p("o")).values(owner=p("t")), *"to")
