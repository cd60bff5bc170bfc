"""The ledger's tables. Amounts are integer nano-dollars, sizes integer pixels, times unix seconds.

`ledger_entries` is append-only and authoritative; `ledger_balances` is a projection of it, so that a decision reads a
few rows instead of the history; `ledger_holds` has the current state of each job's money.
"""

from typing import Any

import sqlalchemy as sa

from core.storage.tables import keys, metadata, required, texts

_WAITING = sa.text("state = 'waiting'")
_OPEN = sa.text("state IN ('waiting', 'running')")
IS_WAITING = sa.text("ledger_holds.state = 'waiting'")
IS_OPEN = sa.text("ledger_holds.state IN ('waiting', 'running')")
"""In the words of the partial indexes: SQLite does not use them if the state is a parameter."""


def _number(name: str) -> sa.Column[int]:
    """An autoincrement key, which SQLite supports only in a column declared INTEGER."""
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _requester() -> list[sa.Column[Any]]:
    """The requester's columns; `user_id` is replaced by a random name when the person's data are erased."""
    who = texts(platform=20, workspace_id=64, channel_id=64, user_id=128, user_name=128)
    return [*who, *required(sa.JSON, "roles"), *texts(sponsor_id=32)]


def _model() -> sa.Column[str]:
    return sa.Column("model", sa.String(40), nullable=False, default="flux", server_default="flux")


_AMOUNTS = ("used_nanousd", "held_nanousd", "used_px", "held_px")

entries = sa.Table(
    "ledger_entries",
    metadata,
    _number("id"),
    *required(sa.Text, "job_key"),
    *texts(step=40, kind=12),
    *required(sa.Float, "at", "held_at"),
    *texts(day=10),
    *required(sa.BigInteger, *_AMOUNTS),
    *required(sa.Integer, "used_jobs", "held_jobs"),
    *required(sa.Boolean, "play"),
    *_requester(),
    *required(sa.JSON, "counters", "windows"),
    sa.Column("note", sa.String(200), nullable=False, default=""),
    _model(),
    sa.UniqueConstraint("job_key", "step"),
    sa.Index(None, "platform", "workspace_id", "day"),
    sa.Index(None, "platform", "user_id", "day"),
    sa.Index(None, "day"),
)

holds = sa.Table(
    "ledger_holds",
    metadata,
    _number("seq"),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    *texts(state=10),
    *required(sa.Integer, "round", "adjustments"),
    *required(sa.Float, "held_at", "asked_at", "expires_at"),
    *texts(day=10),
    *required(sa.BigInteger, "amount_nanousd", "amount_px", "charged_nanousd", "charged_px"),
    *required(sa.Boolean, "play"),
    *_requester(),
    *texts(member=120),
    *required(sa.JSON, "counters", "slots", "windows"),
    _model(),
    sa.Column("parent_channel_id", sa.String(64), nullable=False, default="", server_default=""),
    sa.Index("ix_ledger_holds_open", "expires_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    sa.Index("ix_ledger_holds_line", "member", "seq", sqlite_where=_WAITING, postgresql_where=_WAITING),
    sa.Index(None, "platform", "user_id"),
    sa.Index(None, "day"),
)

balances = sa.Table(
    "ledger_balances",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("ends_at", sa.Float),
    *required(sa.BigInteger, *_AMOUNTS, "used_jobs", "held_jobs"),
    *required(sa.Integer, "running", "waiting"),
    sa.Index(None, "ends_at"),
)

limits = sa.Table(
    "ledger_limits",
    metadata,
    *keys(platform=20, workspace_id=64, scope=12, scope_id=128, measure=12, window=8),
    sa.Column("model", sa.String(80), primary_key=True, default="", server_default=""),
    *required(sa.BigInteger, "amount"),
    *texts(set_by=128),
    *required(sa.Float, "set_at"),
)

changes = sa.Table(
    "ledger_limit_changes",
    metadata,
    _number("id"),
    *required(sa.Float, "at"),
    *texts(platform=20, workspace_id=64, actor_id=128, actor_name=128),
    *texts(action=20, subject=200, old=200, new=200),
    sa.Index(None, "platform", "workspace_id", "at"),
)

pauses = sa.Table("ledger_pauses", metadata, *keys(place=100), *texts(set_by=128), *required(sa.Float, "set_at"))

sponsors = sa.Table(
    "ledger_sponsors",
    metadata,
    *keys(id=32),
    *texts(platform=20, workspace_id=64, channel_id=64),
    *required(sa.BigInteger, "amount_nanousd"),
    *required(sa.Float, "starts_at", "ends_at"),
    *texts(set_by=128),
    sa.Index(None, "platform", "workspace_id", "channel_id"),
)

extras = sa.Table(
    "ledger_extras",
    metadata,
    _number("id"),
    *texts(platform=20, workspace_id=64, user_id=128),
    *required(sa.BigInteger, "amount_nanousd"),
    *required(sa.Float, "ends_at"),
    *texts(set_by=128),
    *required(sa.Float, "set_at"),
    sa.Index(None, "ends_at"),
)

alert_channels = sa.Table(
    "ledger_alert_channels",
    metadata,
    *keys(platform=20, workspace_id=64),
    *texts(channel_id=64),
    *required(sa.Boolean, "everything"),
    *texts(locale=16, set_by=128),
    *required(sa.Float, "set_at"),
)

meta = sa.Table("ledger_meta", metadata, *keys(key=40), *required(sa.Text, "value"))
