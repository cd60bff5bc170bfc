"""The ledger's tables. Amounts are integer nano-dollars, sizes integer pixels, times unix seconds.

`ledger_entries` is append-only and the truth about money; `ledger_balances` is a projection of it that lets a
decision read a handful of rows instead of history; `ledger_holds` is where each job's money is now.
"""

from typing import Any

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

from core.storage.tables import keys, metadata, required, texts

_WAITING = text("state = 'waiting'")
_OPEN = text("state IN ('waiting', 'running')")
IS_WAITING = text("ledger_holds.state = 'waiting'")
IS_OPEN = text("ledger_holds.state IN ('waiting', 'running')")
"""As the indexes say it: SQLite does not use them for a state that is a parameter."""


def _number(name: str) -> Column[int]:
    """Counted by the database; SQLite does so only in a column declared INTEGER."""
    return Column(name, BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _requester() -> list[Column[Any]]:
    """Who and where; `user_id` becomes a random name when the person asks to be forgotten."""
    who = texts(platform=20, workspace_id=64, channel_id=64, user_id=128, user_name=128)
    return [*who, *required(JSON, "roles"), *texts(sponsor_id=32)]


def _model() -> Column[str]:
    return Column("model", String(40), nullable=False, default="flux", server_default="flux")


_AMOUNTS = ("used_nanousd", "held_nanousd", "used_px", "held_px")

entries = Table(
    "ledger_entries",
    metadata,
    _number("id"),
    *required(Text, "job_key"),
    *texts(step=40, kind=12),
    *required(Float, "at", "held_at"),
    *texts(day=10),
    *required(BigInteger, *_AMOUNTS),
    *required(Integer, "used_jobs", "held_jobs"),
    *required(Boolean, "play"),
    *_requester(),
    *required(JSON, "counters", "windows"),
    Column("note", String(200), nullable=False, default=""),
    _model(),
    UniqueConstraint("job_key", "step"),
    Index(None, "platform", "workspace_id", "day"),
    Index(None, "platform", "user_id", "day"),
    Index(None, "day"),
)

holds = Table(
    "ledger_holds",
    metadata,
    _number("seq"),
    Column("key", Text, nullable=False, unique=True),
    *texts(state=10),
    *required(Integer, "round", "adjustments"),
    *required(Float, "held_at", "asked_at", "expires_at"),
    *texts(day=10),
    *required(BigInteger, "amount_nanousd", "amount_px", "charged_nanousd", "charged_px"),
    *required(Boolean, "play"),
    *_requester(),
    *texts(member=120),
    *required(JSON, "counters", "slots", "windows"),
    _model(),
    Index("ix_ledger_holds_open", "expires_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_ledger_holds_line", "member", "seq", sqlite_where=_WAITING, postgresql_where=_WAITING),
    Index(None, "platform", "user_id"),
    Index(None, "day"),
)

balances = Table(
    "ledger_balances",
    metadata,
    Column("key", Text, primary_key=True),
    Column("ends_at", Float),
    *required(BigInteger, *_AMOUNTS, "used_jobs", "held_jobs"),
    *required(Integer, "running", "waiting"),
    Index(None, "ends_at"),
)

limits = Table(
    "ledger_limits",
    metadata,
    *keys(platform=20, workspace_id=64, scope=12, scope_id=128, measure=12, window=8),
    Column("model", String(80), primary_key=True, default="", server_default=""),
    *required(BigInteger, "amount"),
    *texts(set_by=128),
    *required(Float, "set_at"),
)

changes = Table(
    "ledger_limit_changes",
    metadata,
    _number("id"),
    *required(Float, "at"),
    *texts(platform=20, workspace_id=64, actor_id=128, actor_name=128),
    *texts(action=20, subject=200, old=200, new=200),
    Index(None, "platform", "workspace_id", "at"),
)

pauses = Table("ledger_pauses", metadata, *keys(place=100), *texts(set_by=128), *required(Float, "set_at"))

sponsors = Table(
    "ledger_sponsors",
    metadata,
    *keys(id=32),
    *texts(platform=20, workspace_id=64, channel_id=64),
    *required(BigInteger, "amount_nanousd"),
    *required(Float, "starts_at", "ends_at"),
    *texts(set_by=128),
    Index(None, "platform", "workspace_id", "channel_id"),
)

extras = Table(
    "ledger_extras",
    metadata,
    _number("id"),
    *texts(platform=20, workspace_id=64, user_id=128),
    *required(BigInteger, "amount_nanousd"),
    *required(Float, "ends_at"),
    *texts(set_by=128),
    *required(Float, "set_at"),
    Index(None, "ends_at"),
)

alert_channels = Table(
    "ledger_alert_channels",
    metadata,
    *keys(platform=20, workspace_id=64),
    *texts(channel_id=64),
    *required(Boolean, "everything"),
    *texts(locale=16, set_by=128),
    *required(Float, "set_at"),
)

alerts = Table(
    "ledger_alerts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    *required(Float, "claimed_at"),
    *required(Boolean, "sent"),
)

meta = Table("ledger_meta", metadata, *keys(key=40), *required(Text, "value"))
