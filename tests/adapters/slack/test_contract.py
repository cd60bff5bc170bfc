"""Slack keeps the contract of every chat platform."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from core.domain.job import Job
from core.ports import Reply
from tests.adapters.slack.conftest import World, make_world
from tests.contract import AdapterContract, Driver, Shown
from tests.emulators.slack import Message, SlackEmulator, text_of

LIVE_MARKUP = re.compile(r"<[!@#][^>]*>|<https?://")


class SlackDriver(Driver):
    """In a direct message, where a job's message is edited."""

    def __init__(self, world: World) -> None:
        self._world, self._service, self._slack = world, world.service, world.slack
        self.gate = world.service.gate
        self.edit_interval_s = world.adapter.min_edit_interval_s

    async def ask(self, name: str = "photo.png") -> None:
        assert (await self._slack.member.dm("", [self._world.picture(name)])).acked

    async def ask_twice(self) -> None:
        self._slack.mention_mode = "both"
        assert (await self._slack.member.mention("", [self._world.picture()])).acked

    def jobs(self) -> Sequence[Job]:
        return [row.job for row in self._service.rows.values()]

    def keep(self, job: Job) -> Job:
        self._service.row(job.id)
        self._service.jobs[job.id] = job
        return job

    def reply(self, job: Job) -> Reply:
        return self._service.reply(job.id)

    def _messages(self) -> list[Message]:
        return [m for m in (*self._slack.member.dms(), *self._slack.member.messages()) if m.bot]

    def shown(self) -> Sequence[Shown]:
        return [self._seen(message) for message in self._messages()]

    @staticmethod
    def _seen(message: Message) -> Shown:
        pictures = [block for block in message.blocks if block["type"] == "image"]
        links = re.findall(r'"url": "([^"]+)"', json.dumps(message.blocks))
        return Shown(
            "\n".join([text_of(message), *links]), len(pictures), tuple(str(block["alt_text"]) for block in pictures)
        )

    def writes(self) -> int:
        return len(self._slack.calls("chat.postMessage")) + len(self._slack.calls("chat.update"))

    def pinged(self) -> Sequence[str]:
        found: list[str] = []
        for message in self._messages():
            found += LIVE_MARKUP.findall(message.text)
            _live(message.blocks, found)
        return found

    def break_edits(self, times: int) -> None:
        self._slack.fault("chat.update", status=503, body="upstream connect error", times=times)

    def refuse_whole_files(self) -> None:
        self._slack.member.space().uploads = "file_uploads_disabled"

    async def press_cancel(self) -> None:
        [message] = self._messages()
        await self._slack.member.click(message, "job:cancel")

    async def stop(self) -> None:
        await self._world.stop()


def _live(node: Any, found: list[str]) -> None:
    """Elements that notify or link, and mrkdwn with any of the text."""
    if isinstance(node, list):
        for part in node:
            _live(part, found)
    elif isinstance(node, dict):
        if node.get("type") in ("user", "usergroup", "channel", "broadcast"):
            found.append(str(node))
        if node.get("type") == "mrkdwn":
            found += LIVE_MARKUP.findall(node["text"])
        for part in node.values():
            _live(part, found)


async def _tick(slack: SlackEmulator) -> None:
    """Shorten the pauses between posts."""
    while True:
        slack.clock.advance(0.2)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def _driver(folder: Path) -> AsyncIterator[Driver]:
    async with SlackEmulator(processing_s=0.03) as slack:
        slack.events |= {"message.channels"}
        world = make_world(slack, folder)
        world.service.carry_on = lambda job_id: None  # type: ignore[method-assign]  # none runs by itself
        await world.start()
        ticking = asyncio.create_task(_tick(slack))
        try:
            yield SlackDriver(world)
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking
            await world.service.crash()
            await world.stop()
            assert slack.violations == []


class TestSlackKeepsTheContract(AdapterContract):
    def started(self, folder: Path) -> AbstractAsyncContextManager[Driver]:
        return _driver(folder)
