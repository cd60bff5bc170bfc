"""Gateway and HTTP interactions: duplicate delivery, dropped connections, restarts, sharding, drain, load."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.discord import Settings, examine, invite_links
from core.domain.errors import DeliveryRefused, DownloadFailed
from core.domain.job import Progress, Source
from core.presentation import Notice
from tests.adapters.discord.fake_service import FakeCore
from tests.adapters.discord.kit import PICTURE, Bot, make, running, serving, upscale
from tests.emulators.discord import DiscordEmulator, Fault
from tests.fakes.core import DatabaseAway
from tests.served import served


async def test_json_whose_type_names_a_character_set_is_json_all_the_same(tmp_path: Path) -> None:
    async with DiscordEmulator() as discord:
        discord.json_type = "application/json; charset=utf-8"
        core = FakeCore(tmp_path)
        async with serving(adapter := make(discord, core)):
            await upscale(Bot(discord, core, adapter))


async def test_parallel_sessions_of_two_processes_make_one_job(bot: Bot, tmp_path: Path) -> None:
    twin = FakeCore(tmp_path)
    twin.state = bot.core.state
    twin.state.identify_ttl_s = 0.0
    bot.discord.gateway.identify_spacing_s = 0.0
    async with serving(make(bot.discord, twin)):
        await upscale(bot) if not twin.requests else None
        await asyncio.gather(bot.core.settle(), twin.settle())

    assert len(bot.core.begun) + len(twin.begun) == 1
    assert {job_id for core in (bot.core, twin) for job_id in core.jobs} == bot.core.begun | twin.begun
    assert len(bot.discord.messages()) == 1
    assert sorted(r.status for r in bot.discord.requests if "/callback" in r.path) == [200, 400]


async def test_an_event_during_a_drop_arrives_by_resume_and_runs_once(bot: Bot) -> None:
    await bot.discord.gateway.drop()
    await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)
    await bot.core.settle()

    assert bot.discord.gateway.resumes
    assert len(bot.core.requests) == 1


async def test_a_request_to_reconnect_is_followed_without_losing_the_session(bot: Bot) -> None:
    await bot.discord.gateway.ask_to_reconnect()
    await bot.discord.until(lambda: bot.discord.gateway.resumes)
    await upscale(bot)

    assert len(bot.discord.gateway.identifies) == 1


async def test_a_database_that_is_cut_while_the_bot_connects_is_no_incident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with DiscordEmulator() as discord:
        core = FakeCore(tmp_path)
        get, cuts = core.state.get, [DatabaseAway()]

        async def cut_once(area: str, key: str) -> Any:
            if cuts:
                raise cuts.pop()
            return await get(area, key)

        monkeypatch.setattr(core.state, "get", cut_once)
        async with serving(make(discord, core)):
            assert cuts == []
    assert core.caught == []


async def test_the_answer_of_a_job_is_edited_although_the_gateway_is_away(bot: Bot) -> None:
    started, job_id = await bot.waiting()
    await bot.discord.gateway.drop()
    await bot.core.finish(job_id)

    await started.answer(lambda m: m.images)


async def test_a_broken_event_ends_the_librarys_loop_and_the_bot_comes_back(bot: Bot) -> None:
    bot.core.state.identify_ttl_s = 0.0
    bot.discord.gateway.identify_spacing_s = 0.0
    bot.core.state.claims.clear()
    for session in bot.discord.gateway.connected:
        await session.send("READY", {"v": 10})
    await bot.discord.until(lambda: len(bot.discord.gateway.identifies) >= 2, 15)
    await bot.discord.until(lambda: bot.discord.gateway.connected)
    await upscale(bot)
    assert [type(error) for error in bot.core.caught] == [KeyError]
    bot.core.caught.clear()


async def test_commands_are_registered_once_and_again_only_when_they_change(tmp_path: Path) -> None:
    async with DiscordEmulator() as discord:
        discord.gateway.identify_spacing_s = 0.0
        core = FakeCore(tmp_path)
        core.state.identify_ttl_s = 0.0
        for _ in range(2):
            async with serving(make(discord, core)):
                await discord.gateway.wait_connected()
        puts = [r for r in discord.requests if r.method == "PUT"]
        assert len(puts) == 1
        options = next(c for c in puts[0].json if c["name"] == "upscale")["options"]
        assert {o["name"]: (o["min_value"], o["max_value"]) for o in options if "min_value" in o} == {
            "factor": (1.0, 10.0),
            "creativity": (0.0, 1.0),
            "guidance": (1.0, 4.0),
            "steps": (4, 50),
            "seed": (0, 2**32 - 1),
        }
        assert all(o["file_types"][0] == "image" for o in options if o["type"] == 11)
        assert {c["type"] for c in puts[0].json} == {1, 3}
        assert discord.violations == []


async def test_shutting_down_lets_handlers_finish_and_leaves_no_task_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with running(tmp_path) as bot:
        bot.discord.faults.append(Fault("/callback", "delay", seconds=0.4))
        started = await bot.discord.invoke("/help")
        await asyncio.sleep(0.1)
        bot.core.draining = True
        refusal = await bot.ask("/upscale", {"image": PICTURE})
        assert "restarting" in refusal.text
        assert refusal.ephemeral
    assert started.interaction.acked_s is not None
    await bot.discord.until(lambda: asyncio.all_tasks() <= before)


async def test_two_shards_of_one_process_identify_in_turn_and_both_serve(tmp_path: Path) -> None:
    async with DiscordEmulator() as discord:
        discord.gateway.identify_spacing_s = 0.3
        discord.gateway.recommended_shards = 2
        core = FakeCore(tmp_path)
        core.state.identify_ttl_s = 1.0
        guilds = [discord.guild]
        while len({(g.id >> 22) % 2 for g in guilds}) < 2:
            await asyncio.sleep(0.001)
            guilds.append(discord.world.add_guild())
        async with serving(make(discord, core)):
            await discord.gateway.wait_connected(2)
            for guild in (guilds[0], guilds[-1]):
                channel = discord.world.add_channel(guild)
                started = await discord.invoke("/upscale", {"image": PICTURE}, channel=channel)
                assert started.reached_sessions == 1
                await started.answer(lambda m: m.images)
        assert discord.gateway.spacing_violations == []
        assert sorted(s.shard for s in discord.gateway.sessions.values()) == [(0, 2), (1, 2)]


async def test_two_processes_share_the_spacing_through_the_database(tmp_path: Path) -> None:
    async with DiscordEmulator() as discord:
        discord.gateway.identify_spacing_s = 0.3
        first, second = FakeCore(tmp_path), FakeCore(tmp_path)
        second.state = first.state
        first.state.identify_ttl_s = 0.35
        one = make(discord, first, discord_shard_ids=(0,), discord_shard_count=2)
        two = make(discord, second, discord_shard_ids=(1,), discord_shard_count=2)
        async with serving(one), serving(two):
            await discord.gateway.wait_connected(2)
        assert discord.gateway.spacing_violations == []
        assert len(discord.gateway.identifies) == 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"discord_public_key": "abc"}, "64 hexadecimal digits"),
        ({"discord_shard_ids": "0,1"}, "needs DISCORD_SHARD_COUNT"),
        ({"discord_shard_ids": "0,x", "discord_shard_count": "2"}, "must be numbers"),
        ({"discord_shard_ids": "2", "discord_shard_count": "2"}, "must all be below"),
        ({"discord_api_url": "discord.com"}, "an address that starts with https"),
    ],
)
def test_wrong_settings_are_said_plainly(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Settings.model_validate({"discord_token": "t", **given})


async def test_http_interactions_use_the_same_handlers(tmp_path: Path) -> None:
    async with DiscordEmulator() as discord:
        core = FakeCore(tmp_path)
        adapter = make(discord, core, discord_public_key=discord.public_key)
        app = web.Application()
        app.add_routes(adapter.routes())
        async with served(app) as address, serving(adapter):
            assert await discord.set_endpoint(f"{address}/discord/interactions")
            started = await discord.invoke("/upscale", {"image": PICTURE})
            message = await started.answer(lambda m: m.images)
            clicked = await discord.click(message, "Details")
            await clicked.answer()
            assert await adapter.problem() is None
            await core.settle()
        assert {status for status, _ in discord.endpoint_answers} == {202}
        assert discord.gateway.identifies == []
        assert discord.violations == []


async def test_readiness_tells_when_the_gateway_is_away(bot: Bot) -> None:
    assert await bot.adapter.problem() is None
    await bot.discord.gateway.drop()
    async with asyncio.timeout(10):
        while await bot.adapter.problem() != "reconnecting":
            await asyncio.sleep(0)
        while await bot.adapter.problem() is not None:
            await asyncio.sleep(0)


async def test_progress_never_waits_long_for_a_rate_limit(bot: Bot) -> None:
    _, job_id = await bot.waiting()
    bot.discord.limits.webhook = (5, 3600.0)  # the answer and four edits; the library waits before a sixth
    async with asyncio.timeout(60):
        for percent in range(4):
            await bot.core.progress(job_id, Progress("upscaling", percent=percent))
    assert [r for r in bot.discord.requests if r.status == 429] == []


async def test_no_log_line_holds_a_token_a_link_or_a_caption(bot: Bot, capsys: pytest.CaptureFixture[str]) -> None:
    started = await bot.discord.invoke("/upscale", {"image": PICTURE})
    await started.answer(lambda m: m.images)
    bot.core.broken = RuntimeError("no")
    await bot.ask("/upscale", {"image": PICTURE})
    bot.core.caught.clear()
    printed = capsys.readouterr()

    for secret in (started.interaction.token, bot.discord.token, "harbour", "http://127"):
        assert secret not in printed.out + printed.err


async def test_the_unforeseen_becomes_a_reference_and_no_stack_trace(bot: Bot) -> None:
    bot.core.broken = RuntimeError("secret detail")
    message = await bot.ask("/upscale", {"image": PICTURE})

    assert "0incident000" in message.text
    assert "secret detail" not in message.text
    assert "RuntimeError" not in message.text
    bot.core.caught.clear()


async def test_a_budget_alert_goes_to_the_channel_that_was_chosen(bot: Bot) -> None:
    notice = Notice("80% of the budget of this server is used.", tone="info")
    await bot.adapter.notify(str(bot.discord.guild.id), str(bot.discord.channel.id), notice)
    assert "80%" in bot.discord.messages()[-1].text

    bot.discord.channel.bot_permissions = 0
    with pytest.raises(DeliveryRefused):
        await bot.adapter.notify(str(bot.discord.guild.id), str(bot.discord.channel.id), notice)


async def test_an_expired_file_address_is_told_before_it_is_fetched(bot: Bot) -> None:
    with pytest.raises(DownloadFailed) as caught:
        await bot.adapter.download(Source("attachment", url="https://cdn.discordapp.com/a?ex=1&is=0&hm=0"))
    assert caught.value.reason == "gone"


async def test_an_examination_says_what_is_wrong_and_how_to_mend_it(bot: Bot) -> None:
    good = Settings.model_validate({"discord_token": bot.discord.token, "discord_api_url": bot.discord.api_url})
    wrong = Settings.model_validate({"discord_token": "x", "discord_api_url": bot.discord.api_url})
    away = Settings.model_validate({"discord_token": "x", "discord_api_url": "http://127.0.0.1:9"})
    assert {f.level for f in await examine(good, None)} == {"ok"}
    assert [(f.level, bool(f.fix)) for f in await examine(wrong, None)] == [("problem", True)]
    assert [(f.level, bool(f.fix)) for f in await examine(away, None)] == [("problem", True)]
    server, own = await invite_links(good)
    assert str(bot.discord.world.application_id) in server.url
    assert str(bot.discord.world.application_id) in own.url
