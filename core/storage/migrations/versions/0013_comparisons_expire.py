"""The ids of Slack's comparison messages expire

They were kept without an end.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_DAY_S = 86_400
_EXPIRE = "UPDATE app_state SET expires_at = updated_at + :kept_s WHERE area = 'slack.beside' AND expires_at IS NULL"


def upgrade() -> None:
    """Apply."""
    op.execute(sa.text(_EXPIRE).bindparams(kept_s=40 * _DAY_S))
