"""Lists of an account's batches, by name and app too, and of its jobs that are held, failed or cancelled."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_PIECE = 1000


class _Named(msgspec.Struct):
    """What is needed of a batch's document."""

    name: str = ""


def upgrade() -> None:
    """A column that repeats each batch's name, and four indexes."""
    op.add_column("batch", sa.Column("name", sa.String(), nullable=False, server_default=""))
    _names()
    op.create_index("batch_owner", "batch", ["owner", "id"], unique=False)
    for column in ("app", "name"):
        filled = sa.text(f"{column} <> ''")
        columns = ["owner", column, "id"]
        op.create_index(f"batch_{column}", "batch", columns, unique=False, sqlite_where=filled, postgresql_where=filled)
    rare = sa.text("state IN (0, 7, 8)")
    columns = ["owner", "id", "state"]
    op.create_index("job_rare", "job", columns, unique=False, sqlite_where=rare, postgresql_where=rare)


def _names() -> None:
    """Each batch's name, out of its document."""
    batch = sa.table("batch", sa.column("id"), sa.column("name"), sa.column("doc"))
    connection, last = op.get_bind(), 0
    read = sa.select(batch.c.id, batch.c.doc).where(batch.c.id > sa.bindparam("last")).order_by(batch.c.id)
    while rows := connection.execute(read.limit(_PIECE), {"last": last}).all():
        last = rows[-1][0]
        for ident, doc in rows:
            name = msgspec.msgpack.decode(doc, type=_Named).name
            if name:
                connection.execute(sa.update(batch).where(batch.c.id == ident).values(name=name))
