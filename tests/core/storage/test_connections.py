"""Idle connections are closed, and neither that nor a cancelled caller loses one from the pool."""

import asyncio
from pathlib import Path

import aiosqlite
import asyncpg
import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.engine.replicas import Replicas
from core.storage.database import DATABASE_ERRORS, Database, is_refused
from core.storage.drivers import postgresql_pool as pool
from core.storage.tables import replicas
from tests.pg import open_database


@pytest.mark.parametrize("cut", [False, True])
async def test_resting_connections_are_closed_but_one_also_where_they_died(
    cut: bool, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_PING_AFTER_S": -1.0, "_CLOSE_AFTER_S": -1.0, "MAX_CONNECTIONS": 3, "_WAIT_S": 5.0}.items():
        monkeypatch.setattr(pool, name, value)
    database = Database.connect(postgres_url)

    async def used() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_sleep(0.2)"))

    try:
        await asyncio.gather(*(used() for _ in range(3)))
        if cut:
            admin = await asyncpg.connect(postgres_url)
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await admin.close()
        await database.close_idle()
        await asyncio.gather(*(used() for _ in range(3)))
    finally:
        await database.close()


async def test_what_was_closed_stays_closed_when_the_pool_is_looked_at_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_CLOSE_AFTER_S", -1.0)
    database = Database.connect(postgres_url)

    async def used() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_sleep(0.1)"))

    seen = []
    admin = await asyncpg.connect(postgres_url)
    try:
        await asyncio.gather(*(used() for _ in range(3)))
        for _ in range(4):
            await database.close_idle()
            await database.ping()
            count = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            seen.append(await admin.fetchval(count))
        await asyncio.gather(*(used() for _ in range(3)))
    finally:
        await admin.close()
        await database.close()
    assert max(seen) <= 2
    assert seen[1:] == [1, 1, 1]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_no_later_user_gets_the_transaction_or_the_place_of_one_that_failed(
    cancelled: bool, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(pool, "_WAIT_S", 5.0)
    database, began = Database.connect(postgres_url), asyncio.Event()

    async def fails() -> None:
        async with database.write() as connection:
            await connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
            began.set()
            await connection.execute(text("SELECT pg_sleep(20)" if cancelled else "SELECT 1 / 0"))

    try:
        for _ in range(2):
            failing = asyncio.create_task(fails())
            await began.wait()
            if cancelled:
                failing.cancel()
            assert isinstance((await asyncio.gather(failing, return_exceptions=True))[0], BaseException)
            began.clear()
            assert (await database.first(text("SELECT to_regclass('half_done')")))[0] is None
    finally:
        await database.close()


async def test_a_connection_is_given_back_whole_where_its_user_is_cancelled_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    rollback = aiosqlite.Connection.rollback

    async def slow(connection: aiosqlite.Connection) -> None:
        began.set()
        await go_on.wait()
        await rollback(connection)

    database = Database.connect(f"sqlite:///{tmp_path}/bot.db")

    async def use() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))

    try:
        monkeypatch.setattr(aiosqlite.Connection, "rollback", slow)
        using = asyncio.create_task(use())
        await asyncio.wait_for(began.wait(), 20)
        using.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait({using})
        await use()
    finally:
        await database.close()
    assert caplog.records == []


async def test_a_process_that_is_cancelled_while_it_writes_leaves_no_lock_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An async cursor whose fetch was cancelled keeps its transaction until it is garbage-collected."""
    database = await open_database(f"sqlite:///{tmp_path / 'bot.db'}")
    replicas, began, cursors = Replicas(database), asyncio.Event(), []

    async def slow(cursor: aiosqlite.Cursor) -> None:
        cursors.append(cursor)
        began.set()
        await asyncio.Event().wait()

    try:
        await replicas.sign_in("one", "its token")
        monkeypatch.setattr(aiosqlite.Cursor, "fetchall", slow)
        revoking, reached = asyncio.create_task(replicas.revoke("one")), asyncio.create_task(began.wait())
        await asyncio.wait({revoking, reached}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        for task in (revoking, reached):
            task.cancel()
        await asyncio.wait({revoking, reached}, timeout=20)
        async with asyncio.timeout(5):
            await replicas.sign_in("two", "its token")
    finally:
        cursors.clear()
        await database.close()


async def test_whoever_comes_after_the_end_meets_trouble_with_the_database_each_time(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'bot.db'}")

    def one(connection: Connection) -> int:
        return int(connection.execute(text("SELECT 1")).scalar_one())

    assert await database.run_read(one) == await database.run_write(one) == 1
    await database.close()
    for call in (database.run_read, database.run_write, database.run_statement) * 2:
        with pytest.raises(DATABASE_ERRORS):
            await call(one)


async def test_readers_one_after_the_other_use_the_same_connection_to_sqlite(tmp_path: Path) -> None:
    database = Database.connect(f"sqlite:///{tmp_path / 'bot.db'}")
    used: list[object] = []

    async def read() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
            used.append((await connection.get_raw_connection()).driver_connection)
            await asyncio.sleep(0)

    try:
        await asyncio.gather(*(read() for _ in range(4)))
        assert len(set(used)) > 1
        used.clear()
        for _ in range(6):
            await read()
    finally:
        await database.close()
    assert len(set(used)) == 1


async def test_a_refused_value_is_told_from_a_database_that_is_away(database: Database) -> None:
    row = {"name": "a", "token": "t", "role": "all", "since": 0.0}
    await database.execute(insert(replicas), row)
    for statement, values in ((insert(replicas), row), (insert(replicas).values([row, row]), None)):
        with pytest.raises(DATABASE_ERRORS) as caught:
            await database.execute(statement, values)
        assert is_refused(caught.value)
    with pytest.raises(DATABASE_ERRORS) as caught:
        await database.execute(text("no statement"))
    assert not is_refused(caught.value)
    assert not is_refused(PoolTimeout())
