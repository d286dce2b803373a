"""How each batch's jobs stand, kept as they move; and how far retention has removed an account's events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_STATES: Final = (
    "held",
    "queued",
    "staging_in",
    "running",
    "staging_out",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
)
_BIG: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT_ONCE: Final = 1000


def upgrade() -> None:
    """Makes the tables, and counts the jobs of the batches that there are."""
    table = op.create_table(
        "tally",
        sa.Column("batch", _BIG, autoincrement=False, nullable=False),
        *(sa.Column(state, sa.Integer(), nullable=False) for state in _STATES),
        sa.Column("facts", _BIG, nullable=False),
        sa.Column("started", sa.Float(), nullable=True),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("batch"),
    )
    op.create_table(
        "reaped",
        sa.Column("owner", _BIG, autoincrement=False, nullable=False),
        sa.Column("cursor", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("owner"),
    )
    for batch in _batches():
        op.execute(table.insert().values(batch))


def _batches() -> Iterator[dict[str, Any]]:
    """The row of each batch of more than one job; jobs of one batch follow each other."""
    row: dict[str, Any] = {}
    for batch, state, version, ended, doc in _jobs():
        if row.get("batch") != batch:
            if row:
                yield row
            row = {"batch": batch, **dict.fromkeys(_STATES, 0), "facts": 0, "started": None, "ended": None}
        row[_STATES[state]] += 1
        row["facts"] += version
        started = None if doc is None else msgspec.msgpack.decode(doc)[0].get("started")
        row["started"] = min((at for at in (row["started"], started) if at is not None), default=None)
        row["ended"] = max((at for at in (row["ended"], ended) if at is not None), default=None)
    if row:
        yield row


def _jobs() -> Iterator[tuple[int, int, int, float | None, bytes | None]]:
    connection, after = op.get_bind(), 0
    asked = sa.text(
        "SELECT job.batch, job.state, job.version, job.ended, job.doc, job.id "
        "FROM job JOIN batch ON batch.id = job.batch WHERE batch.count > 1 AND job.id > :after "
        "ORDER BY job.id LIMIT :most"
    )
    while piece := connection.execute(asked, {"after": after, "most": _AT_ONCE}).fetchall():
        yield from (row[:5] for row in piece)
        after = piece[-1][5]
