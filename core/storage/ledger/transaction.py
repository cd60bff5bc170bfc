"""Transactions of the ledger: one at a time over all processes, retried a bounded number of times.

Every decision reads and moves the counters of "everything", so on PostgreSQL row locks would queue all writers on that
one row anyway. One transaction-scoped advisory lock gives the same order, cannot deadlock, and also covers rows that
do not exist yet; micro-batches make it cheap. On SQLite `BEGIN IMMEDIATE` does the same.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import asyncpg
import structlog
from sqlalchemy import Connection, Row, Select, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from core.domain.errors import LedgerUnavailable
from core.storage.database import DRIVER_ERRORS, Database

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LOCK_ID = 7_313_840_219
"""Any number that nothing else in the database uses as an advisory lock."""

_LOCK_WAIT_MS = 8_000
_READERS = 4

_LOCK = text("""
    WITH settings AS (SELECT set_config('lock_timeout', :wait, true), set_config('statement_timeout', :wait, true),
                             set_config('enable_seqscan', 'off', true))
    SELECT pg_advisory_xact_lock(:id) FROM settings
""")
"""A plan from when a table was small is kept while it grows, and would read it whole; each query here has its index."""

_TROUBLE = (SQLAlchemyError, *DRIVER_ERRORS)


def _is_refused(error: BaseException) -> bool:
    """Whether a value was refused. asyncpg refuses some itself, which SQLAlchemy wraps in a plain DBAPIError."""
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else None
    return isinstance(error, DataError | IntegrityError) or isinstance(cause, asyncpg.DataError)


class LedgerDatabase:
    """Runs pieces of work in transactions and turns every trouble with the database into LedgerUnavailable."""

    def __init__(
        self, database: Database, *, pauses_s: tuple[float, ...] = (0.05, 0.2, 0.8), attempt_s: float = 10.0
    ) -> None:
        self._db = database
        self._pauses_s = pauses_s
        self._attempt_s = attempt_s
        self._readers = asyncio.Semaphore(_READERS)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` alone and commit. It may run several times, each time on a fresh transaction."""

        def alone(connection: Connection) -> T:
            if not self._db.is_sqlite:
                connection.execute(_LOCK, {"wait": str(_LOCK_WAIT_MS), "id": _LOCK_ID})
            return work(connection)

        return await self._retry(lambda: self._db.run_write(alone))

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
                if _is_refused(error):  # what was written is wrong, not the database: another try meets the same
                    raise
                log.warning("ledger_database_trouble", kind=type(error).__name__, final=pause_s is None)
                if pause_s is None:
                    raise LedgerUnavailable from error
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
        raise LedgerUnavailable
