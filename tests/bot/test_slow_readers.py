"""Clients that ask for a large file and hardly read it."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bot.http import listener
from core.net import file_response
from tests.bot.raw_requests import ask_raw
from tests.bot.test_http import JOB, World
from tests.fakes.core import until
from tests.typed import unwrap

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    (world.folder / JOB).mkdir()
    with (world.folder / JOB / "result.png").open("wb") as file:
        file.truncate(50_000_000)
    yield world
    await world.server.stop()


async def ask_for_file(world: World, stack: ExitStack, client: str) -> socket.socket:
    """A connection that asks for the file through a proxy, and reads nothing."""
    path = unwrap(world.links.file_url(JOB, "result.png")).removeprefix("https://bot.example")
    reader = stack.enter_context(socket.socket())
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(reader, ("127.0.0.1", world.server.port))
    asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {client}\r\n\r\n"
    await loop.sock_sendall(reader, asked.encode())
    return reader


async def status(reader: socket.socket) -> bytes:
    return (await asyncio.get_running_loop().sock_recv(reader, 12)).removeprefix(b"HTTP/1.1 ")


async def test_files_that_nobody_reads_take_the_room_of_no_other_client(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_response, "MAX_FILES_PER_CLIENT", 2)
    monkeypatch.setattr(file_response, "MAX_FILES", 3)
    await world.server.start()
    with ExitStack() as stack:
        clients = ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3")
        told = [await status(await ask_for_file(world, stack, client)) for client in clients]
        assert told == [b"200", b"200", b"503", b"200", b"503"]
        assert (await ask_raw(world.server.port, HEALTH)).startswith(b"HTTP/1.1 200 ")
    await until(lambda: not file_response._sending)
    with ExitStack() as stack:
        assert await status(await ask_for_file(world, stack, "192.0.2.1")) == b"200"


async def test_a_connection_that_reads_nothing_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "UNREAD_TIMEOUT_MS", 200)
    await world.server.start()
    with ExitStack() as stack:
        await ask_for_file(world, stack, "192.0.2.1")
        await until(lambda: len(world.server.connections) == 1)
        await until(lambda: len(world.server.connections) == 0 or sys.platform != "linux")
