"""Saved defaults, rules and sponsored use of people whose ids are unique only in a team, under team and id

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SLACK = "slack"


def upgrade() -> None:
    """Apply. What cannot be given to exactly one team is given to nobody, but an operator's rule to every team."""
    connection = op.get_bind()
    teams: dict[str, set[str]] = defaultdict(set)
    for name in ("jobs", "ledger_entries"):
        table = sa.table(name, sa.column("platform"), sa.column("user_id"), sa.column("workspace_id"))
        here = sa.and_(table.c.platform == _SLACK, table.c.workspace_id != "")
        for user, team in connection.execute(sa.select(table.c.user_id, table.c.workspace_id).where(here).distinct()):
            teams[user].add(team)
    # A row for each visit to the installation page; nothing is kept of one any more.
    connection.execute(sa.text("DELETE FROM app_state WHERE area = 'slack.oauth'"))
    _defaults(connection, teams)
    _rules(connection, teams)
    _sponsored(connection)


def _defaults(connection: sa.Connection, teams: dict[str, set[str]]) -> None:
    found = connection.execute(
        sa.text("SELECT key FROM app_state WHERE area = 'defaults' AND key LIKE 'slack:%'")
    ).scalars()
    for key in list(found):
        user = key.removeprefix("slack:")
        if ":" in user:
            continue
        if len(teams[user]) == 1:
            (team,) = teams[user]
            statement = "UPDATE app_state SET key = :new WHERE area = 'defaults' AND key = :old"
            connection.execute(sa.text(statement), {"new": f"slack:{team}:{user}", "old": key})
        else:
            connection.execute(sa.text("DELETE FROM app_state WHERE area = 'defaults' AND key = :old"), {"old": key})


def _rules(connection: sa.Connection, teams: dict[str, set[str]]) -> None:
    limits = sa.table(
        "ledger_limits",
        *(sa.column(name) for name in ("platform", "workspace_id", "scope", "scope_id", "measure", "window")),
        *(sa.column(name) for name in ("amount", "set_by", "set_at")),
    )
    bare = sa.and_(
        limits.c.platform == "*slack", limits.c.scope == "user", limits.c.workspace_id == "", limits.c.scope_id != ""
    )
    for row in connection.execute(sa.select(limits).where(bare)).all():
        known = teams[row.scope_id]
        for team in sorted(known):
            connection.execute(sa.insert(limits).values(**{**row._mapping, "workspace_id": team}))
        if known:
            same = [limits.c[name] == getattr(row, name) for name in ("scope_id", "measure", "window")]
            connection.execute(sa.delete(limits).where(bare, *same))


def _sponsored(connection: sa.Connection) -> None:
    """What sponsors paid of a person's use, under the person's counter in their team."""
    balances = sa.table("ledger_balances", sa.column("key"))
    keys = set(connection.execute(sa.select(balances.c.key).where(balances.c.key.like("%u:slack:%"))).scalars())
    for key in [key for key in keys if key.startswith("g:u:slack::")]:
        mark = key.removeprefix("g:u:slack::")
        known = [name for name in keys if name.startswith("u:slack:") and name.endswith(f":{mark}")]
        known = [name for name in known if not name.startswith("u:slack::")]
        if len(known) == 1:
            connection.execute(sa.update(balances).where(balances.c.key == key).values(key=f"g:{known[0]}"))
