"""The processes that are signed in, as rows: name, and the token without which no job can be claimed."""

import time
from collections import Counter
from typing import Literal, TypeAlias

import structlog
from sqlalchemy import delete, insert, select, update

from core.storage.database import Database
from core.storage.tables import replicas

log = structlog.get_logger(__name__)

_ALL = select(replicas.c.name, replicas.c.token)
_ROLES = select(replicas.c.role).where(replicas.c.token != "")

Role: TypeAlias = Literal["all", "chat", "worker", "command"]
"""Takes requests and runs jobs; only takes requests; only runs jobs; runs the jobs of one command."""


class Replicas:
    """The rows. A row without a token is of a process that was found dead and whose jobs are being taken over."""

    def __init__(self, database: Database, role: Role = "all") -> None:
        """`role` is what this process does."""
        self._db = database
        self._role = role

    async def sign_in(self, name: str, token: str) -> None:
        """Write the name where others look, with this token."""
        async with self._db.write() as connection:
            await connection.execute(delete(replicas).where(replicas.c.name == name))
            await connection.execute(
                insert(replicas).values(name=name, token=token, role=self._role, since=time.time())
            )
        log.info("signed_in", process=name)

    async def revoke(self, name: str) -> bool:
        """From now on this process can claim nothing; the name stays until `strike`. Whether it had not left itself."""
        signed_in = (replicas.c.name == name) & (replicas.c.token != "")
        async with self._db.write() as connection:
            return bool((await connection.execute(update(replicas).where(signed_in).values(token=""))).rowcount)

    async def strike(self, name: str) -> None:
        """Forget the name: its jobs were taken over. A process that has signed in anew under it meanwhile stays."""
        async with self._db.write() as connection:
            await connection.execute(delete(replicas).where(replicas.c.name == name, replicas.c.token == ""))

    async def tokens(self) -> dict[str, str]:
        """The token of every name; empty where it was revoked."""
        rows = await self._db.look(lambda connection: connection.execute(_ALL).all())
        return {row.name: row.token for row in rows}

    async def roles(self) -> Counter[str]:
        """How many processes, that nobody has found dead, have each role."""
        rows = await self._db.look(lambda connection: connection.execute(_ROLES).all())
        return Counter(row.role for row in rows)

    async def living(self) -> frozenset[str]:
        """Names that nobody has found dead."""
        return frozenset(name for name, token in (await self.tokens()).items() if token)
