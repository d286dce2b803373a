"""Whether a folder still needs a blob, when one of its entries gives it up, is known without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """An index."""
    op.create_index("entry_digest", "entry", ["folder", "digest"], unique=False)
