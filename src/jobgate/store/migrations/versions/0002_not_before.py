"""An index of the queued jobs that wait for a time: without it every claim looked at every queued job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_WAITS = sa.text("state = 1 AND ready > 0")


def upgrade() -> None:
    """Makes it."""
    op.create_index("job_not_before", "job", ["ready"], unique=False, sqlite_where=_WAITS, postgresql_where=_WAITS)
