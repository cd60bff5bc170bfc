"""The migrations create exactly the tables of the code, on both databases, and are idempotent."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import core.storage.tables
import core.storage.tables_ledger  # noqa: F401
from core.storage.database import Database
from core.storage.migrate import migrate
from core.storage.tables import metadata
from tests.fakes.core import closing


def _differences(connection: Connection) -> list[object]:
    wanted = set(metadata.tables)

    def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
        return kind != "table" or name in wanted

    return list(compare_metadata(MigrationContext.configure(connection, opts={"include_object": ours}), metadata))


async def test_a_new_database_gets_the_tables_of_the_code(any_database_url: str) -> None:
    async with closing(Database.connect(any_database_url)) as database:
        await migrate(database)
        await migrate(database)
        async with database.write() as connection:
            assert await connection.run_sync(_differences) == []
