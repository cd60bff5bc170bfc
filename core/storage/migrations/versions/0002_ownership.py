"""Who carries a job on, and how far its paid call got, as plain columns

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. An empty mark means that only the sealed half of the row tells, as in 0.1.0."""
    op.create_table(
        "replicas",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("token", sa.String(length=40), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_replicas")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner", sa.String(length=40), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("submit_mark", sa.String(length=8), nullable=False, server_default=""))
    op.execute("UPDATE jobs SET submit_mark = 'sent' WHERE request_id <> ''")
    op.execute(
        "INSERT INTO replicas (name, token, since) "
        "SELECT key, substr(key, 1, 40), updated_at FROM app_state WHERE area = 'replica'"
    )
