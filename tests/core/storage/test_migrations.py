"""The migrations make exactly the tables that the code works with, on both databases, and may be run again."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import core.storage.tables
import core.storage.tables_ledger  # noqa: F401
from core.storage.database import Database
from core.storage.migrate import migrate
from core.storage.tables import metadata


def _differences(connection: Connection) -> list[object]:
    wanted = set(metadata.tables)

    def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
        return kind != "table" or name in wanted

    return list(compare_metadata(MigrationContext.configure(connection, opts={"include_object": ours}), metadata))


async def _check(database: Database) -> None:
    await migrate(database)
    await migrate(database)
    async with database.write() as connection:
        differences = await connection.run_sync(_differences)

    assert differences == []


async def test_a_new_sqlite_file_gets_the_tables_of_the_code(tmp_path: Path) -> None:
    database = Database.connect(f"sqlite:///{tmp_path / 'new.db'}")
    try:
        await _check(database)
    finally:
        await database.close()


async def test_a_new_postgresql_database_gets_the_tables_of_the_code(postgres_url: str) -> None:
    database = Database.connect(postgres_url)
    try:
        await _check(database)
    finally:
        await database.close()
