"""Indexes that hold no job whose pictures are gone, and that page through jobs by their time

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    kept = sa.text("NOT images_deleted")
    op.drop_index(op.f("ix_jobs_finished_at"), "jobs")
    op.create_index("ix_jobs_kept_finished_at", "jobs", ["finished_at"], sqlite_where=kept, postgresql_where=kept)
    op.create_index(op.f("ix_jobs_created_at_id"), "jobs", ["created_at", "id"])
