from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect
from store_places import fresh

from jobgate import store
from jobgate.store import statements
from jobgate.store.statements import compiled
from jobgate.store.tables import STATES, job

TEXTS = compiled(sqlite_dialect())
SMALL = frozenset({"account", "credential", "load", "node", "orphan", "past"})
"""Tables that stay small: what people hold, one row, processes, blobs deleted within the hour, kinds of past runs."""
NEWEST = frozenset({"event_last"})
"""Reads from one end, and stops at the first row."""
RUNS = frozenset({"job_run", "event_run"})
"""Walk over as many numbers as they make rows."""
WHOLE = frozenset({"secret_all"})
"""Means all of it, while no server runs."""


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_the_database_understands_the_statement(name: str, tmp_path: Path) -> None:
    text = TEXTS[name]
    with closing(sqlite3.connect(fresh(tmp_path))) as database:
        database.execute(f"EXPLAIN {text}", [1] * text.count("?")).fetchall()


def test_no_statement_reads_a_large_table_from_one_end_to_the_other(tmp_path: Path) -> None:
    reads = {}
    with closing(sqlite3.connect(fresh(tmp_path))) as database:
        for name in TEXTS.keys() - NEWEST - WHOLE - RUNS:
            text = TEXTS[name]
            plan = database.execute(f"EXPLAIN QUERY PLAN {text}", [1] * text.count("?")).fetchall()
            scans = [step[3] for step in plan if step[3].startswith("SCAN") and step[3].split()[1] not in SMALL]
            if scans:
                reads[name] = scans
    assert reads == {}


def test_every_statement_is_asked_by_somebody() -> None:
    folder = Path(store.__file__).parent
    asked = "".join(path.read_text() for path in folder.glob("*.py") if not path.name.endswith("statements.py"))
    assert {name for name in TEXTS if f'"{name}"' not in asked} == set()


def test_every_statement_that_is_asked_is_there() -> None:
    folder = Path(store.__file__).parent
    asked = "".join(path.read_text() for path in folder.glob("*.py") if not path.name.endswith("statements.py"))
    named = set(re.findall(r'(?:db|_db|_Driver\(\w+(?:\.\w+)?\))\.(?:all|one|run|many)\(\s*"(\w+)"', asked))
    assert named
    assert named <= set(TEXTS)


def test_a_statement_whose_places_are_in_another_order_than_stated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = select(job.c.id).where(job.c.owner == bindparam("o"), job.c.priority == bindparam("p"))
    monkeypatch.setitem(statements._STATEMENTS, "wrong", (wrong, ("p", "o")))  # noqa: SLF001  # the list it compiles
    with pytest.raises(AssertionError, match="wrong: the places are"):
        compiled(sqlite_dialect())


def test_constants_stand_in_the_text_so_that_only_the_stated_places_are_left() -> None:
    for name, (_, order) in statements._STATEMENTS.items():  # noqa: SLF001  # the list it compiles
        assert TEXTS[name].count("?") == len(order), name
    assert "state = 1" in TEXTS["job_heads"]


def test_the_numbers_of_the_states_are_in_the_order_that_ranges_of_them_rely_on() -> None:
    assert [STATES[number].over for number in sorted(STATES)] == [False] * 6 + [True] * 3
