"""The root of the command line: it knows its commands' names and lines without loading one.

Every error is three lines (what did not happen, why, what next), never a traceback. Status 2 is wrong usage.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer
import typer.core
import typer.main

from jobgate.cli.exits import INTERRUPTED, WRONG
from jobgate.cli.main import TABLE
from jobgate.cli.say import refuse
from jobgate.client.words import near

USAGE: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""What typer raises for a line that it cannot read; it has no public name."""


class _Loaded(MutableMapping[str, Any]):
    """The commands by name, each made when it is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            entry = TABLE[name]
            module, _, attribute = entry.home.partition(":")
            application = getattr(import_module(f"jobgate.cli.{module}"), attribute)
            group: Any = typer.main.get_group(application)
            self._known[name] = group if entry.whole else group.commands[name]
        return self._known[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def __len__(self) -> int:
        return len(TABLE)


class Commands(typer.core.TyperGroup):
    """The root."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Loaded()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in TABLE.items()])


commands = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:  # a flag of the command line
    if asked:
        from importlib.metadata import version  # noqa: PLC0415  # slow, and of no use to any command

        sys.stdout.write(f"jobgate {version('jobgate')}\n")
        raise typer.Exit


@commands.callback()
def root(
    *, version_: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it.")] = False
) -> None:
    """One gateway for remote jobs: serve it, and submit to it."""
    del version_


def run(words: Sequence[str]) -> int:
    """The command's exit status."""
    group: Any = typer.main.get_group(commands)
    try:
        return _status(group.main(list(words), prog_name="jobgate", standalone_mode=False))
    except USAGE as error:
        _explain(error)
        return WRONG
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED


def _status(found: object) -> int:
    return found if isinstance(found, int) else 0


def _explain(error: Any) -> None:
    """The three lines for a line that cannot be read; a slip is guessed, and never acted on."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error.format_message()}\n")
        return
    context = error.ctx
    path = context.command_path if context is not None else "jobgate"
    message = re.sub(r" ?\(Possible options: .*\)$| ?\.? ?Did you mean .*$", "", error.format_message()).rstrip(".")
    message = message.replace(": Value error, ", ": ")
    meant = _near(error, context)
    guess = f"did you mean {meant}?" if meant else ""
    refuse(
        "Nothing was done.",
        f"{message[:1].lower()}{message[1:]}" + (f"; {guess}" if guess else ""),
        f"{path} --help",
    )


def _near(error: Any, context: Any) -> str:
    """What may have been meant."""
    if context is None:
        return ""
    option = getattr(error, "option_name", "")
    if option:
        known = [name for parameter in context.command.params for name in parameter.opts]
        return near(option, known)
    unknown = re.match(r"No such command '(.*?)'", error.message)
    if unknown is None:
        return ""
    listed = list(getattr(context.command, "commands", ()))
    found = near(unknown[1], listed)
    return f"{context.command_path} {found}" if found else ""
