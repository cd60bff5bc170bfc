"""What goes wrong: one disaster at a time, at random, each over before the next begins."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg

from tests.bot.process_kit import Bot
from tests.chaos.network import How, Network, Service
from tests.chaos.operator import Operator
from tests.emulators.discord import DiscordEmulator, Fault
from tests.emulators.discord.faults import Action
from tests.emulators.fal import CutStream, DropAfter, DropBefore, FalEmulator, Respond
from tests.emulators.slack import SlackEmulator
from tests.fakes.core import closing

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
    """`operator.url` names a PostgreSQL where there is one whose connections can be cut."""

    bots: Sequence[Bot]
    fal: FalEmulator
    discord: DiscordEmulator
    slack: SlackEmulator
    network: Network
    operator: Operator
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    kills: list[tuple[float, str]] = field(default_factory=list)
    """When, in unix seconds, and what the process called itself."""

    @property
    def _shared(self) -> bool:
        return self.operator.url.startswith("postgresql")

    def at_random(self) -> Iterable[Callable[[], Awaitable[None]]]:
        """One kind after the other, without end; kinds that are named twice come twice as often."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.kill, self.kill, self.end, self.freeze, self.fal_trouble, self.fal_trouble, self.discord_trouble,
            self.slack_trouble, self.fal_away, self.gateway_drop, self.partition, self.partition, self.change_key,
            self.restore,
        ]  # fmt: skip
        if self._shared:
            kinds += [self.cut_connections]
        while True:
            yield self.chance.choice(kinds)

    def each_once(self) -> Iterable[Callable[[], Awaitable[None]]]:
        """What nothing but the real thing shows, in an order that leaves work for each.

        A key is changed and a backup restored alike on both databases, so one of them is enough for each.
        """
        if self._shared:
            return (self.fal_trouble, self.kill, self.partition, self.cut_connections, self.change_key)
        return (self.fal_trouble, self.kill, self.partition, self.restore)

    async def strike(
        self, kinds: Iterable[Callable[[], Awaitable[None]]], stop: asyncio.Event, most_pause_s: float = 2.0
    ) -> None:
        """One after the other until `stop` is set; everything runs again when this returns."""
        for disaster in kinds:
            if stop.is_set():
                return
            self.done[disaster.__name__] += 1
            await disaster()
            await asyncio.sleep(self.chance.uniform(0.2, most_pause_s))

    def _victim(self) -> Bot:
        return self.chance.choice(list(self.bots))

    async def kill(self) -> None:
        """`kill -9`, and a new start after up to three seconds."""
        bot = self._victim()
        self.kills.append((time.time(), bot.name))
        await bot.kill()
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
        action: Action = self.chance.choice(("status", "reset_after", "reset", "ratelimit"))
        fault = Fault(r"(POST|PATCH) .*/messages", action, times=self.chance.randint(1, 4), seconds=1.0)
        self.discord.faults.insert(0, fault)

    async def gateway_drop(self) -> None:
        """Discord closes the gateway's connection."""
        await self.discord.gateway.drop()

    async def slack_trouble(self) -> None:
        """Some calls are answered with 503, cut off after they were carried out, or told to wait."""
        how = self.chance.choice(({"status": 503}, {"drop": True, "after": True}, {"drop": True}, {"retry_after_s": 1}))
        self.slack.fault(self.chance.choice(SLACK_FAULTS), times=self.chance.randint(1, 3), **how)

    async def partition(self) -> None:
        """One process is cut off from the database, from fal, or from a platform, and the network comes back."""
        services: list[Service] = ["fal", "discord", "slack"]
        service = self.chance.choice(services + ["database"] * 2 if self._shared else services)
        hows: tuple[How, ...] = ("refused", "silent", "half_open")
        bot = self._victim()
        self.network.cut(bot, service, self.chance.choice(hows))
        self.done[f"(from {service})"] += 1
        await asyncio.sleep(self.chance.uniform(1, 6))
        self.network.heal(bot, service)

    async def change_key(self) -> None:
        """SECRET_KEY is replaced; a start under a foreign one is refused."""
        await self.operator.change_key()

    async def restore(self) -> None:
        """A backup is made and, a little later, put back."""
        await self.operator.restore()

    async def cut_connections(self) -> None:
        """Every connection to the database is cut, as by a fail-over."""
        async with closing(await asyncpg.connect(self.operator.url, timeout=10)) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
