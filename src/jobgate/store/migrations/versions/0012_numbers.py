"""Small numbers of batches and jobs, names of jobs, leases, retirement, and batches that are filled later."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0009"

_BIG: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOST: Final = (1 << 31) - 1
_WIDTH: Final = 16
_PIECE: Final = 1000


def upgrade() -> None:
    """Makes columns, a table and indexes; every batch that there is gets numbers, as far as there are any."""
    for column in ("number", "first"):
        op.add_column("batch", sa.Column(column, sa.Integer(), nullable=False, server_default="0"))
    for column in ("filled", "retired", "wakes"):
        op.add_column("batch", sa.Column(column, sa.Float(), nullable=True))
    op.create_table(
        "job_name",
        sa.Column("owner", _BIG, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("batch", _BIG, nullable=False),
        sa.Column("job", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("owner", "name"),
        sqlite_with_rowid=False,
    )
    op.create_index("job_name_job", "job_name", ["job"], unique=False)
    _number()
    _index("batch_number", ["number"], "number > 0", unique=True)
    _index("batch_first", ["first"], "first <> number")
    _index("batch_filled", ["owner", "filled"], "filled IS NOT NULL")
    _index("batch_wakes", ["wakes"], "wakes IS NOT NULL")
    _index("batch_empty", ["id"], "count = 0")


def _index(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    words = sa.text(where)
    op.create_index(name, "batch", columns, unique=unique, sqlite_where=words, postgresql_where=words)


def _number() -> None:
    """In order of their ids; those for which nothing is left have none."""
    batch = sa.table("batch", *map(sa.column, ("id", "count", "number", "first")))
    connection, last, number = op.get_bind(), 0, 1
    read = sa.select(batch.c.id, batch.c.count).where(batch.c.id > sa.bindparam("last")).order_by(batch.c.id)
    put = sa.update(batch).where(batch.c.id == sa.bindparam("i"))
    put = put.values(number=sa.bindparam("n"), first=sa.bindparam("n"))
    while found := connection.execute(read.limit(_PIECE), {"last": last}).all():
        last = found[-1][0]
        given = []
        for ident, count in found:
            end = number + max(count, 1) * _WIDTH
            if end <= _MOST + 1:
                given.append({"i": ident, "n": number})
                number = end
        if given:
            connection.execute(put, given)
