"""Every command and snippet that the pages show, carried out in the order in which a reader meets them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from blocks import ROOT, RUNS, Block, Page, expected, read
from gateways import Gateway
from terminal import Desk

from jobgate import config
from jobgate.auth.desk import open_accounts
from jobgate.model.account import Kind

GATEWAY: Final = """
[environments.local]
slots = 2
[images.host]
[apps.sh]
[apps.uppercase]
command = ["sh", "-c", "tr a-z A-Z < in > out"]
[apps.uppercase.template]
inputs = [{ path = "in" }]
outputs = [{ path = "out" }]
"""


def pages() -> list[Page]:
    """Those that are in git, or would be by adding everything, but for the tests' own."""
    git = shutil.which("git")
    assert git
    words = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603  # our own
    kept = sorted({name for name in names.split("\0") if name and not name.startswith("tests/")})
    return [read(ROOT / name) for name in kept if (ROOT / name).exists()]


PAGES: Final = pages()
RUN: Final = [page for page in PAGES if any(block.language in RUNS and not block.not_run for block in page.blocks)]


def test_every_block_is_run_or_says_why_not() -> None:
    assert not [fault for page in PAGES for fault in page.faults]
    for page in PAGES:
        for block in page.blocks:
            if block.not_run:
                print(f"not run: {block.where}: {block.not_run}")  # noqa: T201  # shown by pytest -rP


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for above in (tmp_path, *list(tmp_path.parents)[:3]):
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    made = tmp_path / "reader"
    made.mkdir(mode=0o711)
    return made


@contextmanager
def given(page: Page, beside: Path) -> Iterator[dict[str, str]]:
    """What is there before the first block: for a page with a gateway, its address, folder and keys."""
    if not page.with_gateway:
        yield {}
        return
    gateway = Gateway(beside / "data", GATEWAY)
    gateway.data.mkdir(mode=0o711)
    desk = open_accounts(gateway.data, "", "docs", make=True)
    desk.create("lab")
    key, authenticator = (desk.add("lab", kind, None)[1] for kind in (Kind.API_KEY, Kind.CHARITY_ENGINE))
    try:
        gateway.start()
        given = {"URL": gateway.url, "DATA": str(gateway.data), "KEY": key, "CE": authenticator}
        yield {**given, "JOBGATE_SERVER": gateway.url, "JOBGATE_KEY": key}
    finally:
        gateway.end()


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.name))
def test_a_page_does_what_it_shows(page: Page, folder: Path) -> None:
    with given(page, folder.parent) as env:
        desk = Desk(folder, env)
        try:
            for block in page.blocks:
                if not block.not_run:
                    _carry_out(block, desk)
        finally:
            desk.end()


def _carry_out(block: Block, desk: Desk) -> None:
    match block.language:
        case "json":
            json.loads(block.text)
        case "toml":
            assert not config.check(block.text), block.where
            if name := re.match(r"# ([\w.-]+\.toml)\n", block.text):
                (desk.folder / name[1]).write_text(block.text)
        case "python":
            _held_to(block, block.text, block.shown, desk.python(block.text))
        case "sh" if block.until:
            printed, told = desk.stay(block.text, block.until)
            assert printed, f"{block.where} ended without {block.until!r}:\n{told}"
            if block.shown is not None:
                assert expected(block.shown).search(told), f"{block.where} printed\n{told}"  # after what it warns of
        case "sh":
            _held_to(block, block.text, block.shown, desk.sh(block.text, fails=bool(block.status)))
        case "console":
            for command, shown in commands(block.text):
                _held_to(block, command, shown, desk.sh(command, fails=bool(block.status)))


def _held_to(block: Block, text: str, shown: str | None, came: tuple[int | None, str]) -> None:
    status, told = came
    assert status == block.status, f"{block.where} ended with {status}, not {block.status}:\n{text}\nprinted\n{told}"
    if shown is not None:
        told = told if told.endswith("\n") else f"{told}\n"
        assert expected(shown).fullmatch(told), f"{block.where}:\n{text}\nprinted\n{told}\ninstead of\n{shown}"


def commands(session: str) -> list[tuple[str, str]]:
    """The commands of a `console` block, each with what it printed; a command goes on after a backslash."""
    found: list[tuple[str, str]] = []
    goes_on = False
    for line in session.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif goes_on:
            found[-1] = (found[-1][0] + line, "")
        else:
            found[-1] = (found[-1][0], found[-1][1] + line)
        goes_on = (line.startswith("$ ") or goes_on) and line.endswith("\\\n")
    return found


# --- the runner itself


def test_comments_before_a_block_say_what_becomes_of_it() -> None:
    text = (
        "<!-- with: a gateway -->\n# A\n\n<!-- status: 3 -->\n\n```sh\nexit 3\n```\n\n```text\nx\n```\n\nThen\n\n"
        "```text\ny\n```\n"
        "\n<!-- not run: needs a Slurm -->\n```sh\nsbatch\n```\n\n<!-- not run: nothing follows -->\n\nend\n"
    )
    page = read(ROOT / "docs" / "x.md", text)
    assert page.with_gateway
    first, loose, last = page.blocks
    assert (first.language, first.status, first.shown, first.line) == ("sh", 3, "x\n", 6)
    assert (loose.language, loose.shown) == ("text", None)
    assert last.not_run == "needs a Slurm"
    assert len(page.faults) == 2


@pytest.mark.parametrize(
    ("shown", "told", "same"),
    [
        ("2n6r0kqa-1 is queued", "bqrstuvw-1 is queued", True),
        ("2n6r0kqa-1 is queued", "bqrstuvw-2 is queued", False),
        ("2n6r0kqa-1 is queued", "2n6r0kqa-1 is running", False),
        ("605 of 1,000 in 17 s", "605 of 1,000 in 3.5 s", True),
        ("605 of 1,000 in 17 s", "604 of 1,000 in 17 s", False),
        ("at 2026-11-24T23:09:27.658Z", "at 2031-01-01T00:00:00.000Z", True),
        ("a  b", "a b", True),
        ("first\n…\nlast", "first\n1\n2\nlast", True),
        ("a … z", "a b\nz", False),
        ('{"size": 2, …}', '{"size": 2, "sha256": "x"}', True),
    ],
)
def test_a_shown_output_is_compared_word_by_word_but_for_what_differs_each_time(
    shown: str,
    told: str,
    same: bool,
) -> None:
    assert bool(expected(shown).fullmatch(f"{told}\n")) is same


def test_a_desk_keeps_variables_between_blocks_and_notices_a_command_that_fails(folder: Path) -> None:
    desk = Desk(folder, {})
    try:
        assert desk.sh("A=1\nexport B=2\nf() { echo $A; }\n") == (0, "")
        assert desk.sh("f; echo /var/tmp/jobgate:8080") == (0, "1\n/var/tmp/jobgate:8080\n")
        assert desk.python("import os\nb = os.environ['B']") == (0, "")
        assert desk.python("import asyncio\nawait asyncio.sleep(0)\nprint(b)") == (0, "2\n")
        assert desk.python("1 / 0")[0] == 1
        assert desk.sh("false; true", fails=True) == (0, "")
        assert desk.stay("echo up; exec tail -f /dev/null", "up") == (True, "up\n")
        assert desk.stay("echo down", "up") == (False, "down\n")
        assert desk.sh("false; true")[0] == 1
    finally:
        desk.end()


def test_a_session_is_taken_apart_into_commands_and_what_they_print() -> None:
    assert commands("$ a \\\n  b\nx\ny\n$ c\n") == [("a \\\n  b\n", "x\ny\n"), ("c\n", "")]
    assert os.linesep == "\n"
