"""Members of three platforms who ask for pictures, and what each of them sees in the end."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.bot.process_kit import Bot, Client, picture
from tests.emulators.discord import DiscordEmulator, Upload
from tests.emulators.discord.interactions import Invocation
from tests.emulators.discord.seen import SeenButton
from tests.emulators.slack import SlackEmulator

_WEB_TIMEOUT_S = 20.0


@dataclass
class Asked:
    """One request. `acknowledged`: the platform was told in time that it was taken. `answers`: what is shown for it."""

    seed: int
    platform: str
    acknowledged: bool = False
    invocation: Invocation | None = None
    thread_ts: str = ""


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
        """Ask every `every_s` on average, side by side, until `stop`; returns when all have an answer or gave up."""
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
        asked.acknowledged, asked.thread_ts = outcome.acked, outcome.post.ts if outcome.post else ""

    async def _web(self, asked: Asked) -> None:
        bot = self.chance.choice(self.bots)
        cancels_after_s = self.chance.choice((None, None, None, self.chance.uniform(0, 2)))
        timeout = aiohttp.ClientTimeout(total=_WEB_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            client = Client(session, bot)
            try:
                await client.post(asked.seed)
                asked.acknowledged = True
                if cancels_after_s is not None:
                    await asyncio.sleep(cancels_after_s)
                    (await session.post(client.url(f"/api/jobs/{client.job_id(asked.seed)}/cancel"))).release()
            except (aiohttp.ClientError, TimeoutError, AssertionError, OSError, ValueError):
                return  # told so, or never reached it

    # ------------------------------------------------------------------ what is seen in the end

    def pictures(self, seed: int) -> int:
        """How many messages of both chats show a result of this seed."""
        mark = f"seed {seed}"
        on_discord = [m for m in self.discord.messages() if m.images and _names(m.text, mark)]
        return len(on_discord) + sum(_names(text, mark) and '"image"' in text for text in self._slack_texts())

    def dead_messages(self, forgotten: Mapping[str, int | None]) -> list[str]:
        """Messages that still say that work goes on: a Cancel button, a running stream, a lasting "thinking".

        Those of `forgotten` jobs (id → seed) are left out: after a restore nobody knows of them any more.
        """
        seeds = set(forgotten.values())
        gone = [asked for asked in self.asked if asked.seed in seeds]
        threads = {asked.thread_ts for asked in gone if asked.thread_ts}
        unknown = {a.invocation.message.id for a in gone if a.invocation is not None and a.invocation.message}
        dead = [
            f"Discord: {m.text}"
            for m in self.discord.messages()
            if (m.loading or "Cancel" in m.labels) and m.id not in unknown and not _of_any(_ids(m.buttons), forgotten)
        ]
        for message, text in zip(self._slack_messages(), self._slack_texts(), strict=True):
            streams = message.stream is not None and message.stream.state == "streaming"
            known = message.thread_ts not in threads and not _of_any(text, forgotten)
            if (streams or "job:cancel:" in text) and known:
                dead.append(f"Slack {message.ts} (streams: {streams}): {text}")
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


def _ids(buttons: Iterable[SeenButton]) -> str:
    return " ".join(button.custom_id or "" for button in buttons)


def _of_any(text: str, job_ids: Iterable[str]) -> bool:
    return any(job_id in text for job_id in job_ids)


def _names(text: str, mark: str) -> bool:
    """Whether the text names exactly this seed, not one that begins like it."""
    at = text.find(mark)
    return at >= 0 and not text[at + len(mark) : at + len(mark) + 1].isdigit()
