"""`jobgate webhooks`: addresses that are told of ends."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from jobgate.cli.connect import Session, verb
from jobgate.cli.phrases import exact
from jobgate.cli.render import BAD, GOOD, NOTHING, Cell, Column
from jobgate.client.jobs import pages
from jobgate.client.webhooks import Delivery, Webhook
from jobgate.client.words import plain

app = typer.Typer(
    name="webhooks", no_args_is_help=True, rich_markup_mode=None, help="Webhooks: addresses that are told of ends."
)
WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The id of a webhook.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="job.succeeded, job.failed, job.cancelled or batch.ended; may be repeated."),
]


def _at(id_: str) -> str:
    return f"/v1/webhooks/{quote(id_, safe='')}"


@verb(app, "list")
async def webhooks_list(session: Session) -> int:
    """Show this account's webhooks."""
    found = await _all(session, "/v1/webhooks", "Not listed.")
    if session.screen.as_json:
        session.screen.raw(msgspec.json.encode({"items": found, "next": None}))
        return 0
    columns = [Column("WEBHOOK", whole=True), Column("STATE"), Column("KINDS"), Column("URL", note=True)]
    session.screen.rows(columns, [_row(msgspec.json.decode(item, type=Webhook)) for item in found])
    return 0


def _row(hook: Webhook) -> list[Cell]:
    on = Cell(f"{GOOD.sign} on", GOOD.tone, "on") if hook.enabled else Cell(f"{BAD.sign} off", BAD.tone, "off")
    return [Cell(hook.id), on, Cell(",".join(hook.kinds)), Cell(hook.url)]


async def _all(session: Session, path: str, what: str) -> list[msgspec.Raw]:
    with session.patience():
        return [item async for page in pages(session.line, path, {}, what) for item in page.items]


@verb(app, "create")
async def webhooks_create(
    session: Session,
    url: Annotated[str, typer.Argument(help="The address.")],
    kind: Kinds = None,
    named: Annotated[bool, typer.Option("--named", help="Only batches that name it: submit --webhook ID.")] = False,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> int:
    """Tell an address of ends. Its secret is shown this once."""
    body: dict[str, object] = {"url": url} | ({"kinds": kind} if kind else {})
    body |= ({"jobs": "named"} if named else {}) | ({"description": description} if description else {})
    answer = await session.ask("POST", "/v1/webhooks", "No webhook was made.", body=body)
    _secret(session, answer)
    return 0


def _secret(session: Session, answer: bytes) -> None:
    hook = msgspec.json.decode(answer, type=Webhook)
    screen = session.screen
    if screen.as_json:
        screen.raw(answer)
    elif screen.quiet:
        screen.say(hook.id)
    else:
        screen.say(f"{hook.id}\t{hook.secret}")
        screen.talk("This is the only time its secret is shown; keep it where others cannot read it.")


@verb(app, "rotate")
async def webhooks_rotate(session: Session, id_: WebhookId) -> int:
    """Give it a new secret, shown this once; the old one signs too for a day."""
    _secret(session, await session.ask("POST", f"{_at(id_)}/rotate", f"{plain(id_)}: no new secret."))
    return 0


@verb(app, "delete")
async def webhooks_delete(session: Session, id_: WebhookId) -> int:
    """Delete it."""
    await session.ask("DELETE", _at(id_), f"{plain(id_)}: not deleted.")
    if session.screen.as_json:
        session.screen.raw(msgspec.json.encode({"id": id_, "deleted": True}))
    elif session.screen.quiet:
        session.screen.say(plain(id_))
    else:
        session.screen.signed(f"{plain(id_)} is deleted.", GOOD)
    return 0


@verb(app, "enable")
async def webhooks_enable(
    session: Session,
    id_: WebhookId,
    undo: Annotated[bool, typer.Option("--undo", help="Tell it nothing, until it is enabled again.")] = False,
) -> int:
    """Tell it of ends again."""
    answer = await session.ask("PATCH", _at(id_), f"{plain(id_)}: not changed.", body={"enabled": not undo})
    if session.screen.as_json:
        session.screen.raw(answer)
    else:
        session.screen.rows([Column("WEBHOOK", whole=True)], [_row(msgspec.json.decode(answer, type=Webhook))[:1]])
    return 0


@verb(app, "test")
async def webhooks_test(session: Session, id_: WebhookId) -> int:
    """Send it a message, to try it."""
    answer = await session.ask("POST", f"{_at(id_)}/test", f"{plain(id_)}: not tried.")
    sent = msgspec.json.decode(answer, type=Delivery)
    if session.screen.as_json:
        session.screen.raw(answer)
    else:
        session.screen.say(plain(sent.id))
        session.screen.talk(f"On its way.    look: jobgate webhooks deliveries {plain(id_)}", GOOD)
    return 0


@verb(app, "resend")
async def webhooks_resend(
    session: Session, id_: WebhookId, message: Annotated[str, typer.Argument(help="The id of the message.")]
) -> int:
    """Send a message once more."""
    path = f"{_at(id_)}/deliveries/{quote(message, safe='')}/resend"
    answer = await session.ask("POST", path, f"{plain(message)}: not sent again.")
    if session.screen.as_json:
        session.screen.raw(answer)
    else:
        session.screen.say(plain(message))
    return 0


@verb(app, "deliveries")
async def webhooks_deliveries(session: Session, id_: WebhookId) -> int:
    """Show its messages, newest first, and what became of them."""
    found = await _all(session, f"{_at(id_)}/deliveries", "Not listed.")
    if session.screen.as_json:
        session.screen.raw(msgspec.json.encode({"items": found, "next": None}))
        return 0
    columns = [
        Column("MESSAGE", whole=True),
        Column("STATE"),
        Column("EVENT"),
        Column("OF"),
        Column("TRIES", right=True),
        Column("LAST", note=True),
    ]
    session.screen.rows(columns, [_delivery(msgspec.json.decode(item, type=Delivery)) for item in found])
    return 0


def _delivery(one: Delivery) -> list[Cell]:
    sign = {"delivered": GOOD, "dead": BAD}.get(one.state, NOTHING)
    last = one.attempts[-1] if one.attempts else None
    said = "" if last is None else last.error or f"{last.status}"
    next_ = f"; next {exact(one.next)}" if one.next is not None else ""
    return [
        Cell(one.id),
        Cell(f"{sign.sign} {one.state}", sign.tone, one.state),
        Cell(one.event),
        Cell(one.job or one.batch),
        Cell(str(len(one.attempts))),
        Cell(f"{said}{next_}".removeprefix("; "), "dim"),
    ]
