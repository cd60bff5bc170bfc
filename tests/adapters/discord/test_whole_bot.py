"""The whole bot as a process against the emulators of Discord and fal: load, `kill -9`, SIGTERM."""

import asyncio
import io
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.adapters.discord.fake_service import png
from tests.bot.process_kit import Bot, accepted, check_ledger, until
from tests.emulators.discord import DiscordEmulator, Fault, Upload
from tests.emulators.fal import FalEmulator


@pytest.fixture
async def discord() -> AsyncIterator[DiscordEmulator]:
    async with DiscordEmulator() as emulator:
        emulator.limits.everything = (10_000, 1.0)
        yield emulator
        assert emulator.violations == []
        assert emulator.posts.warnings == []


@asynccontextmanager
async def _running(
    folder: Path, discord: DiscordEmulator, provider: FalEmulator, **env: str
) -> AsyncIterator[tuple[Bot, FalEmulator]]:
    """The connected bot process; `env` is added to its environment."""
    async with provider as fal, Bot(folder / "data", {**fal.env(), **discord.env(), **env}) as bot:
        if "DISCORD_PUBLIC_KEY" not in env:
            await discord.gateway.wait_connected(timeout_s=30)
        await discord.until(lambda: discord.world.commands, 30)
        yield bot, fal


async def test_after_kill_nine_the_same_message_ends_with_the_result_and_fal_was_asked_once(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    async with _running(tmp_path, discord, FalEmulator(job_s=3.0), DATABASE_URL=url) as (bot, fal):
        started = await discord.invoke("/upscale", {"image": Upload("a.png", png(64, 48)), "seed": 7})
        await until(lambda: len(fal.submits) == 1)
        await started.answer(lambda m: "Upscaling" in m.text)
        await bot.kill()
        await bot.start()
        message = await started.answer(lambda m: m.images, 60)
        await until(lambda: any(e.get("event") == "job_ended" for e in bot.events))
    assert accepted(fal) == {7: 1}
    assert [m.id for m in discord.messages()] == [message.id]
    assert Image.open(io.BytesIO(message.images[0].read())).size == (128, 96)
    await check_ledger(url, jobs=1)


async def test_buttons_work_after_a_restart_and_commands_are_not_registered_again(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    async with _running(tmp_path, discord, FalEmulator()) as (bot, _fal):
        started = await discord.invoke("/upscale", {"image": Upload("a.png", png(64, 48))})
        message = await started.answer(lambda m: m.images, 30)
        bot.signal(signal.SIGTERM)
        assert await bot.ended() == 0
        await bot.start()
        await until(lambda: len(discord.gateway.identifies) == 2)
        await discord.gateway.wait_connected()
        for label in ("Compare", "Again", "2× more"):
            answered = await discord.click(message, label)
            await answered.answer(lambda m: m.images, 30)
        assert bot.errors() == []
    assert len([r for r in discord.requests if r.method == "PUT"]) == 1


async def test_fifty_at_once_are_acknowledged_in_time_and_all_end_with_a_picture(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    users = [discord.world.add_user(f"member{n}") for n in range(50)]
    async with _running(tmp_path, discord, FalEmulator(slots=50, job_s=0.5)) as (bot, fal):
        started = await asyncio.gather(
            *(
                discord.invoke("/upscale", {"image": Upload("a.png", png(64 + n, 48)), "seed": n}, user=user)
                for n, user in enumerate(users)
            )
        )
        latencies = sorted([await one.acknowledged() for one in started])
        await asyncio.gather(*(one.answer(lambda m: m.images, 100) for one in started))
        assert bot.errors() == []
    assert latencies[-1] < 3.0
    assert accepted(fal) == dict.fromkeys(range(50), 1)
    assert len(discord.messages()) == 50


async def test_a_member_is_asked_confirms_cancels_and_is_refused_with_what_fits(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    limits = {"CONFIRM_ABOVE_USD": "0.15", "MAX_OUTPUT_PIXELS": "3000000"}
    picture = Upload("a.png", png(1000, 700))
    async with _running(tmp_path, discord, FalEmulator(job_s=0.3), **limits) as (bot, fal):
        asked = await discord.invoke("/upscale", {"image": picture, "factor": 2.0})
        question = await asked.answer(lambda m: "Creative" in " ".join(m.labels), 30)
        assert question.labels == ["Creative $0.30", "Faithful $0.01", "Preview $0.10", "Cancel"]
        assert fal.submits == []
        await discord.click(question, "Creative")
        result = await asked.answer(lambda m: m.images, 30)
        assert result.id == question.id

        fal.job_s = 30.0
        running = await discord.invoke("/upscale", {"image": picture, "factor": 1.1, "seed": 5})
        await until(lambda: len(fal.submits) == 2)
        await discord.click(await running.answer(lambda m: "Cancel" in m.labels, 30), "Cancel")
        await running.answer(lambda m: "Cancelled" in m.text, 30)

        fal.job_s = 0.3
        refused = await discord.invoke("/upscale", {"image": picture, "factor": 4.0})
        offer = await refused.answer(lambda m: m.labels and "instead" in m.labels[0], 30)
        smaller = await discord.click(offer, "instead")
        again = await smaller.answer(lambda m: m.labels and "Creative" in m.labels[0], 30)
        assert "$0.30" in again.text
        assert bot.errors() == []


async def test_a_job_that_outlives_its_token_ends_in_the_same_message(discord: DiscordEmulator, tmp_path: Path) -> None:
    async with _running(tmp_path, discord, FalEmulator(job_s=2.0)) as (bot, fal):
        started = await discord.invoke("/upscale", {"image": Upload("a.png", png())})
        await until(lambda: len(fal.submits) == 1)
        discord.clock.advance(16 * 60)
        message = await started.answer(lambda m: m.images, 30)
        assert [m.id for m in discord.messages()] == [message.id]
        assert len([r for r in discord.requests if r.code == 50027]) <= 1
        assert bot.errors() == []


async def test_trouble_on_every_route_loses_nothing_and_sends_nothing_twice(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    async with _running(tmp_path, discord, FalEmulator(job_s=1.0)) as (bot, fal):
        discord.faults += [
            Fault("/callback", "reset_after", times=2),
            Fault("PATCH .*@original", "reset", times=2),
            Fault("PATCH .*@original", "status", status=503, times=2),
            Fault("PATCH .*@original", "ratelimit", seconds=0.2, times=2),
        ]
        discord.gateway.deliveries = 2
        started = [await discord.invoke("/upscale", {"image": Upload("a.png", png()), "seed": n}) for n in (1, 2, 3)]
        await discord.gateway.drop()
        for one in started:
            await one.answer(lambda m: m.images, 60)
        assert bot.errors() == []
    assert accepted(fal) == {1: 1, 2: 1, 3: 1}
    assert len(discord.messages()) == 3
    assert all(len(m.images) == 1 for m in discord.messages())


async def test_http_interactions_reach_the_one_server_of_the_bot(discord: DiscordEmulator, tmp_path: Path) -> None:
    async with _running(tmp_path, discord, FalEmulator(), DISCORD_PUBLIC_KEY=discord.public_key) as (bot, _fal):
        assert await discord.set_endpoint(f"http://127.0.0.1:{bot.port}/discord/interactions")
        started = await discord.invoke("/upscale", {"image": Upload("a.png", png())})
        await started.answer(lambda m: m.images, 30)
        assert bot.errors() == []
    assert discord.gateway.identifies == []
    assert {status for status, _ in discord.endpoint_answers} == {202}


async def test_progress_edits_keep_their_distance_and_none_follows_the_result(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    async with _running(tmp_path, discord, FalEmulator(job_s=7.0, steps_logged=40)) as (_bot, _fal):
        started = await discord.invoke("/upscale", {"image": Upload("a.png", png())})
        await started.answer(lambda m: m.images, 30)
        await asyncio.sleep(2.5)
    edits = [r for r in discord.requests if r.method == "PATCH"]
    assert edits[-1].files
    assert 3 <= len(edits) <= 2 + (edits[-1].monotonic_s - edits[0].monotonic_s) / 2, "one in two seconds, and the last"


async def test_a_strangers_server_costs_nothing_until_the_operator_lets_it_in_by_a_private_button(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    world = discord.world
    eve = world.add_user("eve")
    theirs = world.add_guild("Eve's server", owner_id=eve.id)
    theirs.permissions[eve.id] = 1 << 3
    channel = world.add_channel(theirs)
    async with _running(tmp_path, discord, FalEmulator()) as (bot, fal):
        asked = {"image": Upload("a.png", png(64, 48)), "seed": 7}
        refused = await discord.invoke("/upscale", asked, user=eve, channel=channel)
        await refused.answer(lambda m: "has to let this place in" in m.text, 30)
        assert fal.submits == []
        own = await discord.invoke("/upscale", asked, user=world.owner, channel=channel)
        await own.answer(lambda m: m.images, 30)
        question = await discord.until(
            lambda: next((m for m in discord.messages(channel, world.owner) if "not let in yet" in m.text), None),
            30,
        )
        assert question.ephemeral
        await discord.click(question, "Let in", user=world.owner)
        await discord.until(lambda: any("is let in" in m.text for m in discord.messages(channel, world.owner)), 30)
        admitted = await discord.invoke("/upscale", {**asked, "seed": 8}, user=eve, channel=channel)
        await admitted.answer(lambda m: m.images, 30)
        assert bot.errors() == []
    assert accepted(fal) == {7: 1, 8: 1}


async def test_six_orderly_restarts_during_one_job_deliver_it_and_ask_fal_once(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    async with _running(tmp_path, discord, FalEmulator(slots=0), DATABASE_URL=url) as (bot, fal):
        started = await discord.invoke("/upscale", {"image": Upload("a.png", png(64, 48)), "seed": 7})
        await until(lambda: len(fal.submits) == 1)
        for _ in range(6):
            bot.signal(signal.SIGTERM)
            assert await bot.ended() == 0
            await bot.start()
        fal.slots = 1
        fal.runner.start_waiting()
        await started.answer(lambda m: m.images, 60)
    assert accepted(fal) == {7: 1}
    assert len(discord.messages()) == 1
    await check_ledger(url, jobs=1)


async def test_eight_slow_attachments_of_one_member_keep_nobody_else_waiting(
    discord: DiscordEmulator, tmp_path: Path
) -> None:
    slow, there = discord.world.add_user("slow"), discord.world.add_channel(discord.guild)
    discord.cdn.held[there.id] = asyncio.Event()
    async with _running(tmp_path, discord, FalEmulator(slots=9, job_s=0.2)) as (bot, fal):
        picture = Upload("a.png", png(64, 48))
        for seed in range(8):
            await discord.invoke("/upscale", {"image": picture, "seed": seed}, user=slow, channel=there)
        await until(lambda: sum(e.get("event") == "job_accepted" for e in bot.events) == 8)
        started = await discord.invoke("/upscale", {"image": picture, "seed": 99})
        await started.answer(lambda m: m.images, 30)
    assert accepted(fal) == {99: 1}
