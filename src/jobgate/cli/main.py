"""`jobgate`: a table of its commands, each loaded when it is called, so that none waits for what another needs.

Every error is three lines (what did not happen, why, what next), never a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
import typer.core
import typer.main


class Entry(NamedTuple):
    """One word of the command line, and where it lives."""

    home: str
    """`module:name` of the typer application that has it."""
    line: str
    """What it does, as `--help` shows it: the first line of its own help, which a test compares."""
    whole: bool = False
    """The application is the command, with commands of its own below it."""


TABLE: Final[Mapping[str, Entry]] = {
    "serve": Entry("serve:server", "Serve; prints one line `jobgate ready URL` when requests are accepted."),
    "account": Entry("people:accounts", "Accounts: the owners of jobs.", whole=True),
    "credential": Entry("people:credentials", "Credentials: what proves an account.", whole=True),
    "key": Entry("people:keys", "The server's own key.", whole=True),
    "config": Entry("serve:configuration", "The configuration file.", whole=True),
}


class _Loaded(MutableMapping[str, Any]):
    """The commands by name, each made when it is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            entry = TABLE[name]
            module, _, attribute = entry.home.partition(":")
            group = typer.main.get_group(getattr(import_module(f"jobgate.cli.{module}"), attribute))
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
    """The root: knows its commands' names and lines without loading one."""

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


@commands.callback()
def root() -> None:
    """One gateway for remote jobs: serve it, and submit to it."""


def main() -> None:
    """The command."""
    commands()
