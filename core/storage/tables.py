"""Tables of jobs and small state; the ledger's are in `tables_ledger`. Times are unix seconds.

Everything that is searched by has a column; the rest of a job is one JSON text (`data`), and everything that can hold a
link or a token is one encrypted text (`secret`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All tables. Every constraint has a name, so that migrations can refer to it."""


def texts(default: str | None = None, /, **lengths: int) -> list[sa.Column[str]]:
    """Required text columns, by their maximum number of characters."""
    return [sa.Column(name, sa.String(length), nullable=False, default=default) for name, length in lengths.items()]


def keys(**lengths: int) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length), primary_key=True) for name, length in lengths.items()]


def required(kind: TypeEngine[Any] | type[TypeEngine[Any]], *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


INSERTS: Mapping[str, Callable[[sa.Table], sqlite.Insert | postgresql.Insert]]
INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""By dialect: INSERT constructors that support ON CONFLICT."""


def upsert(
    table: sa.Table, *key: str, adds: Sequence[str] = (), where: sa.ColumnElement[bool] | None = None
) -> Mapping[str, sa.Executable]:
    """By dialect: insert a row, or replace the row with this key; the columns `adds` are added to it instead."""
    others = [column for column in table.c if column.name not in key and not column.primary_key]
    found = {}
    for dialect, insert in INSERTS.items():
        new = insert(table)
        values = {one.key: one + new.excluded[one.key] if one.key in adds else new.excluded[one.key] for one in others}
        found[dialect] = new.on_conflict_do_update(index_elements=key, set_=values, where=where)
    return found


_KEPT = sa.text("NOT images_deleted")

jobs = sa.Table(
    "jobs",
    metadata,
    *keys(id=16),
    sa.Column("key", sa.String(300), nullable=False, unique=True),
    *texts(state=24, platform=20, workspace_id=64, channel_id=64, user_id=128),
    *required(sa.Float, "created_at", "updated_at"),
    sa.Column("finished_at", sa.Float),
    sa.Column("confirm_by_at", sa.Float),
    *texts("", fingerprint=64, request_id=80, cancel_requested_by=160, owner=40, submit_mark=8),
    sa.Column("images_deleted", sa.Boolean, nullable=False, default=False),
    sa.Column("takeovers", sa.Integer, nullable=False, default=0),
    sa.Column("model", sa.String(40), nullable=False, default="flux", server_default="flux"),
    *required(sa.Text, "data", "secret"),
    sa.Column("memo", sa.Text, nullable=False, default="{}", key="delivery_state"),
    sa.Index(None, "platform", "user_id", "created_at"),
    sa.Index(None, "platform", "workspace_id", "created_at"),
    sa.Index(None, "state", "updated_at"),
    sa.Index(None, "fingerprint"),
    sa.Index(None, "request_id"),
    sa.Index(None, "created_at", "id"),
    sa.Index("ix_jobs_kept_finished_at", "finished_at", sqlite_where=_KEPT, postgresql_where=_KEPT),
)

KEPT = sa.text("NOT jobs.images_deleted")
"""Jobs whose pictures are kept, in the words of the index, so that it is used."""

replicas = sa.Table(
    "replicas",
    metadata,
    *keys(name=40),
    *texts(token=40),
    sa.Column("role", sa.String(8), nullable=False, default="all", server_default="all"),
    *required(sa.Float, "since"),
)

work = sa.Table(
    "work",
    metadata,
    *keys(job_id=16, part=10),
    *texts("", owner=40),
    *required(sa.Float, "at"),
)

app_state = sa.Table(
    "app_state",
    metadata,
    *keys(area=40, key=200),
    *required(sa.Text, "value"),
    *required(sa.Float, "updated_at"),
    sa.Column("expires_at", sa.Float, index=True),
)

obligations = sa.Table(
    "obligations",
    metadata,
    *keys(id=40),
    *texts(job_id=16, kind=12, platform=20),
    *required(sa.Float, "made_at", "due_at", "expires_at"),
    *required(sa.Integer, "tries"),
    *required(sa.Text, "data"),
    sa.Index(None, "due_at"),
)

incidents = sa.Table(
    "incidents",
    metadata,
    *keys(reference=16),
    *required(sa.Float, "at"),
    *texts("", area=80, kind=120, job_id=16),
    sa.Index(None, "at"),
    sa.Index(None, "job_id"),
)
