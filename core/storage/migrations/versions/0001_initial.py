"""The tables of release 0.1.0

Revision ID: 0001
Revises:
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Column = sa.Column[Any]
_WAITING = sa.text("state = 'waiting'")
_OPEN = sa.text("state IN ('waiting', 'running')")


def _texts(**lengths: int) -> list[_Column]:
    return [sa.Column(name, sa.String(length), nullable=False) for name, length in lengths.items()]


def _keys(**lengths: int) -> list[_Column]:
    return [sa.Column(name, sa.String(length), primary_key=True) for name, length in lengths.items()]


def _all(kind: sa.types.TypeEngine[Any], *names: str) -> list[_Column]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _number(name: str) -> _Column:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _requester() -> list[_Column]:
    who = _texts(platform=20, workspace_id=64, channel_id=64, user_id=128, user_name=128)
    return [*who, *_all(sa.JSON(), "roles"), *_texts(sponsor_id=32)]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "app_state",
        *_keys(area=40, key=200),
        *_all(sa.Text(), "value"),
        *_all(sa.Float(), "updated_at"),
        sa.Column("expires_at", sa.Float()),
    )
    op.create_table(
        "incidents",
        *_keys(reference=16),
        *_all(sa.Float(), "at"),
        *_texts(area=80, kind=120, job_id=16),
        sa.Index(None, "at"),
    )
    _jobs()
    _entries_and_holds()
    _limits()
    op.create_table(
        "ledger_alert_channels",
        *_keys(platform=20, workspace_id=64),
        *_texts(channel_id=64),
        *_all(sa.Boolean(), "everything"),
        *_texts(locale=16, set_by=128),
        *_all(sa.Float(), "set_at"),
    )
    op.create_table(
        "ledger_alerts",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("level", sa.Integer(), primary_key=True, autoincrement=False),
        *_all(sa.Float(), "claimed_at"),
        *_all(sa.Boolean(), "sent"),
    )
    op.create_table("ledger_meta", *_keys(key=40), *_all(sa.Text(), "value"))


def _jobs() -> None:
    op.create_table(
        "jobs",
        *_keys(id=16),
        sa.Column("key", sa.String(300), nullable=False, unique=True),
        *_texts(state=24, platform=20, workspace_id=64, channel_id=64, user_id=128),
        *_all(sa.Float(), "created_at", "updated_at"),
        sa.Column("finished_at", sa.Float()),
        sa.Column("confirm_by_at", sa.Float()),
        *_texts(fingerprint=64, request_id=80, cancel_requested_by=160),
        *_all(sa.Boolean(), "images_deleted"),
        *_all(sa.Integer(), "takeovers"),
        *_all(sa.Text(), "data", "secret", "memo"),
        sa.Index(None, "fingerprint"),
        sa.Index(None, "finished_at"),
        sa.Index(None, "platform", "user_id", "created_at"),
        sa.Index(None, "platform", "workspace_id", "created_at"),
        sa.Index(None, "request_id"),
        sa.Index(None, "state", "updated_at"),
    )


def _entries_and_holds() -> None:
    amounts = ("used_nanousd", "held_nanousd", "used_px", "held_px")
    op.create_table(
        "ledger_balances",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("ends_at", sa.Float()),
        *_all(sa.BigInteger(), *amounts, "used_jobs", "held_jobs"),
        *_all(sa.Integer(), "running", "waiting"),
        sa.Index(None, "ends_at"),
    )
    op.create_table(
        "ledger_entries",
        _number("id"),
        *_all(sa.Text(), "job_key"),
        *_texts(step=40, kind=12),
        *_all(sa.Float(), "at", "held_at"),
        *_texts(day=10),
        *_all(sa.BigInteger(), *amounts),
        *_all(sa.Integer(), "used_jobs", "held_jobs"),
        *_all(sa.Boolean(), "play"),
        *_requester(),
        *_all(sa.JSON(), "counters", "windows"),
        *_texts(note=200),
        sa.UniqueConstraint("job_key", "step"),
        sa.Index(None, "day"),
        sa.Index(None, "platform", "user_id", "day"),
        sa.Index(None, "platform", "workspace_id", "day"),
    )
    op.create_table(
        "ledger_holds",
        _number("seq"),
        sa.Column("key", sa.Text(), nullable=False, unique=True),
        *_texts(state=10),
        *_all(sa.Integer(), "round", "adjustments"),
        *_all(sa.Float(), "held_at", "asked_at", "expires_at"),
        *_texts(day=10),
        *_all(sa.BigInteger(), "amount_nanousd", "amount_px", "charged_nanousd", "charged_px"),
        *_all(sa.Boolean(), "play"),
        *_requester(),
        *_texts(member=120),
        *_all(sa.JSON(), "counters", "slots", "windows"),
        sa.Index(None, "day"),
        sa.Index("ix_ledger_holds_line", "member", "seq", sqlite_where=_WAITING, postgresql_where=_WAITING),
        sa.Index("ix_ledger_holds_open", "expires_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index(None, "platform", "user_id"),
    )


def _limits() -> None:
    op.create_table(
        "ledger_limits",
        *_keys(platform=20, workspace_id=64, scope=12, scope_id=128, measure=12, window=8),
        *_all(sa.BigInteger(), "amount"),
        *_texts(set_by=128),
        *_all(sa.Float(), "set_at"),
    )
    op.create_table(
        "ledger_limit_changes",
        _number("id"),
        *_all(sa.Float(), "at"),
        *_texts(platform=20, workspace_id=64, actor_id=128, actor_name=128),
        *_texts(action=20, subject=200, old=200, new=200),
        sa.Index(None, "platform", "workspace_id", "at"),
    )
    op.create_table("ledger_pauses", *_keys(place=100), *_texts(set_by=128), *_all(sa.Float(), "set_at"))
    op.create_table(
        "ledger_sponsors",
        *_keys(id=32),
        *_texts(platform=20, workspace_id=64, channel_id=64),
        *_all(sa.BigInteger(), "amount_nanousd"),
        *_all(sa.Float(), "starts_at", "ends_at"),
        *_texts(set_by=128),
        sa.Index(None, "platform", "workspace_id", "channel_id"),
    )
