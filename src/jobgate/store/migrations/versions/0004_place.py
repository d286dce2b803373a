"""The queue of each place: jobs bound to one environment no longer stand before those of another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_QUEUED = sa.text("state = 1")


def upgrade() -> None:
    """A column and another index. Jobs queued before count as bound to none: dispatch looks at their spec as well."""
    op.add_column("job", sa.Column("place", sa.String(), nullable=False, server_default=""))
    op.drop_index("job_queued", "job")
    op.create_index(
        "job_queued",
        "job",
        ["place", "owner", sa.text("priority DESC"), "id"],
        unique=False,
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )
