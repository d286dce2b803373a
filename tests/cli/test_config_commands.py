from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jobgate.cli.main import commands
from jobgate.config import reference


def type_(*words: str) -> Result:
    done = CliRunner().invoke(commands, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def test_a_good_file_is_called_good(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[server]\nport = 0\n")
    done = type_("config", "check", str(path))
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{path} is good\n", "")
    assert type_("config", "check", str(path), "--json").stdout == "[]\n"


def test_every_fault_is_a_line_with_file_and_number_and_the_status_is_1(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[server]\nprot = 1\nhost = 5\n")
    done = type_("config", "check", str(path))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{path}:2: server.prot: there is no such key; did you mean port?",
        f"{path}:3: server.host: must be a text",
    ]
    asked = type_("config", "check", str(path), "--json")
    assert asked.exit_code == 1
    assert json.loads(asked.stdout) == [
        {"line": 2, "key": "server.prot", "message": "there is no such key; did you mean port?"},
        {"line": 3, "key": "server.host", "message": "must be a text"},
    ]


def test_a_syntax_error_is_a_line_without_a_key(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[server\n")
    assert type_("config", "check", str(path)).stdout.startswith(f"{path}:1: Expected ']'")


def test_a_key_of_escape_codes_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('"\\u001b[31m" = 1\n')
    assert "\\x1b[31m" in type_("config", "check", str(path)).stdout


@pytest.mark.parametrize("content", [None, b"\xff", b"#" * (2 << 20)], ids=["missing", "no text", "too large"])
def test_what_cannot_be_read_is_refused_in_three_lines(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    done = type_("config", "check", str(path))
    assert (done.exit_code, done.stdout) == (1, "")
    what, why, next_ = done.stderr.splitlines()
    assert what == f"✗ {path} was not checked."
    assert why.startswith(f"  why   {path}")
    assert next_ == "  next  is the name right?"


def test_the_reference_is_the_generated_page() -> None:
    assert type_("config", "reference").stdout == reference()


@pytest.mark.parametrize("words", [(), ("account",), ("credential",), ("key",), ("config",)], ids=" ".join)
def test_a_command_without_words_shows_its_help(words: tuple[str, ...]) -> None:
    done = type_(*words)
    assert done.exit_code == 2
    assert "Usage:" in done.output
