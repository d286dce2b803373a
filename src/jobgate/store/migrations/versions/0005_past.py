"""Past runs, to estimate by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes it, empty: estimates begin with the runs that come."""
    op.create_table(
        "past",
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("owner", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("program", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("doc", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "owner", "program"),
        sqlite_with_rowid=False,
    )
