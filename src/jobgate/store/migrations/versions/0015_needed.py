"""A staged file stays as long as some batch needs it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """A table: code that does not know it lets such entries expire, as it did; jobs hold their blobs all the same."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "needed",
        sa.Column("batch", big, primary_key=True, autoincrement=False),
        sa.Column("folder", big, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("needed_entry", "needed", ["folder", "name"])
