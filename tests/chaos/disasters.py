"""What goes wrong: one disaster at a time, at random, each over before the next begins."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from tests.bot.process_kit import Bot
from tests.emulators.discord import DiscordEmulator, Fault
from tests.emulators.fal import CutStream, DropAfter, DropBefore, FalEmulator, Respond
from tests.emulators.slack import SlackEmulator

_PAGE = "<html><body>502 Bad Gateway</body></html>"
FAL_FAULTS = (
    ("submit", DropAfter()),
    ("submit", DropBefore()),
    ("submit", Respond(503, text=_PAGE)),
    ("submit", Respond(503, text=_PAGE, accept=True)),
    ("upload", Respond(500, text="")),
    ("stream", CutStream()),
    ("result", Respond(502, text=_PAGE)),
    ("result", Respond(200, text=_PAGE)),
    ("download", Respond(404, text="")),
    ("download", Respond(403, text="")),
)
SLACK_FAULTS = ("chat.postMessage", "chat.update", "files.getUploadURLExternal", "files.completeUploadExternal")


@dataclass
class Disasters:
    """`postgres_url` where the database is one that connections can be cut from."""

    bots: Sequence[Bot]
    fal: FalEmulator
    discord: DiscordEmulator
    slack: SlackEmulator
    chance: random.Random
    postgres_url: str = ""
    done: Counter[str] = field(default_factory=Counter)
    kills: list[tuple[float, Bot]] = field(default_factory=list)
    """When, in unix seconds, and which process."""

    async def strike_until(self, stop: asyncio.Event) -> None:
        """One after the other until `stop` is set; everything runs again when this returns."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.kill, self.kill, self.end, self.freeze, self.fal_trouble, self.fal_trouble,
            self.discord_trouble, self.slack_trouble, self.fal_away, self.gateway_drop,
        ]  # fmt: skip
        if self.postgres_url:
            kinds += [self.cut_connections, self.cut_connections]
        while not stop.is_set():
            disaster = self.chance.choice(kinds)
            self.done[disaster.__name__] += 1
            await disaster()
            await asyncio.sleep(self.chance.uniform(0.2, 2.0))

    def _victim(self) -> Bot:
        return self.chance.choice(list(self.bots))

    async def kill(self) -> None:
        """`kill -9`, and a new start after up to three seconds."""
        bot = self._victim()
        await bot.kill()
        self.kills.append((time.time(), bot))
        await asyncio.sleep(self.chance.uniform(0, 3))
        await bot.start()

    async def end(self) -> None:
        """SIGTERM, as at each update."""
        bot = self._victim()
        bot.signal(signal.SIGTERM)
        await bot.ended()
        await bot.start()

    async def freeze(self) -> None:
        """A process that is stopped and wakes up again."""
        bot = self._victim()
        bot.signal(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(1, 6))
        bot.signal(signal.SIGCONT)

    async def fal_trouble(self) -> None:
        """One to five answers of one of fal's routes go wrong."""
        route, kind = self.chance.choice(FAL_FAULTS)
        self.fal.faults.add(route, kind, times=self.chance.randint(1, 5))

    async def fal_away(self) -> None:
        """fal takes nothing for some seconds."""
        for route in ("submit", "upload", "status"):
            self.fal.faults.add(route, Respond(503, text=_PAGE), times=1000)
        await asyncio.sleep(self.chance.uniform(2, 6))
        self.fal.faults.clear()

    async def discord_trouble(self) -> None:
        """Some calls are answered with 503, cut off after they were carried out, or told to wait."""
        action = self.chance.choice(("status", "reset_after", "reset", "ratelimit"))
        fault = Fault(r"(POST|PATCH) .*/messages", action, times=self.chance.randint(1, 4), seconds=1.0)
        self.discord.faults.insert(0, fault)

    async def gateway_drop(self) -> None:
        """Discord closes the gateway's connection."""
        await self.discord.gateway.drop()

    async def slack_trouble(self) -> None:
        """Some calls are answered with 503, cut off after they were carried out, or told to wait."""
        how = self.chance.choice(({"status": 503}, {"drop": True, "after": True}, {"drop": True}, {"retry_after_s": 1}))
        self.slack.fault(self.chance.choice(SLACK_FAULTS), times=self.chance.randint(1, 3), **how)

    async def cut_connections(self) -> None:
        """Every connection to the database is cut, as by a fail-over."""
        connection = await asyncpg.connect(self.postgres_url, timeout=10)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()
