"""Alembic's entry point: runs on the connection that `core.storage.migrate` passes."""

from __future__ import annotations

from alembic import context

import core.storage.tables
import core.storage.tables_ledger  # noqa: F401
from core.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
