"""`jobgate renew` and `retire`: how long a batch is kept, and being done with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from jobgate.cli.connect import Session, Wrong, verb
from jobgate.cli.control import All, Labels, States, Yes, asked, chosen, said
from jobgate.cli.ids import IdWords, SomeIds, resolved
from jobgate.cli.phrases import exact
from jobgate.cli.request import ahead
from jobgate.client import jobs

app = typer.Typer(rich_markup_mode=None)
_ANY = "held,queued,running,cancelling,succeeded,failed,cancelled"


@verb(app, "renew")
async def renew(
    session: Session,
    ids: IdWords,
    expires: Annotated[str, typer.Option(help="When: 90s, 2h, 30d from now, or a time of RFC 3339.")] = "",
    never: Annotated[bool, typer.Option("--never", help="It does not end.")] = False,
) -> int:
    """Put off when batches are cancelled and retired."""
    if bool(expires) == never:
        raise Wrong("Nothing was changed.", "it is not said until when", "jobgate renew ID --expires 30d    or --never")
    until = ahead(expires, "--expires", datetime.now(UTC))
    body = {"expires": None if until is None else until.isoformat()}
    found = _batches(await resolved(session, ids), "renew")

    async def ask(id_: str) -> bytes:
        return await session.ask("PATCH", jobs.at(id_), f"{id_}: not changed.", body=body)

    def tell(id_: str, answer: bytes) -> None:
        known = session.core.a_batch(answer).expires
        said(session, f"{id_} {'does not expire' if known is None else f'expires {exact(known)}'}.")

    return await asked(session, found, ask, tell)


@verb(app, "retire")
async def retire(  # noqa: PLR0913, PLR0917  # each is an option of the command
    session: Session,
    ids: SomeIds = None,
    every: All = False,
    state: States = None,
    label: Labels = None,
    yes: Yes = False,
) -> int:
    """Be done with batches: their jobs stop, their files go."""
    found = await chosen(session, ids, "retire", _ANY, every=every, state=state or (), label=label or (), yes=yes)

    async def ask(id_: str) -> bytes:
        return await session.ask("POST", f"{jobs.at(id_)}/retire", f"{id_}: not retired.")

    def tell(id_: str, answer: bytes) -> None:
        live = "" if session.core.a_batch(answer).over else f"watch: jobgate wait {id_}"
        said(session, f"{id_} is retired.", live)

    return await asked(session, _batches(found, "retire"), ask, tell)


def _batches(ids: list[str], deed: str) -> list[str]:
    """Raises Wrong for a job."""
    for id_ in ids:
        if "-" in id_:
            raise Wrong(
                "Nothing was done.", f"{id_} is a job; this is of a batch", f"jobgate {deed} {id_.partition('-')[0]}"
            )
    return ids
