"""The network between the processes and what they talk to: relays on loopback that can cut one process off.

A connection belongs to the process whose port it comes from, so every service keeps one address for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import psutil
from sqlalchemy.engine import make_url

from tests.bot.process_kit import Bot
from tests.emulators.discord import DiscordEmulator
from tests.emulators.fal import FalEmulator
from tests.emulators.slack import SlackEmulator

Service = Literal["database", "fal", "discord", "slack"]
How = Literal["refused", "silent", "half_open"]
"""Reset and refused; nothing flows, then everything flows on; the far side sees an end that the near side does not."""

_CHUNK_BYTES = 1 << 16


@dataclass(eq=False)
class _Line:
    """One connection: `near` leads to the process, `far` to the service."""

    near: asyncio.StreamWriter
    service: Service
    bot: Bot | None = None
    far: asyncio.StreamWriter | None = None


@dataclass
class _Cut:
    how: How
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Network:
    """`async with Network(bots) as network`, then `relay` each address."""

    def __init__(self, bots: Sequence[Bot]) -> None:
        self._bots = bots
        self._servers: list[asyncio.Server] = []
        self._lines: set[_Line] = set()
        self._cuts: dict[tuple[Bot, Service], _Cut] = {}

    async def __aenter__(self) -> Network:
        return self

    async def __aexit__(self, *_: object) -> None:
        for bot, service in list(self._cuts):
            self.heal(bot, service)
        for server in self._servers:
            server.close()
        for line in list(self._lines):
            _abort(line.near, line.far)

    async def relay(self, service: Service, url: str) -> str:
        """The same address with the port of a relay before it."""
        scheme, _, rest = url.partition("://")
        host, _, tail = rest.partition("/")
        name, _, port = host.partition(":")
        own = await self._listen(service, (name, int(port)))
        return f"{scheme}://127.0.0.1:{own}{'/' + tail if tail else ''}"

    async def relay_postgres(self, url: str) -> str:
        """The same for a database, also one that listens on a Unix socket."""
        parsed = make_url(url)
        folder = parsed.query.get("host")
        port = parsed.port or 5432
        target = f"{folder}/.s.PGSQL.{port}" if isinstance(folder, str) else (parsed.host or "127.0.0.1", port)
        own = await self._listen("database", target)
        relayed = parsed.set(host="127.0.0.1", port=own, query={"sslmode": "disable"})
        return relayed.render_as_string(hide_password=False)

    async def cover(self, fal: FalEmulator, discord: DiscordEmulator, slack: SlackEmulator) -> None:
        """Put a relay before every address that these services have, also those that they name in their answers."""
        for name in ("queue_url", "rest_url", "cdn_url", "api_url"):
            setattr(fal, name, await self.relay("fal", getattr(fal, name)))
        discord.base = discord.cdn.base = await self.relay("discord", discord.base)
        discord.gateway.url = await self.relay("discord", discord.gateway.url)
        for name in ("base_url", "upload_url", "files_url", "edge_url", "external_url"):
            setattr(slack, name, await self.relay("slack", getattr(slack, name)))

    def cut(self, bot: Bot, service: Service, how: How) -> None:
        """From now on this process does not reach this service, until `heal`."""
        self._cuts[(bot, service)] = _Cut(how)
        for line in list(self._lines):
            if (line.bot, line.service) == (bot, service):
                if how == "refused":
                    _abort(line.near, line.far)
                elif how == "half_open":
                    _abort(line.far)

    def heal(self, bot: Bot, service: Service) -> None:
        self._cuts.pop((bot, service)).over.set()

    async def _listen(self, service: Service, target: str | tuple[str, int]) -> int:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = _Line(writer, service)
            self._lines.add(line)
            try:
                await self._carry(line, reader, target)
            except OSError:  # the service is not there, or somebody went away
                pass
            finally:
                self._lines.discard(line)
                _abort(line.near, line.far)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _carry(self, line: _Line, reader: asyncio.StreamReader, target: str | tuple[str, int]) -> None:
        line.bot = await asyncio.to_thread(self._owner, line.near.get_extra_info("peername")[1])
        cut = self._cut_of(line)
        if cut is not None:
            if cut.how == "refused":
                return
            await cut.over.wait()
        if isinstance(target, str):
            back, line.far = await asyncio.open_unix_connection(target)
        else:
            back, line.far = await asyncio.open_connection(*target)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(line, reader, line.far))
            group.create_task(self._pump(line, back, line.near))

    async def _pump(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data, cut = b"-", None
        while data:
            data = b""
            with suppress(OSError):
                data = await reader.read(_CHUNK_BYTES)
            cut = self._cut_of(line)
            if cut is not None:
                await cut.over.wait()
            if data:
                with suppress(OSError):
                    writer.write(data)
                    await writer.drain()
        if cut is not None:
            _abort(line.near, line.far)
        else:
            await _end(writer)

    def _cut_of(self, line: _Line) -> _Cut | None:
        return self._cuts.get((line.bot, line.service)) if line.bot is not None else None

    def _owner(self, port: int) -> Bot | None:
        """The process whose end of a connection has this port; None for this one, and for one that is gone."""
        for bot in self._bots:
            if bot.process is None or bot.process.returncode is not None:
                continue
            with suppress(psutil.Error):
                found = psutil.Process(bot.pid).net_connections(kind="tcp4")
                if any(connection.laddr and connection.laddr.port == port for connection in found):
                    return bot
        return None


async def _end(writer: asyncio.StreamWriter) -> None:
    """Pass an orderly end on; the other direction goes on."""
    with suppress(OSError):
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _abort(*writers: asyncio.StreamWriter | None) -> None:
    for writer in writers:
        if writer is not None:
            writer.transport.abort()
