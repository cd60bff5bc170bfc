"""The tables of release 0.1.0

Revision ID: 0001
Revises:
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.storage.tables import keys, required, texts

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Column = sa.Column[Any]
_WAITING = sa.text("state = 'waiting'")
_OPEN = sa.text("state IN ('waiting', 'running')")


def _number(name: str) -> _Column:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _requester() -> list[_Column]:
    who = texts(platform=20, workspace_id=64, channel_id=64, user_id=128, user_name=128)
    return [*who, *required(sa.JSON(), "roles"), *texts(sponsor_id=32)]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "app_state",
        *keys(area=40, key=200),
        *required(sa.Text(), "value"),
        *required(sa.Float(), "updated_at"),
        sa.Column("expires_at", sa.Float()),
    )
    op.create_table(
        "incidents",
        *keys(reference=16),
        *required(sa.Float(), "at"),
        *texts(area=80, kind=120, job_id=16),
        sa.Index(None, "at"),
    )
    _jobs()
    _entries_and_holds()
    _limits()
    op.create_table(
        "ledger_alert_channels",
        *keys(platform=20, workspace_id=64),
        *texts(channel_id=64),
        *required(sa.Boolean(), "everything"),
        *texts(locale=16, set_by=128),
        *required(sa.Float(), "set_at"),
    )
    op.create_table(
        "ledger_alerts",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("level", sa.Integer(), primary_key=True, autoincrement=False),
        *required(sa.Float(), "claimed_at"),
        *required(sa.Boolean(), "sent"),
    )
    op.create_table("ledger_meta", *keys(key=40), *required(sa.Text(), "value"))


def _jobs() -> None:
    op.create_table(
        "jobs",
        *keys(id=16),
        sa.Column("key", sa.String(300), nullable=False, unique=True),
        *texts(state=24, platform=20, workspace_id=64, channel_id=64, user_id=128),
        *required(sa.Float(), "created_at", "updated_at"),
        sa.Column("finished_at", sa.Float()),
        sa.Column("confirm_by_at", sa.Float()),
        *texts(fingerprint=64, request_id=80, cancel_requested_by=160),
        *required(sa.Boolean(), "images_deleted"),
        *required(sa.Integer(), "takeovers"),
        *required(sa.Text(), "data", "secret", "memo"),
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
        *required(sa.BigInteger(), *amounts, "used_jobs", "held_jobs"),
        *required(sa.Integer(), "running", "waiting"),
        sa.Index(None, "ends_at"),
    )
    op.create_table(
        "ledger_entries",
        _number("id"),
        *required(sa.Text(), "job_key"),
        *texts(step=40, kind=12),
        *required(sa.Float(), "at", "held_at"),
        *texts(day=10),
        *required(sa.BigInteger(), *amounts),
        *required(sa.Integer(), "used_jobs", "held_jobs"),
        *required(sa.Boolean(), "play"),
        *_requester(),
        *required(sa.JSON(), "counters", "windows"),
        *texts(note=200),
        sa.UniqueConstraint("job_key", "step"),
        sa.Index(None, "day"),
        sa.Index(None, "platform", "user_id", "day"),
        sa.Index(None, "platform", "workspace_id", "day"),
    )
    op.create_table(
        "ledger_holds",
        _number("seq"),
        sa.Column("key", sa.Text(), nullable=False, unique=True),
        *texts(state=10),
        *required(sa.Integer(), "round", "adjustments"),
        *required(sa.Float(), "held_at", "asked_at", "expires_at"),
        *texts(day=10),
        *required(sa.BigInteger(), "amount_nanousd", "amount_px", "charged_nanousd", "charged_px"),
        *required(sa.Boolean(), "play"),
        *_requester(),
        *texts(member=120),
        *required(sa.JSON(), "counters", "slots", "windows"),
        sa.Index(None, "day"),
        sa.Index("ix_ledger_holds_line", "member", "seq", sqlite_where=_WAITING, postgresql_where=_WAITING),
        sa.Index("ix_ledger_holds_open", "expires_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index(None, "platform", "user_id"),
    )


def _limits() -> None:
    op.create_table(
        "ledger_limits",
        *keys(platform=20, workspace_id=64, scope=12, scope_id=128, measure=12, window=8),
        *required(sa.BigInteger(), "amount"),
        *texts(set_by=128),
        *required(sa.Float(), "set_at"),
    )
    op.create_table(
        "ledger_limit_changes",
        _number("id"),
        *required(sa.Float(), "at"),
        *texts(platform=20, workspace_id=64, actor_id=128, actor_name=128),
        *texts(action=20, subject=200, old=200, new=200),
        sa.Index(None, "platform", "workspace_id", "at"),
    )
    op.create_table("ledger_pauses", *keys(place=100), *texts(set_by=128), *required(sa.Float(), "set_at"))
    op.create_table(
        "ledger_sponsors",
        *keys(id=32),
        *texts(platform=20, workspace_id=64, channel_id=64),
        *required(sa.BigInteger(), "amount_nanousd"),
        *required(sa.Float(), "starts_at", "ends_at"),
        *texts(set_by=128),
        sa.Index(None, "platform", "workspace_id", "channel_id"),
    )
