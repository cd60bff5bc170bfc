"""The ledger's tables. Amounts are integer nano-dollars, sizes integer pixels, times unix seconds.

`ledger_entries` is append-only and the truth about money; `ledger_balances` is a projection of it that lets a
decision read a handful of rows instead of history; `ledger_holds` is where each job's money is now.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from core.storage.tables import metadata

_BigId = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only in a column declared INTEGER."""


def _requester() -> tuple[Column[str] | Column[object], ...]:
    """Who and where; `user_id` becomes a random name when the person asks to be forgotten."""
    return (
        Column("platform", String(20), nullable=False),
        Column("workspace_id", String(64), nullable=False),
        Column("channel_id", String(64), nullable=False),
        Column("user_id", String(128), nullable=False),
        Column("user_name", String(128), nullable=False),
        Column("roles", JSON, nullable=False),
        Column("sponsor_id", String(32), nullable=False),
    )


entries = Table(
    "ledger_entries",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("job_key", Text, nullable=False),
    Column("step", String(40), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("at", Float, nullable=False),
    Column("held_at", Float, nullable=False),
    Column("day", String(10), nullable=False),
    Column("used_nanousd", BigInteger, nullable=False),
    Column("held_nanousd", BigInteger, nullable=False),
    Column("used_px", BigInteger, nullable=False),
    Column("held_px", BigInteger, nullable=False),
    Column("used_jobs", Integer, nullable=False),
    Column("held_jobs", Integer, nullable=False),
    Column("play", Boolean, nullable=False),
    *_requester(),
    Column("counters", JSON, nullable=False),
    Column("windows", JSON, nullable=False),
    Column("note", String(200), nullable=False, default=""),
    Column("model", String(40), nullable=False, default="flux", server_default="flux"),
    UniqueConstraint("job_key", "step"),
    Index(None, "platform", "workspace_id", "day"),
    Index(None, "platform", "user_id", "day"),
    Index(None, "day"),
)

holds = Table(
    "ledger_holds",
    metadata,
    Column("seq", _BigId, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("state", String(10), nullable=False),
    Column("round", Integer, nullable=False),
    Column("adjustments", Integer, nullable=False),
    Column("held_at", Float, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("day", String(10), nullable=False),
    Column("amount_nanousd", BigInteger, nullable=False),
    Column("amount_px", BigInteger, nullable=False),
    Column("charged_nanousd", BigInteger, nullable=False),
    Column("charged_px", BigInteger, nullable=False),
    Column("play", Boolean, nullable=False),
    *_requester(),
    Column("member", String(120), nullable=False),
    Column("counters", JSON, nullable=False),
    Column("slots", JSON, nullable=False),
    Column("windows", JSON, nullable=False),
    Column("model", String(40), nullable=False, default="flux", server_default="flux"),
    Index(
        "ix_ledger_holds_open",
        "expires_at",
        sqlite_where=text("state IN ('waiting', 'running')"),
        postgresql_where=text("state IN ('waiting', 'running')"),
    ),
    Index(
        "ix_ledger_holds_line",
        "member",
        "seq",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(None, "platform", "user_id"),
    Index(None, "day"),
)

balances = Table(
    "ledger_balances",
    metadata,
    Column("key", Text, primary_key=True),
    Column("ends_at", Float),
    Column("used_nanousd", BigInteger, nullable=False),
    Column("held_nanousd", BigInteger, nullable=False),
    Column("used_px", BigInteger, nullable=False),
    Column("held_px", BigInteger, nullable=False),
    Column("used_jobs", BigInteger, nullable=False),
    Column("held_jobs", BigInteger, nullable=False),
    Column("running", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Index(None, "ends_at"),
)

limits = Table(
    "ledger_limits",
    metadata,
    Column("platform", String(20), primary_key=True),
    Column("workspace_id", String(64), primary_key=True),
    Column("scope", String(12), primary_key=True),
    Column("scope_id", String(128), primary_key=True),
    Column("measure", String(12), primary_key=True),
    Column("window", String(8), primary_key=True),
    Column("model", String(80), primary_key=True, default="", server_default=""),
    Column("amount", BigInteger, nullable=False),
    Column("set_by", String(128), nullable=False),
    Column("set_at", Float, nullable=False),
)

changes = Table(
    "ledger_limit_changes",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("platform", String(20), nullable=False),
    Column("workspace_id", String(64), nullable=False),
    Column("actor_id", String(128), nullable=False),
    Column("actor_name", String(128), nullable=False),
    Column("action", String(20), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("old", String(200), nullable=False),
    Column("new", String(200), nullable=False),
    Index(None, "platform", "workspace_id", "at"),
)

pauses = Table(
    "ledger_pauses",
    metadata,
    Column("place", String(100), primary_key=True),
    Column("set_by", String(128), nullable=False),
    Column("set_at", Float, nullable=False),
)

sponsors = Table(
    "ledger_sponsors",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("platform", String(20), nullable=False),
    Column("workspace_id", String(64), nullable=False),
    Column("channel_id", String(64), nullable=False),
    Column("amount_nanousd", BigInteger, nullable=False),
    Column("starts_at", Float, nullable=False),
    Column("ends_at", Float, nullable=False),
    Column("set_by", String(128), nullable=False),
    Index(None, "platform", "workspace_id", "channel_id"),
)

extras = Table(
    "ledger_extras",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("platform", String(20), nullable=False),
    Column("workspace_id", String(64), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("amount_nanousd", BigInteger, nullable=False),
    Column("ends_at", Float, nullable=False, index=True),
    Column("set_by", String(128), nullable=False),
    Column("set_at", Float, nullable=False),
)

alert_channels = Table(
    "ledger_alert_channels",
    metadata,
    Column("platform", String(20), primary_key=True),
    Column("workspace_id", String(64), primary_key=True),
    Column("channel_id", String(64), nullable=False),
    Column("everything", Boolean, nullable=False),
    Column("locale", String(16), nullable=False),
    Column("set_by", String(128), nullable=False),
    Column("set_at", Float, nullable=False),
)

alerts = Table(
    "ledger_alerts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("claimed_at", Float, nullable=False),
    Column("sent", Boolean, nullable=False),
)

meta = Table(
    "ledger_meta",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)
ALL: tuple[Table, ...] = (
    entries,
    holds,
    balances,
    limits,
    changes,
    pauses,
    sponsors,
    extras,
    alert_channels,
    alerts,
    meta,
)
"""Every table of the ledger."""
