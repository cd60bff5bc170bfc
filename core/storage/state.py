"""Small durable values behind `core.ports.AppState`, sealed by the vault; and turns that only one process takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from core.ports import Clock
from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.tables import app_state

_GET = select(app_state.c.value).where(app_state.c.area == bindparam("a"), app_state.c.key == bindparam("k"))


class SqlAppState:
    """JSON values by (area, key)."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._db = database
        self._vault = vault
        self._clock = clock

    async def get(self, area: str, key: str) -> Any | None:
        """The value, or None where absent (or sealed under another key)."""
        sealed = await self._db.look(lambda connection: connection.execute(_GET, {"a": area, "k": key}).scalar())
        return self._vault.unseal(sealed) if sealed is not None else None

    async def put(self, area: str, key: str, value: Any) -> None:
        """Store it, replacing what was there."""
        values = {"value": self._vault.seal(value), "updated_at": self._clock.now(), "expires_at": None}
        where = (app_state.c.area == area) & (app_state.c.key == key)
        async with self._db.write() as connection:
            changed = await connection.execute(update(app_state).where(where).values(**values))
            if changed.rowcount:
                return
        try:
            async with self._db.write() as connection:
                await connection.execute(insert(app_state).values(area=area, key=key, **values))
        except IntegrityError:  # another process was first between the two
            async with self._db.write() as connection:
                await connection.execute(update(app_state).where(where).values(**values))

    async def delete(self, area: str, key: str) -> None:
        """Forget it."""
        async with self._db.write() as connection:
            await connection.execute(delete(app_state).where(app_state.c.area == area, app_state.c.key == key))

    async def keys(self, area: str) -> Sequence[str]:
        """All keys of an area, sorted."""
        async with self._db.read() as connection:
            query = select(app_state.c.key).where(app_state.c.area == area).order_by(app_state.c.key)
            return [row.key for row in await connection.execute(query)]

    async def claim(self, area: str, key: str, *, ttl_s: float) -> bool:
        """Take the turn unless somebody holds it; a turn ends by itself after `ttl_s`."""
        now = self._clock.now()
        values = {"value": self._vault.seal(None), "updated_at": now, "expires_at": now + ttl_s}
        free = or_(app_state.c.expires_at.is_(None), app_state.c.expires_at <= now)
        where = (app_state.c.area == area) & (app_state.c.key == key) & free
        try:
            async with self._db.write() as connection:
                taken = await connection.execute(update(app_state).where(where).values(**values))
                if taken.rowcount:
                    return True
            async with self._db.write() as connection:
                await connection.execute(insert(app_state).values(area=area, key=key, **values))
        except IntegrityError:
            return False
        return True
