"""Threads: to Discord channels of their own, to the rules a part of their channel."""

import pytest

from core.domain.limits import ScopeKind
from tests.adapters.discord.kit import PICTURE, Bot
from tests.emulators.discord import Fault
from tests.emulators.discord.world import (
    ANNOUNCEMENT,
    ANNOUNCEMENT_THREAD,
    FORUM,
    MANAGE_GUILD,
    MEMBER_PERMISSIONS,
    PRIVATE_THREAD,
    PUBLIC_THREAD,
    TEXT,
    Channel,
)

KINDS = [(TEXT, PUBLIC_THREAD), (TEXT, PRIVATE_THREAD), (ANNOUNCEMENT, ANNOUNCEMENT_THREAD), (FORUM, PUBLIC_THREAD)]


def _thread(bot: Bot, channel_kind: int = TEXT, kind: int = PUBLIC_THREAD) -> tuple[Channel, Channel]:
    world = bot.discord.world
    channel = world.add_channel(bot.discord.guild, type=channel_kind, name="art")
    return channel, world.add_thread(channel, kind)


def _places(bot: Bot) -> list[tuple[str, str]]:
    return [(one.requester.channel_id, one.requester.parent_channel_id) for one in bot.core.requests]


def _lookups(bot: Bot, channel: Channel) -> int:
    path = f"/channels/{channel.id}"
    return sum(request.method == "GET" and request.path.endswith(path) for request in bot.discord.requests)


async def _mention(bot: Bot, channel: Channel) -> None:
    asked, by_bot = len(bot.core.requests), len(bot.discord.messages(channel)) + 2
    await bot.discord.write(f"<@{bot.discord.world.bot.id}> 2x", (PICTURE,), channel=channel)
    await bot.discord.until(lambda: len(bot.core.requests) > asked or len(bot.discord.messages(channel)) >= by_bot)
    await bot.core.settle()


@pytest.mark.parametrize(("channel_kind", "kind"), KINDS)
async def test_a_command_a_button_and_a_mention_in_a_thread_name_its_channel(
    bot: Bot, channel_kind: int, kind: int
) -> None:
    channel, thread = _thread(bot, channel_kind, kind)
    result = await bot.ask("/upscale", {"image": PICTURE}, lambda m: m.images, channel=thread)
    await bot.discord.click(result, "Again")
    await bot.discord.until(lambda: len(bot.core.jobs) == 2)
    await _mention(bot, thread)
    assert _places(bot) == [(str(thread.id), str(channel.id))] * 3


async def test_a_channel_has_no_parent_though_it_is_in_a_category(bot: Bot) -> None:
    bot.discord.channel.category_id = 77
    await bot.ask("/upscale", {"image": PICTURE}, lambda m: m.images)
    await _mention(bot, bot.discord.channel)
    assert _places(bot) == [(str(bot.discord.channel.id), "")] * 2


async def test_discord_is_asked_once_about_a_channel_of_messages_and_never_about_a_direct_one(bot: Bot) -> None:
    channel, thread = _thread(bot)
    direct = bot.discord.world.dm_with(bot.discord.user)
    for place in (thread, thread, direct, channel, channel):
        await _mention(bot, place)
    assert len(bot.core.requests) == 5
    assert [_lookups(bot, place) for place in (thread, channel, direct)] == [1, 1, 0]


@pytest.mark.parametrize(("status", "told"), [(503, "try again"), (403, "does not allow")])
async def test_a_mention_whose_channel_cannot_be_found_out_is_answered_and_starts_nothing(
    bot: Bot, status: int, told: str
) -> None:
    """Nothing is evaded by a failed lookup, and the member is told; the next mention is asked about again."""
    _, thread = _thread(bot)
    bot.discord.faults.append(Fault(f"GET .*/channels/{thread.id}$", "status", times=50, status=status))
    await _mention(bot, thread)
    assert told in bot.discord.messages(thread)[-1].text
    assert bot.core.requests == []
    bot.discord.faults.clear()
    await _mention(bot, thread)
    assert len(bot.core.requests) == 1


async def test_a_limit_of_a_channel_says_that_threads_count_and_a_forum_may_have_one(bot: Bot) -> None:
    moderator = bot.discord.world.add_user("Mod")
    bot.discord.guild.permissions[moderator.id] = MEMBER_PERMISSIONS | MANAGE_GUILD
    forum, post = _thread(bot, FORUM)
    asked = {"measure": "jobs", "amount": 5.0}
    for chosen, scope_id, tells in (
        ({"channel": forum}, str(forum.id), True),
        ({"scope": "channels"}, "", True),
        ({"channel": post}, str(post.id), False),
        ({"scope": "members"}, "", False),
    ):
        answer = await bot.ask("/quota set", {**asked, **chosen}, lambda m: "Limit set" in m.text, user=moderator)
        assert ("Threads count with their channel." in answer.text) is tells, chosen
        kind = ScopeKind.USER if chosen.get("scope") == "members" else ScopeKind.CHANNEL
        assert bot.core.limit_calls[-1][1:3] == (kind, scope_id)


async def test_announcements_and_stages_can_be_chosen_and_forums_for_a_limit_only(bot: Bot) -> None:
    commands = {command["name"]: command for command in bot.discord.world.commands}
    by_name = {command["name"]: command["options"] for command in commands["quota"]["options"]}
    alerts, limited = (
        next(set(option["channel_types"]) for option in by_name[verb] if option["name"] == "channel")
        for verb in ("alerts", "set")
    )
    announcements, stage = 5, 13
    assert {announcements, stage} <= alerts
    assert limited - alerts == {FORUM}


async def test_calls_about_more_channels_and_messages_leave_no_more_with_the_library(bot: Bot) -> None:
    """It keeps a limit's name for each path for as long as the process lives, and a limit's state for each channel."""
    rest = bot.adapter._rest
    http = (await rest.client()).http
    kept = []
    for _ in range(3):
        channel, _thread_of_it = _thread(bot)
        message = bot.discord.post("a", channel=channel)
        await rest.fetch_message(channel.id, message.id)
        await rest.find_job_message("0" * 32, channel.id, after=message.id)
        await rest.parent_channel(channel.id)
        kept.append(len(http._bucket_hashes))
        assert sum(name.endswith(f":{channel.id}") for name in http._buckets) >= 2
    assert kept == kept[:1] * 3
