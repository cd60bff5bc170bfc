"""Remembers which alerts were sent, so that each goes out once however many processes look."""

from sqlalchemy import Connection, insert, select, update

from core.domain.limits import AlertLevel
from core.storage import tables_ledger as t
from core.storage.ledger.transaction import LedgerDatabase

_CLAIM_S = 300.0
"""How long a claim is respected: a process that died while sending is taken over after this."""


class SqlAlertMarks:
    """Claims alerts for sending."""

    def __init__(self, database: LedgerDatabase) -> None:
        self._database = database

    async def pending(self, key: str, level: AlertLevel) -> bool:
        """Whether this level was not yet sent; cheap, decides nothing."""
        same = (t.alerts.c.key == key, t.alerts.c.sent, t.alerts.c.level >= level)
        return not await self._database.rows(select(t.alerts.c.level).where(*same).limit(1))

    async def claim(self, key: str, level: AlertLevel, now: float) -> bool:
        """Take the sending of this alert; False if it was sent, or a higher one, or somebody is sending it now."""

        def work(connection: Connection) -> bool:
            query = select(t.alerts).where(t.alerts.c.key == key)
            marks = {row.level: row for row in connection.execute(query)}
            if any(row.sent and row.level >= level for row in marks.values()):
                return False
            mine = marks.get(level)
            if mine is None:
                row = {"key": key, "level": level, "claimed_at": now, "sent": False}
                connection.execute(insert(t.alerts).values(row))
                return True
            if 0 <= now - mine.claimed_at < _CLAIM_S:
                return False
            same = (t.alerts.c.key == key, t.alerts.c.level == level)
            connection.execute(update(t.alerts).where(*same).values(claimed_at=now))
            return True

        return await self._database.write(work)

    async def sent(self, key: str, level: AlertLevel) -> None:
        """The claimed alert went out; the lower levels of the same window are over with it."""
        same = (t.alerts.c.key == key, t.alerts.c.level == level)
        await self._database.write(
            lambda connection: connection.execute(update(t.alerts).where(*same).values(sent=True))
        )
