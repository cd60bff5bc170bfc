"""The liveness probe: a plain one is answered immediately, any other like every request."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bot.raw_requests import ask_raw, open_raw
from tests.bot.test_http import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.server.stop()


PROBE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-probe/1.31\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(("sent", "most_turns"), [(PROBE, 2), (PROBE.replace(b"/healthz", b"/hello"), 7)])
async def test_a_request_that_is_alone_is_answered_within_few_turns_of_the_loop(
    world: World, sent: bytes, most_turns: int
) -> None:
    """Each iteration takes about ten milliseconds while jobs run."""
    await world.server.start()
    with socket.create_connection(("127.0.0.1", world.server.port)) as client:
        client.sendall(sent)
        client.setblocking(False)
        answer, turns = b"", 0
        while not answer and turns < 100:
            await asyncio.sleep(0)
            turns += 1
            with contextlib.suppress(BlockingIOError):
                answer = client.recv(100)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert turns <= most_turns


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (PROBE, b"200"),
        (PROBE.replace(b"HTTP/1.1", b"HTTP/1.0"), b"200"),
        (PROBE.replace(b"GET", b"HEAD"), b"200"),
        (PROBE.replace(b"Host", b"hOST"), b"200"),
        (PROBE.replace(b"User-Agent:", b"X-Probe:"), b"200"),
        (PROBE.replace(b"127.0.0.1", b"rebound.example"), b"403"),
        (PROBE.replace(b"User-Agent: kube-probe/1.31", b"Host: rebound.example"), b"400"),
        (PROBE.replace(b"Host", b"Host "), b"400"),
        (PROBE.replace(b"User-Agent: kube-probe/1.31", b"Content-Length: x"), b"400"),
        (PROBE + PROBE.replace(b"/healthz", b"/hello"), b"400"),
    ],
)
async def test_a_probe_that_is_not_plain_is_judged_as_any_request(world: World, sent: bytes, status: bytes) -> None:
    """Also if it arrives in pieces."""
    await world.server.start()
    assert (await ask_raw(world.server.port, sent)).split()[1] == status
    reader, writer = await open_raw(world.server.port, sent[:9])
    await asyncio.sleep(0.01)
    writer.write(sent[9:])
    assert (await reader.read()).split()[1] == status
    writer.close()
