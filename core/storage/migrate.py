"""Migrate the database at start-up. If several processes try at once, one does it and the others wait.

Alembic is imported only if there is something to migrate, since it takes 11 MB of memory (measured 2026-11-23).
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from core.ports import NotUsable
from core.storage.database import Database

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_310_552_001
_REVISION = re.compile(r"""^(down_)?revision(?:: [^=]+)? = ["'](\w+)["']""", re.MULTILINE)


async def migrate(database: Database) -> None:
    """Upgrade to the newest revision in one transaction. Raises NotUsable."""
    await database.refuse_pooler()
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        await connection.run_sync(_upgrade)


def known_revisions() -> tuple[frozenset[str], str]:
    """Return all revisions that this version of the bot knows, and the newest."""
    ids: set[str] = set()
    followed: set[str] = set()
    for path in sorted((_MIGRATIONS / "versions").glob("*.py")):
        for down, revision in _REVISION.findall(path.read_text(encoding="utf-8")):
            (followed if down else ids).add(revision)
    [newest] = ids - followed
    return frozenset(ids), newest


def _upgrade(connection: Connection) -> None:
    known, newest = known_revisions()
    version = None
    if inspect(connection).has_table("alembic_version"):
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if version == newest:
        return
    if version is not None and version not in known:
        raise NotUsable("The database was made by a newer version of the bot; use that version.")
    upgrade_to(connection, "head")


def upgrade_to(connection: Connection, revision: str) -> None:
    """Migrate to this revision within the connection's transaction; "head" is the newest."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
