"""Tables of jobs and small state. Money has its own in `tables_ledger`. Times are unix seconds.

What has to be searched is a column of its own; the rest of a job is one JSON text (`data`), and whatever could hold
a link or a token is one encrypted text (`secret`).
"""

from typing import Any

from sqlalchemy import Boolean, Column, Connection, Float, Index, Integer, MetaData, String, Table, Text, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All tables, with names for every constraint so that migrations can refer to them."""


def texts(**lengths: int) -> list[Column[str]]:
    """Columns of text that are always there, by their greatest number of characters."""
    return [Column(name, String(length), nullable=False) for name, length in lengths.items()]


def keys(**lengths: int) -> list[Column[str]]:
    """The same as the primary key, or parts of it."""
    return [Column(name, String(length), primary_key=True) for name, length in lengths.items()]


def required(kind: TypeEngine[Any] | type[TypeEngine[Any]], *names: str) -> list[Column[Any]]:
    """Columns of one type that are always there."""
    return [Column(name, kind, nullable=False) for name in names]


def insert_into(connection: Connection | AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may say what happens where the row is there already; both databases say it alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


_KEPT = text("NOT images_deleted")

jobs = Table(
    "jobs",
    metadata,
    *keys(id=16),
    Column("key", String(300), nullable=False, unique=True),
    *texts(state=24, platform=20, workspace_id=64, channel_id=64, user_id=128),
    *required(Float, "created_at", "updated_at"),
    Column("finished_at", Float),
    Column("confirm_by_at", Float),
    Column("fingerprint", String(64), nullable=False, default=""),
    Column("request_id", String(80), nullable=False, default=""),
    Column("cancel_requested_by", String(160), nullable=False, default=""),
    Column("images_deleted", Boolean, nullable=False, default=False),
    Column("takeovers", Integer, nullable=False, default=0),
    Column("owner", String(40), nullable=False, default="", server_default=""),
    Column("submit_mark", String(8), nullable=False, default="", server_default=""),
    Column("model", String(40), nullable=False, default="flux", server_default="flux"),
    *required(Text, "data", "secret"),
    Column("memo", Text, nullable=False, default="{}", key="delivery_state"),
    Index(None, "platform", "user_id", "created_at"),
    Index(None, "platform", "workspace_id", "created_at"),
    Index(None, "state", "updated_at"),
    Index(None, "fingerprint"),
    Index(None, "request_id"),
    Index(None, "created_at", "id"),
    Index("ix_jobs_kept_finished_at", "finished_at", sqlite_where=_KEPT, postgresql_where=_KEPT),
)

KEPT = text("NOT jobs.images_deleted")
"""As the index says it: jobs whose pictures are kept."""

replicas = Table(
    "replicas",
    metadata,
    *keys(name=40),
    *texts(token=40),
    Column("role", String(8), nullable=False, default="all", server_default="all"),
    *required(Float, "since"),
)

work = Table(
    "work",
    metadata,
    *keys(job_id=16, part=10),
    Column("owner", String(40), nullable=False, default="", server_default=""),
    *required(Float, "at"),
)

app_state = Table(
    "app_state",
    metadata,
    *keys(area=40, key=200),
    *required(Text, "value"),
    *required(Float, "updated_at"),
    Column("expires_at", Float, index=True),
)

obligations = Table(
    "obligations",
    metadata,
    *keys(id=40),
    *texts(job_id=16, kind=12, platform=20),
    *required(Float, "made_at", "due_at", "expires_at"),
    *required(Integer, "tries"),
    *required(Text, "data"),
    Index(None, "due_at"),
)

incidents = Table(
    "incidents",
    metadata,
    *keys(reference=16),
    *required(Float, "at"),
    *texts(area=80, kind=120),
    Column("job_id", String(16), nullable=False, default=""),
    Index(None, "at"),
    Index(None, "job_id"),
)
