"""Changes of release 0.2.0 since 0.1.0, in one revision; the revisions between were never released

Revision ID: 0009
Revises: 0001
"""

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0001"
branch_labels = None
depends_on = None

_SLACK = "slack"


def _text(name: str, length: int, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=default)


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Float(), nullable=False)


def upgrade() -> None:
    """Apply."""
    _ownership()
    _whole_identity(op.get_bind())
    _obligations()
    _extras()
    kept = sa.text("NOT images_deleted")
    op.drop_index(op.f("ix_jobs_finished_at"), "jobs")
    op.create_index("ix_jobs_kept_finished_at", "jobs", ["finished_at"], sqlite_where=kept, postgresql_where=kept)
    op.create_index(None, "jobs", ["created_at", "id"])
    for table in ("jobs", "ledger_holds", "ledger_entries"):  # until now there was one model
        op.add_column(table, _text("model", 40, "flux"))
    _limits_of_models(op.get_bind())


def _ownership() -> None:
    """Owners of jobs, and submit marks. With an empty mark only the encrypted part has it, as in 0.1.0."""
    op.create_table(
        "replicas",
        sa.Column("name", sa.String(40), primary_key=True),
        _text("token", 40),
        _time("since"),
        _text("role", 8, "all"),
    )
    op.create_table(
        "handed_over",
        sa.Column("job_id", sa.String(16), primary_key=True),
        sa.Column("part", sa.String(10), primary_key=True),
        _time("at"),
    )
    op.add_column("jobs", _text("owner", 40, ""))
    op.add_column("jobs", _text("submit_mark", 8, ""))
    op.execute("UPDATE jobs SET submit_mark = 'sent' WHERE request_id <> ''")
    op.execute(
        "INSERT INTO replicas (name, token, since) "
        "SELECT key, substr(key, 1, 40), updated_at FROM app_state WHERE area = 'replica'"
    )


def _obligations() -> None:
    op.create_table(
        "obligations",
        sa.Column("id", sa.String(40), primary_key=True),
        _text("job_id", 16),
        _text("kind", 12),
        _text("platform", 20),
        *(_time(name) for name in ("made_at", "due_at", "expires_at")),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Index(None, "due_at"),
    )


def _extras() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "ledger_extras",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        _text("platform", 20),
        _text("workspace_id", 64),
        _text("user_id", 128),
        sa.Column("amount_nanousd", sa.BigInteger(), nullable=False),
        _time("ends_at"),
        _text("set_by", 128),
        _time("set_at"),
        sa.Index(None, "ends_at"),
    )


def _limits_of_models(connection: sa.Connection) -> None:
    """Recreate the table, which has few rows, since the model becomes part of the primary key."""
    rows = connection.execute(sa.text("SELECT * FROM ledger_limits")).mappings().all()
    op.drop_table("ledger_limits")
    key = {"platform": 20, "workspace_id": 64, "scope": 12, "scope_id": 128, "measure": 12, "window": 8}
    made = op.create_table(
        "ledger_limits",
        *(sa.Column(name, sa.String(length), primary_key=True) for name, length in key.items()),
        sa.Column("model", sa.String(80), primary_key=True, server_default=""),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        _text("set_by", 128),
        _time("set_at"),
    )
    if made is not None and rows:
        op.bulk_insert(made, [dict(row) | {"model": ""} for row in rows])


def _whole_identity(connection: sa.Connection) -> None:
    """Store defaults, rules and sponsored use of people whose ids are unique only in a team under team and id.

    What does not belong to exactly one team is dropped, except an operator's rule, which applies to every team.
    """
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
    """Move what sponsors paid for a person to the person's counter in their team."""
    balances = sa.table("ledger_balances", sa.column("key"))
    keys = set(connection.execute(sa.select(balances.c.key).where(balances.c.key.like("%u:slack:%"))).scalars())
    for key in [key for key in keys if key.startswith("g:u:slack::")]:
        mark = key.removeprefix("g:u:slack::")
        known = [name for name in keys if name.startswith("u:slack:") and name.endswith(f":{mark}")]
        known = [name for name in known if not name.startswith("u:slack::")]
        if len(known) == 1:
            connection.execute(sa.update(balances).where(balances.c.key == key).values(key=f"g:{known[0]}"))
