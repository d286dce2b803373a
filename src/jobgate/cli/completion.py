"""`jobgate completion`: what a shell needs to complete commands, options and ids."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from jobgate.cli.say import AsJson, refuse, say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Completion of commands and ids by the shell.")
SHELLS: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = "_JOBGATE_COMPLETE"
_PATIENCE: Final = 1.0
"""Seconds that a shell is kept waiting for ids."""
_SHOWN: Final = 30

Shell = Annotated[str, typer.Argument(help="bash, zsh or fish.")]


@app.command("show")
def show(shell: Shell, as_json: AsJson = False) -> None:
    """Print the script; source it, or put it where the shell looks."""
    say({"shell": shell, "script": _script(shell)}, _script(shell), as_json=as_json)


@app.command("install")
def install(shell: Shell, as_json: AsJson = False) -> None:
    """Put the script where the shell looks for it."""
    from typer._completion_shared import install as put  # noqa: PLC0415  # typer has no public name for it

    _known(shell)
    name, path = put(shell=shell, prog_name="jobgate", complete_var=_VARIABLE)
    say({"shell": name, "path": str(path)}, f"{path}: open a new shell to use it", as_json=as_json)


def _script(shell: str) -> str:
    from typer._completion_shared import get_completion_script  # noqa: PLC0415  # as above

    _known(shell)
    return get_completion_script(prog_name="jobgate", complete_var=_VARIABLE, shell=shell)


def _known(shell: str) -> None:
    if shell not in SHELLS:
        refuse("Nothing was done.", f"{shell} is no shell that is known here", f"one of {', '.join(SHELLS)}")
        raise typer.Exit(2)


def ids(incomplete: str) -> list[str]:
    """Ids of this account's newest batches that begin so; none if the server does not answer soon."""
    import asyncio  # noqa: PLC0415  # only a shell that completes needs it

    from jobgate.client import config  # noqa: PLC0415  # as above
    from jobgate.client.core import Page, decoded  # noqa: PLC0415  # as above
    from jobgate.client.line import Asking, Line  # noqa: PLC0415  # as above
    from jobgate.client.records import BatchRecord  # noqa: PLC0415  # as above
    from jobgate.model.errors import JobgateError  # noqa: PLC0415  # as above

    async def found() -> list[str]:
        line = Line(config.find(), patience=0.0, say=lambda _: None)
        try:
            async with asyncio.timeout(_PATIENCE):
                asking = Asking(method="GET", path="/v1/batches", what="", query={"limit": _SHOWN})
                page = decoded((await line.call(asking)).content, Page)
            return [decoded(item, BatchRecord).id for item in page.items]
        finally:
            await line.close()

    try:
        known = [*asyncio.run(found()), "last"]
    except (JobgateError, TimeoutError):
        known = ["last"]
    return [id_ for id_ in known if id_.startswith(incomplete)]
