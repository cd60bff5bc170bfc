"""A real PgBouncer: the bot runs in session mode, and refuses transaction mode with a sentence."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy.engine import make_url

from tests.bot.process_kit import Bot, Client

_START_S = 10.0


@asynccontextmanager
async def pgbouncer(url: str, folder: Path, mode: str) -> AsyncIterator[str]:
    """The same database through a pooler in this mode, which keeps one connection to it for all clients if it can."""
    server = make_url(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = f"host={server.query.get('host', server.host)} port={server.port or 5432} user={server.username}"
    secret = f" password={server.password}" if server.password else ""
    # It does not run as root; the owner of the server's socket is who may reach it.
    socket_folder = Path(str(server.query.get("host", "")))
    owner = socket_folder.owner() if socket_folder.is_absolute() else "nobody"
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = {place}{secret}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = any\npool_mode = {mode}\nmax_client_conn = 50\ndefault_pool_size = 20\n"
        "server_lifetime = 60\n" + (f"user = {owner}\n" if os.geteuid() == 0 else "")
    )
    settings.chmod(0o644)
    process = await asyncio.create_subprocess_exec(
        "/usr/sbin/pgbouncer", "-q", str(settings), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    assert process.returncode is None, "PgBouncer did not start"
                    await asyncio.sleep(0.02)
        writer.close()
        yield f"postgresql://{server.username}@127.0.0.1:{port}/{server.database}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("command", ["doctor", "run"])
async def test_a_pooler_in_transaction_mode_is_refused_in_one_sentence(
    postgres_url: str, tmp_path: Path, command: str
) -> None:
    async with pgbouncer(postgres_url, tmp_path, "transaction") as url:
        bot = Bot(tmp_path / "data", {"DATABASE_URL": url})
        bot.data_dir.mkdir()
        code, said = await bot.command(command)
    assert code != 0
    assert "pooler in transaction mode" in said, said
    assert "Traceback" not in said


async def test_through_a_pooler_in_session_mode_a_job_is_done(postgres_url: str, tmp_path: Path) -> None:
    async with pgbouncer(postgres_url, tmp_path, "session") as url:
        bot = Bot(tmp_path / "data", {"DATABASE_URL": url})
        bot.data_dir.mkdir()
        try:
            await bot.start()
            async with aiohttp.ClientSession() as session:
                client = Client(session, bot)
                await client.post(1, text="2x")
                assert [job["state"] for job in await client.finished([1])] == ["succeeded"]
            assert bot.errors() == []
        finally:
            await bot.close()
