"""Bring the database's tables up to date, at start. Several processes may try at once: one does it, the rest wait."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from core.storage.database import Database

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_310_552_001


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> None:
    """Upgrade to the newest revision in one transaction."""
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))


async def new_revision(database: Database, message: str) -> None:
    """Write a migration for what the tables have and the database has not (for developers)."""
    async with database.write() as connection:
        await connection.run_sync(lambda sync: command.revision(_config(sync), message, autogenerate=True))
