"""Limits may name a model

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_KEY = (("platform", 20), ("workspace_id", 64), ("scope", 12), ("scope_id", 128), ("measure", 12), ("window", 8))


def upgrade() -> None:
    """Apply. The model is part of the primary key, so the table, of a few rows, is made anew."""
    rows = op.get_bind().execute(sa.text("SELECT * FROM ledger_limits")).mappings().all()
    op.drop_table("ledger_limits")
    made = op.create_table(
        "ledger_limits",
        *(sa.Column(name, sa.String(length=length), nullable=False) for name, length in _KEY),
        sa.Column("model", sa.String(length=80), nullable=False, server_default=""),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.String(length=128), nullable=False),
        sa.Column("set_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint(*(name for name, _ in _KEY), "model", name=op.f("pk_ledger_limits")),
    )
    if made is not None and rows:
        op.bulk_insert(made, [dict(row) | {"model": ""} for row in rows])
