from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import typer
from typed import Type

from jobgate.cli.main import TABLE
from jobgate.cli.root import commands


@pytest.mark.parametrize("name", TABLE)
def test_a_line_of_the_table_is_the_first_line_of_the_commands_own_help(name: str) -> None:
    root: Any = typer.main.get_group(commands)
    assert root.commands[name].help.splitlines()[0] == TABLE[name].line


def test_help_loads_no_client_and_no_server() -> None:
    line = "import sys; sys.argv = ['jobgate', '--help']; from jobgate.cli.root import run; run(['--help']); "
    line += "print(*[m for m in ('httpx', 'jobgate.app', 'sqlalchemy', 'rich.console') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)  # noqa: S603  # ours
    assert done.stdout.splitlines()[-1] == ""
    assert "submit" in done.stdout


def test_submit_loads_no_server_and_nothing_that_only_waiting_needs() -> None:
    line = "import sys; sys.modules['httpx._main'] = None; import jobgate.cli.submit; "  # as `main` has it
    line += "print(*[m for m in ('jobgate.app', 'sqlalchemy', 'rich.live', 'jobgate.config', 'jobgate.client.waiting')"
    line += " if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)  # noqa: S603  # ours
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (("sbmit",), "did you mean jobgate submit?"),
        (("list", "--stat", "failed"), "did you mean --state?"),
        (("webhooks", "creat"), "did you mean jobgate webhooks create?"),
    ],
)
def test_a_slip_is_guessed_in_three_lines_and_not_acted_on(type_: Type, words: tuple[str, ...], guess: str) -> None:
    seen = type_(*words)
    what, why, next_ = seen.err.splitlines()
    assert (seen.code, seen.out, what) == (2, "", "✗ Nothing was done.")
    assert why.startswith("  why   ")
    assert why.endswith(guess)
    assert next_.endswith("--help")


def test_every_command_of_the_client_takes_json_quiet_and_no_color() -> None:
    root: Any = typer.main.get_group(commands)
    operators = ("serve", "account", "credential", "key", "config", "completion")

    def walk(command: Any) -> list[Any]:
        below = getattr(command, "commands", None)
        return [command] if below is None else [one for name in below for one in walk(below[name])]

    for name in TABLE:
        for command in walk(root.commands[name]) if name not in operators else ():
            known = {option for parameter in command.params for option in parameter.opts}
            assert {"--json", "--quiet", "--no-color"} <= known, (name, command.name)


def test_the_completion_script_is_for_the_shell_that_is_named(type_: Type) -> None:
    assert "_JOBGATE_COMPLETE" in type_("completion", "show", "bash").out
    assert json.loads(type_("completion", "show", "zsh", "--json").out)["shell"] == "zsh"
    assert type_("completion", "show", "tcsh").code == 2
