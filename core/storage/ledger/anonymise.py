"""Cuts the link between a person and their money rows: the sums stay, the name goes. Cannot be undone."""

from __future__ import annotations

import secrets

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.storage import tables_ledger as t
from core.storage.ledger.transaction import LedgerDatabase


async def forget_member(database: LedgerDatabase, platform: str, user_id: str) -> int:
    """Give all rows of this person one random name; how many entries that were.

    Open holds keep their person until they are settled: they are needed to find the limits, and end within hours.
    Counters know the person only by a keyed hash, so limits of today go on as before.
    """
    alias = f"erased:{secrets.token_hex(8)}"
    gone = {"user_id": alias, "user_name": ""}

    async def work(connection: AsyncConnection) -> int:
        closed = t.holds.c.state.in_(("settled", "released", "expired"))
        own_holds = (t.holds.c.platform == platform) & (t.holds.c.user_id == user_id)
        await connection.execute(update(t.holds).where(own_holds, closed).values(**gone, roles=[]))
        own = (t.entries.c.platform == platform) & (t.entries.c.user_id == user_id)
        changed = await connection.execute(update(t.entries).where(own).values(**gone, roles=[]))
        actor = (t.changes.c.platform == platform) & (t.changes.c.actor_id == user_id)
        await connection.execute(update(t.changes).where(actor).values(actor_id=alias, actor_name=""))
        return changed.rowcount

    return await database.write(work)
