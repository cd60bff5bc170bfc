"""Members of three platforms who ask for pictures, and what each of them sees in the end."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.bot.process_kit import Bot, Client, picture
from tests.emulators.discord import DiscordEmulator, Upload
from tests.emulators.discord.members import Invocation
from tests.emulators.slack import SlackEmulator

_WEB_TIMEOUT_S = 20.0


@dataclass
class Asked:
    """One request. `acknowledged`: the platform was told in time that it was taken. `answers`: what is shown for it."""

    seed: int
    platform: str
    acknowledged: bool = False
    invocation: Invocation | None = None
    job_id: str = ""


@dataclass
class Crowd:
    """Asks at random until `stop` is set. Seeds tell requests apart, in the chats, in the database, and at fal."""

    discord: DiscordEmulator
    slack: SlackEmulator
    bots: list[Bot]
    chance: random.Random
    every_s: float = 1.0
    asked: list[Asked] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask_on(self) -> None:
        """Ask every `every_s` on average, side by side; returns when everybody has been answered or given up."""
        platforms: tuple[Callable[[Asked], Any], ...] = (self._discord, self._slack, self._web)
        async with asyncio.TaskGroup() as group:
            for seed in itertools.count(1):
                if self.stop.is_set():
                    return
                ask = self.chance.choice(platforms)
                asked = Asked(seed, ask.__name__.strip("_"))
                self.asked.append(asked)
                group.create_task(ask(asked))
                await asyncio.sleep(self.chance.expovariate(1 / self.every_s))

    async def _discord(self, asked: Asked) -> None:
        data = await asyncio.to_thread(picture, 64, 48, asked.seed)
        if not self.discord.gateway.connected:
            return
        asked.invocation = await self.discord.invoke("/upscale", {"image": Upload("a.png", data), "seed": asked.seed})
        try:
            await asked.invocation.acknowledged(3.0)
            asked.acknowledged = True
        except TimeoutError:
            pass

    async def _slack(self, asked: Asked) -> None:
        data = await asyncio.to_thread(picture, 64, 48, asked.seed)
        file = self.slack.member.file(data)
        outcome = await self.slack.member.mention(f"seed={asked.seed}", [file])
        asked.acknowledged = outcome.acked

    async def _web(self, asked: Asked) -> None:
        bot = self.chance.choice(self.bots)
        timeout = aiohttp.ClientTimeout(total=_WEB_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                body = await Client(session, bot).post(asked.seed)
            except (aiohttp.ClientError, TimeoutError, AssertionError, OSError):
                return  # told so, or never reached it
            asked.acknowledged = True
            asked.job_id = str(body["job_id"])

    # ------------------------------------------------------------------ what is seen in the end

    def pictures(self, seed: int) -> int:
        """How many messages of both chats show a result of this seed."""
        mark = f"seed {seed}"
        on_discord = [m for m in self.discord.messages() if m.images and _names(m.text, mark)]
        return len(on_discord) + sum(_names(text, mark) and '"image"' in text for text in self._slack_texts())

    def dead_messages(self) -> list[str]:
        """Messages that still say that work goes on: a Cancel button, a running stream, a lasting "thinking"."""
        dead = [m.text for m in self.discord.messages() if m.loading or "Cancel" in m.labels]
        dead += [text for text in self._slack_texts() if "job:cancel:" in text]
        dead += [m.ts for m in self._slack_messages() if m.stream is not None and m.stream.state == "streaming"]
        return dead

    def said_no(self, asked: Asked) -> bool:
        """Whether somebody without a job has been told so: Discord's answer is there and is no placeholder."""
        if asked.platform == "discord":
            message = asked.invocation.message if asked.invocation is not None else None
            return message is not None and not message.loading
        return any("restarting" in text or "cannot be reached" in text for text in self._slack_texts())

    def _slack_messages(self) -> list[Any]:
        return [m for m in self.slack.member.messages() + self.slack.member.dms() if m.bot]

    def _slack_texts(self) -> list[str]:
        return [json.dumps([m.text, m.blocks, m.attachments], ensure_ascii=False) for m in self._slack_messages()]


def _names(text: str, mark: str) -> bool:
    """Whether the text names exactly this seed, not one that begins like it."""
    at = text.find(mark)
    return at >= 0 and not text[at + len(mark) : at + len(mark) + 1].isdigit()
