"""Transactions of the ledger: one at a time over all processes, with a limited number of retries.

Every decision reads and changes the counters of the global limits, so on PostgreSQL row locks would serialize all
writers anyway. One transaction-scoped advisory lock does the same, cannot deadlock, and also covers rows that do not
exist yet; batching makes it cheap. On SQLite `BEGIN IMMEDIATE` does the same.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Row, Select, text
from sqlalchemy.exc import SQLAlchemyError

from core.domain.errors import LedgerUnavailable
from core.storage.database import Database, is_refused
from core.storage.drivers.postgresql_pool import DRIVER_ERRORS

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LOCK_ID = 7_313_840_219
"""Any number that is not used for another advisory lock."""

_LOCK_WAIT_MS = 8_000
_READERS = 4

_LOCK = text("""
    WITH settings AS (SELECT set_config('lock_timeout', :wait, true), set_config('statement_timeout', :wait, true),
                             set_config('enable_seqscan', 'off', true))
    SELECT pg_advisory_xact_lock(:id) FROM settings
""")
"""Sequential scans are off, since a plan cached while a table was small is kept; each query has an index."""

_TROUBLE = (SQLAlchemyError, *DRIVER_ERRORS)


class LedgerDatabase:
    """Runs functions in transactions; every database failure becomes LedgerUnavailable."""

    def __init__(
        self, database: Database, *, pauses_s: tuple[float, ...] = (0.05, 0.2, 0.8), attempt_s: float = 10.0
    ) -> None:
        self._db = database
        self._pauses_s = pauses_s
        self._attempt_s = attempt_s
        self._readers = asyncio.Semaphore(_READERS)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` exclusively and commit. It may run several times, each time in a new transaction.

        An attempt that was given up before its turn came has no effect: SQLite waits for a lock without being stopped.
        """

        async def once() -> T:
            given_up = False

            def alone(connection: Connection) -> T:
                if given_up:
                    raise TimeoutError
                if not self._db.is_sqlite:
                    connection.execute(_LOCK, {"wait": str(_LOCK_WAIT_MS), "id": _LOCK_ID})
                return work(connection)

            try:
                return await self._db.run_write(alone)
            except asyncio.CancelledError:
                given_up = True
                raise

        return await self._retry(once)

    async def run_read(self, work: Callable[[Connection], T]) -> T:
        return await self._retry(lambda: self._db.run_read(work), self._readers)

    async def rows(self, query: Select[*tuple[Any, ...]]) -> Sequence[Row[*tuple[Any, ...]]]:
        return await self._retry(lambda: self._db.rows(query), self._readers)

    async def _retry(self, attempt: Callable[[], Awaitable[T]], slots: asyncio.Semaphore | None = None) -> T:
        for pause_s in (*self._pauses_s, None):
            try:
                async with asyncio.timeout(self._attempt_s), slots or nullcontext():
                    return await attempt()
            except _TROUBLE as error:
                if is_refused(error):  # the values are wrong, so a retry would fail too
                    raise
                log.warning("ledger_database_trouble", kind=type(error).__name__, final=pause_s is None)
                if pause_s is None:
                    raise LedgerUnavailable from error
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
        raise LedgerUnavailable
