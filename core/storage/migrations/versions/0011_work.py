"""A table of running work, instead of the tables of another library's job engine

A running job belongs to the process that its row names. If that process is gone, the next one to start takes the job
over; if it still runs, in a rolling upgrade, it keeps the job until it ends.

Alerts that were sent move to `app_state` as well.

Revision ID: 0011
Revises: 0010
"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_LONGEST_S = 400 * 86_400.0
_HANDED_OVER = "INSERT INTO work (job_id, part, owner, at) SELECT job_id, part, '', at FROM handed_over"
_UNDER_WAY = """
INSERT INTO work (job_id, part, owner, at)
SELECT id,
       CASE WHEN state = 'delivering' THEN 'deliver' WHEN confirm_by_at IS NULL THEN 'request' ELSE 'confirmed' END,
       owner, created_at
FROM jobs
WHERE state IN ('queued', 'running', 'delivering')
  AND NOT EXISTS (SELECT 1 FROM handed_over WHERE handed_over.job_id = jobs.id)
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "work",
        sa.Column("job_id", sa.String(16), primary_key=True),
        sa.Column("part", sa.String(10), primary_key=True),
        sa.Column("owner", sa.String(40), nullable=False, server_default=""),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.execute(_HANDED_OVER)
    op.execute(_UNDER_WAY)
    op.drop_table("handed_over")
    _alerts(op.get_bind())
    if op.get_bind().dialect.name == "postgresql":  # processes of 0.2.0 that still run look for unowned work here
        op.execute("CREATE VIEW handed_over AS SELECT job_id, part, at FROM work WHERE owner = ''")


def _alerts(connection: sa.Connection) -> None:
    """Turn sent alerts into claims in `app_state`, under the names that `core.budgets.alerts` uses."""
    add = sa.text("INSERT INTO app_state (area, key, value, updated_at, expires_at) VALUES ('alert', :key, '', 0, :at)")
    sent = "SELECT key, max(level) AS level, max(claimed_at) AS at FROM ledger_alerts WHERE sent GROUP BY key"
    for row in connection.execute(sa.text(sent)).all():
        name = hashlib.sha256(row.key.encode()).hexdigest()[:40]
        for level in (50, 80, 100):
            if level <= row.level:
                connection.execute(add, {"key": f"{name}:{level}", "at": row.at + _LONGEST_S})
    op.drop_table("ledger_alerts")
