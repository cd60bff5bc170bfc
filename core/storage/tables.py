"""Tables of jobs and small state. Money has its own in `tables_ledger`. Times are unix seconds.

What has to be searched is a column of its own; the rest of a job is one JSON text (`data`), and whatever could hold
a link or a token is one encrypted text (`secret`).
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, text

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

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("key", String(300), nullable=False, unique=True),
    Column("state", String(24), nullable=False),
    Column("platform", String(20), nullable=False),
    Column("workspace_id", String(64), nullable=False),
    Column("channel_id", String(64), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
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
    Column("data", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("memo", Text, nullable=False, default="{}"),
    Index(None, "platform", "user_id", "created_at"),
    Index(None, "platform", "workspace_id", "created_at"),
    Index(None, "state", "updated_at"),
    Index(None, "fingerprint"),
    Index(None, "request_id"),
    Index(None, "created_at", "id"),
    Index(
        "ix_jobs_kept_finished_at",
        "finished_at",
        sqlite_where=text("NOT images_deleted"),
        postgresql_where=text("NOT images_deleted"),
    ),
)

KEPT = text("NOT jobs.images_deleted")
"""As the index says it: jobs whose pictures are kept."""

replicas = Table(
    "replicas",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("token", String(40), nullable=False),
    Column("role", String(8), nullable=False, default="all", server_default="all"),
    Column("since", Float, nullable=False),
)

handed_over = Table(
    "handed_over",
    metadata,
    Column("job_id", String(16), primary_key=True),
    Column("part", String(10), primary_key=True),
    Column("at", Float, nullable=False),
)

app_state = Table(
    "app_state",
    metadata,
    Column("area", String(40), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("expires_at", Float),
)

obligations = Table(
    "obligations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("job_id", String(16), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("platform", String(20), nullable=False),
    Column("made_at", Float, nullable=False),
    Column("due_at", Float, nullable=False, index=True),
    Column("expires_at", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("data", Text, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("reference", String(16), primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("area", String(80), nullable=False),
    Column("kind", String(120), nullable=False),
    Column("job_id", String(16), nullable=False, default=""),
)
