from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from store_places import locked

from jobgate.model.errors import Unavailable
from jobgate.store import migrations
from jobgate.store.sqlite import HEAD, migrate
from jobgate.store.tables import METADATA


def schema(path: Path) -> dict[str, str]:
    """The words each table and index was made with, but for blanks, quotes and the order of a table's parts."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    found = {}
    for name, sql in rows:
        words = re.sub(r'\s+|"', " ", sql).strip()
        if words.startswith("CREATE TABLE"):
            head, _, rest = words.partition("(")
            body, _, tail = rest.rpartition(")")
            parts = sorted(" ".join(sorted(part.split())) for part in re.split(r",(?![^(]*\))", body))
            words = f"{head.strip()} {parts} {tail.strip()}"
        found[name] = words
    return found


def test_the_migrations_make_the_tables_that_the_code_means(tmp_path: Path) -> None:
    migrate(tmp_path / "a.sqlite")
    engine = create_engine(f"sqlite:///{tmp_path / 'a.sqlite'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_the_migrations_make_the_indexes_and_constraints_that_the_code_means(tmp_path: Path) -> None:
    migrate(tmp_path / "a.sqlite")
    engine = create_engine(f"sqlite:///{tmp_path / 'b.sqlite'}")
    METADATA.create_all(engine)
    engine.dispose()
    made = schema(tmp_path / "a.sqlite")
    assert made.pop("alembic_version")
    assert made == schema(tmp_path / "b.sqlite")


def test_a_database_that_is_up_to_date_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.sqlite"
    migrate(path)
    before = path.read_bytes()
    migrate(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.touch()
    migrate(path)
    assert "job" in schema(path)


def test_a_database_of_a_newer_version_is_refused_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    migrate(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    before = schema(path)
    with pytest.raises(Unavailable, match=rf"a\.sqlite.* newer .*9999.*{HEAD}"):
        migrate(path)
    assert schema(path) == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"my letters, not yours\n" * 100)
    with pytest.raises(Unavailable, match=r"a\.sqlite cannot be opened: file is not a database"):
        migrate(path)
    assert path.read_bytes() == b"my letters, not yours\n" * 100


def test_a_folder_in_the_databases_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        migrate(tmp_path)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(Unavailable, match="cannot be opened"):
        migrate(tmp_path / "data" / "a.sqlite")


def test_a_migration_that_breaks_off_anywhere_leaves_nothing_and_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = op.create_table
    left = 0

    def breaks(*words: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(5, "Input/output error")
        return create(*words, **more)

    monkeypatch.setattr(op, "create_table", breaks)
    path = tmp_path / "a.sqlite"
    for good in (0, 1, 8):
        left = good + 1
        with pytest.raises(Unavailable, match="Input/output error"):
            migrate(path)
        assert schema(path) == {}
    migrate(path)
    assert "job" in schema(path)


def test_a_database_that_another_holds_is_refused_and_can_be_opened_after(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.touch()
    with locked(path), pytest.raises(Unavailable, match="locked"):
        migrate(path, busy_timeout=0.05)
    migrate(path)


def test_two_that_start_at_once_make_one_database(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    script = (
        "import sys, pathlib; from jobgate.store.sqlite import migrate; print('here', flush=True); "
        "sys.stdin.readline(); migrate(pathlib.Path(sys.argv[1]))"
    )
    words = [sys.executable, "-c", script, str(path)]
    with contextlib.ExitStack() as stack:
        starting = [
            stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))  # noqa: S603  # our own
            for _ in range(3)
        ]
        for process in starting:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
        for process in starting:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait() for process in starting] == [0, 0, 0]
    assert "job" in schema(path)


def test_the_newest_migration_is_the_one_the_code_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
