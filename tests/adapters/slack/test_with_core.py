"""The whole bot, as a process of its own, on the sandbox model: what a member sees from outside, and after a kill."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.fal import FalEmulator
from tests.emulators.slack import Message, SlackEmulator, png, text_of
from tests.emulators.slack.world import User


class Bot:
    """`python -m bot run` pointed at the emulator."""

    def __init__(self, slack: SlackEmulator, folder: Path) -> None:
        self._slack = slack
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, **more: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "DISCORD_", "FAL_"))}
        env = kept | {
            "SLACK_API_URL": self._slack.api_url,
            "SLACK_BOT_TOKEN": "xoxb-acme-bot-token",
            "SLACK_APP_TOKEN": self._slack.app_token,
            "TRUSTED_FILE_HOSTS": ",".join(self._slack.file_hosts),
            "DATA_DIR": str(self._folder / "data"),
            "WEB_PORT": "0",
            "UPSCALE_BACKEND": "sandbox",
            "LOG_FORMAT": "json",
        }
        log = (self._folder / "log.txt").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run", env=env | more, stdout=log, stderr=log
        )
        log.close()
        await until(lambda: self._slack.socket.connections, at_most_s=30)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def terminate(self) -> int:
        self._process.terminate()
        async with asyncio.timeout(25):
            return await self._process.wait()

    @property
    def log(self) -> str:
        return (self._folder / "log.txt").read_text()


async def until(true: Callable[[], Any], *, at_most_s: float = 40.0) -> Any:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + at_most_s
    while not (found := true()):
        if loop.time() > deadline:
            raise AssertionError("never true")
        await asyncio.sleep(0.05)
    return found


@pytest.fixture
async def bot(slack: SlackEmulator, tmp_path: Path) -> AsyncIterator[Bot]:
    made = Bot(slack, tmp_path)
    await made.start()
    yield made
    await made.kill()


def results(messages: list[Message]) -> list[Message]:
    return [m for m in messages if m.bot and " is ready" in m.text]


async def test_a_kill_in_the_middle_of_a_job_leads_to_one_result_and_one_charge(bot: Bot, slack: SlackEmulator) -> None:
    await slack.member.dm("4x", [slack.member.file(png(500, 400), "big picture.png")])
    await until(lambda: [m for m in slack.member.dms() if "Upscaling" in text_of(m)])
    await until(lambda: "submitted" in bot.log)
    await bot.kill()
    await bot.start()
    await until(lambda: results(slack.member.dms()))
    await until(lambda: len([m for m in slack.member.dms() if m.bot]) == 1)
    assert bot.log.count('"submitted"') == 1
    await slack.member.command(text="usage")
    told = await until(lambda: [m for m in slack.member.messages() if m.ephemeral_for])
    assert "$0.40 · 1 image" in text_of(told[0])


async def test_a_polite_end_hands_over_and_the_log_holds_no_secret(bot: Bot, slack: SlackEmulator) -> None:
    await slack.member.mention("private caption words", [slack.member.file(png(60, 40))])
    await slack.member.mention("2x", [slack.member.file(png(300, 200), "holiday.png")])
    await until(lambda: "job_accepted" in bot.log)
    assert await bot.terminate() == 0
    await bot.start()
    await until(lambda: results(slack.member.messages()))
    with contextlib.suppress(ValueError):
        bot.log.index("job_ended")
    for hidden in ("xoxb-acme", "files-pri", "private caption words", "/hooks/commands", "holiday", "ticket="):
        assert hidden not in bot.log, hidden


async def test_guests_of_another_organisation_in_a_shared_channel_spend_nothing(
    slack: SlackEmulator, tmp_path: Path
) -> None:
    people = slack.member.space().users
    people["U0GUEST"] = User("U0GUEST", "T0OTHER", "gus", is_admin=True, is_owner=True)
    slack.member.channel().members.add("U0GUEST")
    bot = Bot(slack, tmp_path)
    async with FalEmulator() as fal:
        await bot.start(**fal.env(), UPSCALE_BACKEND="fal")
        try:
            await slack.member.mention("2x", [slack.member.file(png(64, 48), "a.png", user="gus")], user="gus")
            await until(lambda: "own organisation only" in told(slack))
            assert fal.submits == []
            await slack.member.mention("2x seed=7", [slack.member.file(png(64, 48), "b.png")])
            await until(lambda: results(slack.member.messages()))
            assert len(fal.submits) == 1
        finally:
            await bot.kill()


def told(slack: SlackEmulator) -> str:
    """Everything that was posted, also privately."""
    return str([call.args for call in slack.requests if call.method in ("chat.postMessage", "chat.postEphemeral")])
