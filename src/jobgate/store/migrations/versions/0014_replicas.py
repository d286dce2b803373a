"""A job is in the queue while it wants further replicas, though others of it are live."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_WAITS = "(state = 1 OR more > 0)"


def upgrade() -> None:
    """A column, and two indexes anew: a job that is queued is still found by the words of the version before."""
    op.add_column("job", sa.Column("more", sa.SmallInteger(), nullable=False, server_default="0"))
    op.drop_index("job_queued", "job")
    op.create_index(
        "job_queued",
        "job",
        ["place", "owner", sa.text("priority DESC"), "id"],
        unique=False,
        sqlite_where=sa.text(_WAITS),
        postgresql_where=sa.text(_WAITS),
    )
    op.drop_index("job_not_before", "job")
    op.create_index(
        "job_not_before",
        "job",
        ["ready"],
        unique=False,
        sqlite_where=sa.text(f"{_WAITS} AND ready > 0"),
        postgresql_where=sa.text(f"{_WAITS} AND ready > 0"),
    )
