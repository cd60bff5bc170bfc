"""What each process does, and the jobs that one which only takes requests leaves to the others

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("replicas", sa.Column("role", sa.String(8), nullable=False, server_default="all"))
    op.create_table(
        "handed_over",
        sa.Column("job_id", sa.String(16), nullable=False),
        sa.Column("part", sa.String(10), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "part", name=op.f("pk_handed_over")),
    )
