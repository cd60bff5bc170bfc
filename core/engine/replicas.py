"""The processes that are signed in, one row each, with the token that they need to claim jobs."""

import time
from collections import Counter
from pathlib import Path
from typing import Literal, TypeAlias

import structlog
from filelock import FileLock, Timeout
from sqlalchemy import Connection, delete, insert, select, text, update

from core.storage.database import Database
from core.storage.tables import replicas

log = structlog.get_logger(__name__)

_ALL = select(replicas.c.name, replicas.c.token)
_ROLES = select(replicas.c.role).where(replicas.c.token != "")

Role: TypeAlias = Literal["all", "chat", "worker", "command"]
"""Accepts requests and runs jobs; only accepts requests; only runs jobs; runs the jobs of one command."""


class Replicas:
    """A row without a token belongs to a dead process whose jobs are being taken over."""

    def __init__(self, database: Database, role: Role = "all") -> None:
        self._db = database
        self._role = role

    async def sign_in(self, name: str, token: str) -> None:
        row = {"name": name, "token": token, "role": self._role, "since": time.time()}

        def work(connection: Connection) -> None:
            connection.execute(delete(replicas).where(replicas.c.name == name))
            connection.execute(insert(replicas), row)

        await self._db.run_write(work)
        log.info("signed_in", process=name)

    async def revoke(self, name: str) -> str:
        """Clear and return the process's token, so that it can claim nothing; the row stays until `remove`."""
        one = replicas.c.name == name

        def work(connection: Connection) -> str:
            token = connection.scalar(select(replicas.c.token).where(one).with_for_update())
            connection.execute(update(replicas).where(one).values(token=""))
            return token or ""

        return await self._db.run_write(work)

    async def remove(self, name: str) -> None:
        """Delete the row once the jobs are taken over, unless the process has signed in again."""
        await self._db.execute(delete(replicas).where(replicas.c.name == name, replicas.c.token == ""))

    async def tokens(self) -> dict[str, str]:
        """The token of every name; empty if it was revoked."""
        return {row.name: row.token for row in await self._db.all(_ALL)}

    async def roles(self) -> Counter[str]:
        return Counter(row.role for row in await self._db.all(_ROLES))


async def anyone_alive(database: Database, folder: Path) -> bool:
    if not database.is_sqlite:
        query = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'upscale-bot p-%'"
        )
        async with database.read() as connection:
            return bool(await connection.scalar(query))
    return any(_is_locked(path) for path in folder.glob("p-*.lock"))


def _is_locked(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except (Timeout, PermissionError):
        return True
