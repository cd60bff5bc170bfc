"""Indexes for deleting expired rows, and for a job's incidents

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(None, "app_state", ["expires_at"])
    op.create_index(None, "incidents", ["job_id"])
