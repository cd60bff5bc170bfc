"""SQLite's writer: a failed write affects no other, except that a lost transaction fails its whole batch."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from core.storage.database import DATABASE_ERRORS, Database
from core.storage.ledger import LedgerDatabase

Work = Callable[[Connection], int]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database.connect(f"sqlite:///{tmp_path}/bot.db")
    await made.run_write(lambda c: c.exec_driver_sql("CREATE TABLE t (n INTEGER)").rowcount)
    yield made
    await made.close()


def insert(n: int) -> Work:
    return lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (?)", (n,)).rowcount


def fail(n: int) -> Work:
    def work(connection: Connection) -> int:
        insert(n)(connection)
        raise ValueError(n)

    return work


def lose_transaction(connection: Connection) -> int:
    """SQLite does this when the disk is full."""
    connection.exec_driver_sql("ROLLBACK")
    raise OSError


async def rows(database: Database) -> list[int]:
    return await database.run_read(lambda c: [n for (n,) in c.exec_driver_sql("SELECT n FROM t ORDER BY n")])


async def together(database: Database, *works: Work) -> list[object]:
    """Run these in one batch, which starts once all are queued."""
    return await asyncio.gather(*map(database.run_write, works), return_exceptions=True)


async def test_a_work_that_fails_undoes_itself_and_nobody_elses(database: Database) -> None:
    first, failed, last = await together(database, insert(1), fail(2), insert(3))
    assert (first, last) == (1, 1)
    assert isinstance(failed, ValueError)
    assert await rows(database) == [1, 3]


async def test_a_work_that_fails_alone_undoes_itself(database: Database) -> None:
    with pytest.raises(ValueError, match="1"):
        await database.run_write(fail(1))
    assert await database.run_write(insert(2)) == 1
    assert await rows(database) == [2]


async def test_a_transaction_that_is_lost_is_trouble_with_the_database_for_the_whole_batch(database: Database) -> None:
    answers = await together(database, insert(1), lose_transaction, insert(2))
    assert all(isinstance(answer, DATABASE_ERRORS) for answer in answers), answers
    assert await rows(database) == []
    assert await database.run_write(insert(4)) == 1
    assert await rows(database) == [4]


async def test_a_write_that_waited_too_long_for_a_lock_happens_once(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "bot.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(0.2, other.execute, "ROLLBACK")  # after the first attempt
    await LedgerDatabase(database, attempt_s=0.1, pauses_s=(0.01,) * 100).write(insert(1))
    other.close()
    assert await rows(database) == [1]
