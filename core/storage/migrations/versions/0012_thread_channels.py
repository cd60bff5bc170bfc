"""The channel of a hold's thread, so that a channel's limits also hold for jobs that wait in its threads

Older holds have none: they are counted for the thread alone.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    column = sa.Column("parent_channel_id", sa.String(64), nullable=False, server_default="")
    op.add_column("ledger_holds", column)
