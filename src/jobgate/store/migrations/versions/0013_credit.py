"""What the jobs of each batch are worth, what each account was granted, and how many attempts wait and run.

Before this version no job could say how many operations it takes, or what it is granted: of the batches that there are
only the processor time is not 0. It is read from their jobs, like what waits and runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_BIG: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LEDGER: Final = ("estimate", "canonical", "total", "cpu_seconds", "operations")
_AT_ONCE: Final = 1000
_QUEUED: Final = 1
_FIRST_OVER: Final = 6


def upgrade() -> None:
    """Makes columns and a table, and fills in what can be known."""
    for name in _LEDGER:
        op.add_column("tally", sa.Column(name, sa.Float(), nullable=False, server_default="0"))
    op.add_column("account", sa.Column("credit", sa.Float(), nullable=False, server_default="0"))
    load = op.create_table(
        "load",
        sa.Column("id", _BIG, autoincrement=False, nullable=False),
        sa.Column("waiting", _BIG, nullable=False),
        sa.Column("running", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    waiting = running = 0
    seconds: dict[int, float] = {}
    for batch, state, wanted, attempts in _jobs():
        states = [attempt["state"] for attempt in attempts]
        spent = sum(
            attempt.get("usage", {}).get("cpu_seconds", 0.0)
            for attempt in attempts
            if attempt["state"] in {"ended", "lost"}
        )
        if spent:
            seconds[batch] = seconds.get(batch, 0.0) + spent
        if state < _FIRST_OVER:
            offered = states.count("offered")
            running += len(states) - offered - states.count("ended") - states.count("lost")
            waiting += offered + (wanted if state else 0)
    untouched = sa.text("SELECT count(*) FROM job WHERE state = :queued AND doc IS NULL")
    waiting += op.get_bind().execute(untouched, {"queued": _QUEUED}).scalar_one()
    op.execute(load.insert().values(id=1, waiting=waiting, running=running))
    tally = sa.table("tally", sa.column("batch"), sa.column("cpu_seconds"))
    for batch, spent in seconds.items():
        op.execute(tally.update().where(tally.c.batch == batch).values(cpu_seconds=spent))


def _jobs() -> Iterator[tuple[int, int, int, list[dict[str, Any]]]]:
    """Batch, state, wanted attempts and attempts of every job that is not as it was born."""
    connection, after = op.get_bind(), 0
    asked = sa.text(
        "SELECT id, batch, state, doc FROM job WHERE id > :after AND doc IS NOT NULL ORDER BY id LIMIT :most"
    )
    while piece := connection.execute(asked, {"after": after, "most": _AT_ONCE}).fetchall():
        for _, batch, state, doc in piece:
            job, attempts = msgspec.msgpack.decode(doc)
            yield batch, state, job.get("wanted", 0), attempts
        after = piece[-1][0]
