"""`jobgate estimate`: what a submit would come to."""

from __future__ import annotations

import msgspec
import typer

from jobgate.cli.connect import Session, verb
from jobgate.cli.options import (
    AcceptLicence,
    AppName,
    Cores,
    Count,
    DiskSpace,
    Environment,
    File,
    Gpus,
    Image,
    Memory,
    NetworkOption,
    Replicas,
    Sweep,
    Walltime,
    Words,
    options,
)
from jobgate.cli.phrases import starts
from jobgate.cli.render import facts
from jobgate.cli.request import Asked, request
from jobgate.client.estimates import Amount, Estimate
from jobgate.client.records import Range
from jobgate.client.words import plain

app = typer.Typer(rich_markup_mode=None)


@verb(app, "estimate", settings={"allow_interspersed_args": False})
async def estimate(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    command: Words = None,
    file: File = None,
    sweep: Sweep = None,
    count: Count = None,
    gpus: Gpus = None,
    cores: Cores = None,
    memory: Memory = "",
    disk: DiskSpace = "",
    walltime: Walltime = "",
    network: NetworkOption = None,
    image: Image = "",
    app_: AppName = "",
    accept_licence: AcceptLicence = False,
    environment: Environment = "",
    replicas: Replicas = None,
) -> int:
    """Say when a job would start and end, and what it would cost; submits nothing."""
    said = dict(locals())
    absent = {"name": "", "label": None, "priority": 0, "held": False, "webhook": "", "tries": None, "quorum": None}
    absent |= {"compare": "", "env": None, "workdir": "", "input_": None, "output": None, "require": None}
    absent |= {"file_in": None}
    asked = Asked(command=tuple(command or ()), options=options(said | absent), file=file, sweep=sweep, count=count)
    body = await session.ask("POST", "/v1/estimates", "Not estimated.", body=(await request(session, asked)).body)
    if session.screen.as_json:
        session.screen.raw(body)
        return 0
    found = msgspec.json.decode(body, type=Estimate)
    for line in estimated(found, session.screen.width):
        session.screen.say(line)
    return 0


def estimated(found: Estimate, width: int) -> list[str]:
    """The estimate as lines."""

    def said(amount: Amount) -> str:
        return starts(Range(seconds=amount.value, low=amount.low, high=amount.high, runs=amount.runs))

    lines = [("starts", said(found.start)), ("ends", said(found.end))]
    lines += [("costs", f"{found.cost.value:g} credits")] if found.cost.value is not None else []
    return [f"in {plain(found.environment)}", *facts(lines, width)]
