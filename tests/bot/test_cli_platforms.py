"""Commands and starts that meet a platform or fal, emulated on loopback; each command is a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bot.test_cli import environment
from tests.emulators.discord import DiscordEmulator
from tests.emulators.fal import ADMIN_KEY, API_KEY, FalEmulator
from tests.emulators.slack import SlackEmulator

LIMIT_S = 90


@dataclass(frozen=True)
class Done:
    """What a finished process left behind."""

    code: int
    output: str


async def bot(folder: Path, *arguments: str, **more: str) -> Done:
    """Run one command to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *arguments,
        cwd=folder,
        env=environment(folder, **more),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return Done(process.returncode or 0, output.decode())


@pytest.fixture
async def discord() -> AsyncIterator[DiscordEmulator]:
    async with DiscordEmulator() as emulator:
        yield emulator


@pytest.fixture
async def slack() -> AsyncIterator[SlackEmulator]:
    async with SlackEmulator() as emulator:
        yield emulator


@pytest.fixture
async def fal() -> AsyncIterator[FalEmulator]:
    async with FalEmulator() as emulator:
        yield emulator


def at_fal(fal: FalEmulator, **more: str) -> dict[str, str]:
    urls = {"FAL_QUEUE_URL": fal.queue_url, "FAL_REST_URL": fal.rest_url, "FAL_CDN_URL": fal.cdn_url}
    return {"FAL_KEY": API_KEY, "FAL_API_URL": fal.api_url, **urls, **more}


async def test_a_refused_discord_token_stops_the_start_with_one_sentence(
    tmp_path: Path, discord: DiscordEmulator
) -> None:
    done = await bot(tmp_path, "run", DISCORD_API_URL=discord.api_url, DISCORD_TOKEN="not.the.token")
    assert done.code == 2, done.output
    assert done.output.splitlines()[-1].startswith("Discord refuses DISCORD_TOKEN")
    assert "Traceback" not in done.output


async def test_a_refused_key_of_fal_stops_the_start_with_one_sentence(tmp_path: Path, fal: FalEmulator) -> None:
    done = await bot(tmp_path, "run", **at_fal(fal, FAL_KEY="wrong:key"))
    assert done.code == 2, done.output
    assert "fal refuses FAL_KEY" in done.output
    assert "Traceback" not in done.output
    assert "wrong:key" not in done.output


async def test_a_refused_slack_token_stops_the_start_with_one_sentence(tmp_path: Path, slack: SlackEmulator) -> None:
    wrong = {"SLACK_BOT_TOKEN": "xoxb-not-the-token", "SLACK_APP_TOKEN": slack.app_token}
    done = await bot(tmp_path, "run", SLACK_API_URL=slack.api_url, **wrong)
    assert done.code == 2, done.output
    assert done.output.splitlines()[-1].startswith("Slack refuses SLACK_BOT_TOKEN")
    assert "Traceback" not in done.output


async def test_invite_prints_both_links_with_what_they_ask_for(tmp_path: Path, discord: DiscordEmulator) -> None:
    done = await bot(tmp_path, "invite", DISCORD_API_URL=discord.api_url, DISCORD_TOKEN=discord.token)
    assert done.code == 0, done.output
    links = [line for line in done.output.splitlines() if line.startswith("https://")]
    assert len(links) == 2
    assert "integration_type=1" in links[1]
    assert "Attach Files" in done.output


async def test_invite_without_a_token_says_what_is_missing(tmp_path: Path) -> None:
    done = await bot(tmp_path, "invite")
    assert (done.code, done.output.strip()) == (2, "No platform with invite links is set up; set DISCORD_TOKEN first.")


async def test_doctor_examines_fal_discord_and_slack(
    tmp_path: Path, fal: FalEmulator, discord: DiscordEmulator, slack: SlackEmulator
) -> None:
    done = await bot(
        tmp_path,
        "doctor",
        **at_fal(fal, FAL_ADMIN_KEY=ADMIN_KEY),
        DISCORD_API_URL=discord.api_url,
        DISCORD_TOKEN=discord.token,
        SLACK_API_URL=slack.api_url,
        SLACK_BOT_TOKEN="xoxb-acme-bot-token",
        SLACK_APP_TOKEN=slack.app_token,
    )
    assert done.code == 0, done.output
    for fact in ("fal accepts the key", "costs $0.10", "credit is $50.00", "clock is right", "Discord:", "Slack"):
        assert fact in done.output
    assert "✘" not in done.output


async def test_doctor_names_the_fix_for_each_wrong_key(
    tmp_path: Path, fal: FalEmulator, discord: DiscordEmulator
) -> None:
    wrong = at_fal(fal, FAL_KEY="wrong:key", DISCORD_API_URL=discord.api_url, DISCORD_TOKEN="not.the.token")
    done = await bot(tmp_path, "doctor", **wrong)
    assert done.code == 1, done.output
    assert "fal does not accept FAL_KEY" in done.output
    assert "https://fal.ai/dashboard/keys" in done.output
    assert "Discord refuses DISCORD_TOKEN" in done.output
    assert "wrong:key" not in done.output


async def test_doctor_sees_that_the_credit_is_gone(tmp_path: Path, fal: FalEmulator) -> None:
    fal.credit_exhausted = True
    done = await bot(tmp_path, "doctor", **at_fal(fal, FAL_ADMIN_KEY=ADMIN_KEY))
    assert done.code == 1
    assert "out of credit" in done.output


async def test_reconcile_lists_what_fal_billed_otherwise_and_corrects_it(tmp_path: Path, fal: FalEmulator) -> None:
    from PIL import Image

    Image.effect_noise((64, 48), 60).convert("RGB").save(tmp_path / "cat.png")
    at = at_fal(fal, FAL_ADMIN_KEY=ADMIN_KEY)
    fal.job_s = 0.2
    made = await bot(tmp_path, "upscale", "cat.png", **at)
    assert made.code == 0, made.output
    assert (await bot(tmp_path, "reconcile", **at)).code == 0
    for job in fal.jobs.values():
        job.units = "3"
    listed = await bot(tmp_path, "reconcile", **at)
    assert listed.code == 1, listed.output
    assert "other amount" in listed.output
    assert "$0.30" in listed.output
    assert next(iter(fal.jobs)) in listed.output, "a request id is whole where no terminal cuts it"
    mended = await bot(tmp_path, "reconcile", "--fix", **at)
    assert "1 of 1 differences corrected" in mended.output
    assert (await bot(tmp_path, "reconcile", **at)).code == 0


async def test_reconcile_without_the_admin_key_says_what_is_missing(tmp_path: Path, fal: FalEmulator) -> None:
    done = await bot(tmp_path, "reconcile", **at_fal(fal))
    assert done.code == 2
    assert "FAL_ADMIN_KEY" in done.output
