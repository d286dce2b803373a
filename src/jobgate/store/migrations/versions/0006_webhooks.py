"""Webhooks, and what is on its way to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_WAITING = sa.text("due IS NOT NULL")


def upgrade() -> None:
    """Makes both tables."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "webhook",
        sa.Column("id", big, nullable=False),
        sa.Column("owner", big, nullable=False),
        sa.Column("due", sa.Float()),
        sa.Column("doc", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_owner", "webhook", ["owner", "id"], unique=False)
    op.create_index("webhook_due", "webhook", ["due"], unique=False, sqlite_where=_WAITING, postgresql_where=_WAITING)
    op.create_table(
        "delivery",
        sa.Column("id", big, nullable=False),
        sa.Column("webhook", big, nullable=False),
        sa.Column("due", sa.Float()),
        sa.Column("doc", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("delivery_webhook", "delivery", ["webhook", "id"], unique=False)
    op.create_index(
        "delivery_due", "delivery", ["webhook", "due"], unique=False, sqlite_where=_WAITING, postgresql_where=_WAITING
    )
