"""Cuts the link between a person and their money rows: the sums stay, the name goes. Cannot be undone."""

from __future__ import annotations

import secrets

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.identity import person_key
from core.domain.job import Requester
from core.storage import tables_ledger as t
from core.storage.ledger.transaction import LedgerDatabase
from core.storage.ledger.usage import of_person


async def forget_member(database: LedgerDatabase, who: Requester) -> int:
    """Give all rows of this person one random name; how many entries that were.

    Open holds keep their person until they are settled: they are needed to find the limits, and end within hours.
    Counters know the person only by a keyed hash, so limits of today go on as before.
    """
    alias = f"erased:{secrets.token_hex(8)}"
    gone = {"user_id": alias, "user_name": ""}

    async def work(connection: AsyncConnection) -> int:
        closed = t.holds.c.state.in_(("settled", "released", "expired"))
        await connection.execute(update(t.holds).where(of_person(t.holds, who), closed).values(**gone, roles=[]))
        changed = await connection.execute(update(t.entries).where(of_person(t.entries, who)).values(**gone, roles=[]))
        await connection.execute(delete(t.extras).where(of_person(t.extras, who)))
        platform, team, user_id = person_key(who)
        actor = (t.changes.c.platform == platform) & (t.changes.c.actor_id == user_id)
        actor = actor & (t.changes.c.workspace_id == team) if team else actor
        await connection.execute(update(t.changes).where(actor).values(actor_id=alias, actor_name=""))
        return changed.rowcount

    return await database.write(work)
