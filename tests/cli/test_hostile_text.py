"""Names, labels, log lines come from strangers: they are shown, and steer nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from canned import Canned, fit, train, train_batch
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from typed import Type

from jobgate.cli.describe import batch_lines, job_lines
from jobgate.cli.render import Cell, Column, ascii_only, logged, piped, sized, table
from jobgate.client.records import BatchRecord, JobRecord
from jobgate.client.words import plain

HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]x[/]\u202eevil\u200f\r\n\tname"
COLUMNS = [Column("ID", whole=True), Column("NAME"), Column("STATE"), Column("NOTE", note=True)]
ANY = st.text(max_size=40)
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@given(st.lists(st.tuples(ANY, ANY, ANY), min_size=1, max_size=4), st.integers(20, 140))
def test_a_table_of_any_text_is_printable_and_within_its_width(rows: list[tuple[str, str, str]], width: int) -> None:
    cells = [[Cell("2n6r0kqa"), *map(Cell, row)] for row in rows]
    lines = table(COLUMNS, cells, width)
    assert all(line.isprintable() for line in lines)
    assert all(cell_len(line) <= max(width, 40) for line in lines), lines
    assert sum("2n6r0kqa" in line for line in lines) >= len(rows)


@given(st.lists(ANY, min_size=1, max_size=5))
def test_a_piped_row_is_one_line_whose_tabs_are_ours_alone(texts: list[str]) -> None:
    (line,) = piped([list(map(Cell, texts))])
    assert line.count("\t") == len(texts) - 1
    assert "\n" not in line
    assert "\x1b" not in line


@given(ANY, st.integers(1, 60))
def test_a_text_is_cut_to_its_cells_whatever_their_width(text: str, cells: int) -> None:
    assert cell_len(sized(plain(text), cells)) == cells


@given(ANY)
def test_what_is_written_as_ascii_is_ascii(text: str) -> None:
    assert ascii_only(text).isascii()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80), st.booleans())
def test_a_log_line_obeys_colours_alone_and_ends_them(text: str, colour: bool) -> None:
    shown = logged(text + "\n", colour=colour)
    rest = shown.replace("\x1b[0m", "")
    assert "\n" not in shown
    if not colour:
        assert "\x1b" not in rest


def test_a_log_line_keeps_its_colours_and_loses_the_rest() -> None:
    line = "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;t\x07\u202eend\n"
    assert logged(line, colour=True) == "\x1b[31mred\x1b[0m \\x1b[2J\\x1b]0;t\\x07\\u202eend\x1b[0m"
    assert logged(line, colour=False) == "red \\x1b[2J\\x1b]0;t\\x07\\u202eend"


@pytest.mark.parametrize("width", [50, 80, 120])
def test_a_hostile_job_and_batch_are_told_in_printable_lines(width: int) -> None:
    attempt = {"id": "2n6r1abc-1-1", "environment": HOSTILE, "node": HOSTILE}
    more = {"name": HOSTILE, "message": HOSTILE, "failure": HOSTILE, "limit": HOSTILE, "attempts": [attempt]}
    for state in ("queued", "running", "failed", "succeeded", HOSTILE):
        view = train(state=state, environment=HOSTILE, **more)
        view["waits"] = {"reason": HOSTILE, "text": HOSTILE, "clears": HOSTILE, "environments": [{"name": HOSTILE}]}
        lines = job_lines(msgspec.convert(view, JobRecord), HOSTILE, NOW, width)
        assert all(line.isprintable() for line in lines), (state, lines)
    failures = [{"failure": HOSTILE, "message": HOSTILE, "last_line": HOSTILE, "count": 1, "such_as": HOSTILE}]
    view = fit(name=HOSTILE, labels={HOSTILE: HOSTILE}, environments=[HOSTILE], failures=failures, over=True)
    assert all(line.isprintable() for line in batch_lines(msgspec.convert(view, BatchRecord), NOW, width))


@pytest.mark.parametrize("width", [0, 80])
def test_no_command_lets_a_strangers_words_reach_the_terminal(canned: Canned, type_: Type, width: int) -> None:
    canned.tell("GET", "/v1/batches", {"items": [train_batch(name=HOSTILE)], "next": None})
    canned.show(train(name=HOSTILE, state="failed", failure="program", exit_code=1, message=HOSTILE))
    canned.show(fit(name=HOSTILE, over=True, state="failed", failures=[{"last_line": HOSTILE, "count": 1}]))
    canned.tell("GET", "/v1/environments", {"items": [{"name": HOSTILE, "engine": HOSTILE, "down_because": HOSTILE}]})
    canned.tell("GET", "/v1/apps", {"items": [{"name": HOSTILE, "title": HOSTILE}]})
    canned.tell("GET", "/v1/account", {"account": HOSTILE, "scopes": [HOSTILE]})
    canned.tell("GET", "/v1/jobs/2n6r1abc-1/files", {"items": [{"path": HOSTILE}], "next": None})
    canned.tell("GET", "/v1/webhooks", {"items": [{"id": "w1", "url": HOSTILE}], "next": None})
    for words in (
        ("list",),
        ("status", "2n6r1abc-1"),
        ("status", "2n6r0kqa"),
        ("wait", "2n6r1abc-1"),
        ("wait", "2n6r0kqa"),
        ("environments",),
        ("apps",),
        ("whoami",),
        ("files", "2n6r1abc-1"),
        ("webhooks", "list"),
    ):
        seen = type_(*words, width=width)
        for text in (seen.out, seen.err):
            assert all(line.replace("\t", "").isprintable() for line in text.split("\n")), (words, text)
