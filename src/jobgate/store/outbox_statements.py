"""The statements of webhooks and their deliveries; `statements.py` compiles them with the others."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Select, Update, bindparam, delete, func, insert, select, update
from sqlalchemy.sql.dml import Delete, Insert

from jobgate.store.tables import delivery, secret, webhook

_W, _D = webhook.c, delivery.c
_NEW: Final = ("id", "webhook", "due", "doc")
p = bindparam

OUTBOX: Final[dict[str, tuple[Select[Any] | Insert | Update | Delete, tuple[str, ...]]]] = {
    "webhook_add": (insert(webhook).values(id=p("id"), owner=p("owner"), doc=p("doc")), ("id", "owner", "doc")),
    "webhook_get": (select(_W.owner, _W.doc).where(_W.id == p("i")), ("i",)),
    "webhook_put": (update(webhook).where(_W.id == p("i")).values(doc=p("d")), ("d", "i")),
    "webhook_delete": (delete(webhook).where(_W.id == p("i")), ("i",)),
    "webhook_of": (
        select(_W.owner, _W.doc).where(_W.owner == p("o"), _W.id < p("i")).order_by(_W.id.desc()).limit(p("l")),
        ("o", "i", "l"),
    ),
    "webhook_count": (select(func.count()).select_from(webhook).where(_W.owner == p("o")), ("o",)),
    "webhook_move": (update(webhook).where(_W.owner == p("o")).values(owner=p("t")), ("t", "o")),
    "webhook_wakes": (update(webhook).where(_W.id == p("i")).values(due=p("d")), ("d", "i")),
    "webhook_due": (select(_W.id, _W.owner).where(_W.due <= p("n")).order_by(_W.due).limit(p("l")), ("n", "l")),
    "webhook_next": (select(func.min(_W.due)).where(_W.due > p("n")), ("n",)),
    "secret_drop": (delete(secret).where(secret.c.batch == p("b"), secret.c.name == p("n")), ("b", "n")),
    "delivery_add": (insert(delivery).values({column: p(column) for column in _NEW}), _NEW),
    "delivery_get": (select(_D.doc).where(_D.id == p("i")), ("i",)),
    "delivery_put": (update(delivery).where(_D.id == p("i")).values(due=p("u"), doc=p("d")), ("u", "d", "i")),
    "delivery_of": (
        select(_D.doc).where(_D.webhook == p("w"), _D.id < p("i")).order_by(_D.id.desc()).limit(p("l")),
        ("w", "i", "l"),
    ),
    "delivery_due": (
        select(_D.doc).where(_D.webhook == p("w"), _D.due <= p("n")).order_by(_D.due).limit(p("l")),
        ("w", "n", "l"),
    ),
    "delivery_first": (select(func.min(_D.due)).where(_D.webhook == p("w"), _D.due.is_not(None)), ("w",)),
    "delivery_some": (select(_D.id).where(_D.webhook == p("w")).limit(p("l")), ("w", "l")),
    "delivery_old": (select(_D.id).where(_D.id < p("i")).limit(p("l")), ("i", "l")),
    "delivery_delete": (delete(delivery).where(_D.id == p("i")), ("i",)),
}
"""Name to statement, and the order of its places."""
