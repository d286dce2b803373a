"""`jobgate serve` and `jobgate config`: the server itself, and its configuration."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO, cast

import structlog
import typer

from jobgate import app as gateway
from jobgate import config
from jobgate.cli.say import AsJson, plain, say, told
from jobgate.model.errors import JobgateError

server = typer.Typer(rich_markup_mode=None)
configuration = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The configuration file.")


class Role(StrEnum):
    """Which half of a gateway runs in this process."""

    ALL = "all"
    SERVER = "server"
    RUNNER = "runner"


@server.command("serve")
def serve(  # noqa: PLR0913  # each is an option of the command
    *,
    data: Annotated[Path | None, typer.Option(help="Where database, files and workspaces are kept.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.", min=0, max=65_535)] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="The configuration, a TOML file.")] = None,
    database: Annotated[str | None, typer.Option(help="sqlite:///PATH.")] = None,
    role: Annotated[Role | None, typer.Option(help="Which half runs here; on SQLite, all.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    stop_jobs: Annotated[bool, typer.Option(help="End running jobs too when the server is stopped.")] = False,
) -> None:
    """Serve; prints one line `jobgate ready URL` when requests are accepted."""
    with told("The server did not start.", "jobgate config check FILE; see jobgate serve --help"):
        given = {
            "data": str(data) if data is not None else None,
            "host": host,
            "port": port,
            "database": database,
            "role": role.value if role is not None else None,
            "tls_cert": str(tls_cert) if tls_cert is not None else None,
            "tls_key": str(tls_key) if tls_key is not None else None,
            "stop_jobs": stop_jobs or None,
        }
        settings = config.load(config_file, {key: value for key, value in given.items() if value is not None})
        _logging(settings.server.log)
        try:
            gateway.serve(settings, ready=_ready)
        except OSError as error:
            place = error.filename if error.filename is not None else f"{settings.server.host}:{settings.server.port}"
            raise JobgateError(f"{place}: {error.strerror or error}") from error


def _ready(url: str) -> None:
    sys.stdout.write(f"jobgate ready {url}\n")
    sys.stdout.flush()


class _Steady:
    """A stream whose lines are lost where they cannot be written: a full disk below the log ends nobody's duty.

    It has what a logger uses of a stream, and no more.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _logging(form: str) -> None:
    text = sys.stderr.isatty() if form == "auto" else form == "text"
    plainly = structlog.dev.plain_traceback  # the pretty one shows the values of variables, and so secrets
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plainly)
    shown = console if text else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Steady(sys.stderr))),
        cache_logger_on_first_use=True,
    )


@configuration.command("check")
def config_check(file: Path, as_json: AsJson = False) -> None:
    """Name everything that is wrong in a configuration file, with its line. Status 1 when there is something."""
    with told(f"{file} was not checked.", "is the name right?"):
        faults = config.check(config.text(file))
    lines = [f"{file}:{fault.line}: {f'{fault.key}: ' if fault.key else ''}{fault.message}" for fault in faults]
    found = [{"line": fault.line, "key": fault.key, "message": fault.message} for fault in faults]
    say(found, "\n".join(map(plain, lines)) or f"{file} is good", as_json=as_json)
    if faults:
        raise typer.Exit(1)


@configuration.command("reference")
def config_reference() -> None:
    """Print the page of all keys, their types and defaults."""
    sys.stdout.write(config.reference())
