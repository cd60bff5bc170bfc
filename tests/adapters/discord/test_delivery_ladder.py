"""The result arrives exactly once, whatever happens to tokens, messages, limits and the network."""

import pytest

from core.domain.errors import DeliveryRefused
from core.domain.job import JobState, Progress
from tests.adapters.discord.kit import PICTURE, Bot
from tests.emulators.discord import Fault
from tests.emulators.discord.world import SEND_MESSAGES, USE_EXTERNAL_APPS, Channel

MIB = 1024 * 1024


def _pictures(bot: Bot, channel: Channel | None = None) -> list[object]:
    return [m for m in bot.discord.messages(channel) if m.images]


async def test_the_file_fits_what_the_interaction_announced(bot: Bot) -> None:
    bot.core.media.original_bytes = 3 * MIB
    started, job_id = await bot.upscaling(attachment_size_limit=2 * MIB)
    delivery = await bot.core.finish(job_id)
    message = await started.answer(lambda m: m.images)

    assert delivery.shape == "lossless_webp"
    assert message.images[0].filename.endswith(".webp")
    assert "lossless WebP" in message.text


async def test_no_request_passes_25_mib_even_where_500_are_announced(bot: Bot) -> None:
    bot.core.media.original_bytes = 40 * MIB
    _, job_id = await bot.upscaling(attachment_size_limit=500 * MIB)
    delivery = await bot.core.finish(job_id)

    assert delivery.shape == "lossless_webp"
    assert all(r.status != 413 for r in bot.discord.requests)
    assert max(bot.core.media.asked) <= 25 * MIB - 64 * 1024


async def test_a_size_refused_in_spite_of_the_announcement_is_made_smaller(bot: Bot) -> None:
    bot.core.media.original_bytes = 15 * MIB
    bot.discord.posts.hard_file_limit_bytes = 8 * MIB
    started, job_id = await bot.upscaling()
    delivery = await bot.core.finish(job_id)

    assert delivery.shape == "lossless_webp"
    assert len((await started.answer(lambda m: m.images)).images) == 1
    assert [r.status for r in bot.discord.requests if r.files] == [413, 200]


async def test_when_no_file_is_taken_the_link_is_delivered(bot: Bot) -> None:
    bot.core.link = "https://files.example.org/full.png"
    bot.discord.posts.hard_file_limit_bytes = 100
    started, job_id = await bot.upscaling()
    delivery = await bot.core.finish(job_id)
    message = await started.answer(lambda m: "Full file" in m.labels)

    assert delivery.shape == "link"
    assert message.button("Full file").url == bot.core.link
    assert message.images == ()


async def test_a_picture_beyond_what_clients_show_comes_as_a_preview_with_the_full_file_beside_it(bot: Bot) -> None:
    bot.core.media.px = (12_000, 9_000)
    bot.core.size_px = (6_000, 4_500)
    started, job_id = await bot.upscaling(attachment_size_limit=20 * MIB)
    await bot.core.finish(job_id)
    message = await started.answer(lambda m: m.files)

    assert message.images[0].filename.startswith("harbour-preview")
    assert message.files[0].filename.startswith("harbour-2x")


async def test_after_fifteen_minutes_the_bot_edits_the_same_message_itself(bot: Bot) -> None:
    started, job_id = await bot.upscaling()
    bot.discord.clock.advance(16 * 60)
    delivery = await bot.core.finish(job_id)
    messages = bot.discord.messages()

    assert delivery.elsewhere == ""
    assert len(messages) == 1
    assert messages[0].images
    assert messages[0].id == started.interaction.original.id  # type: ignore[union-attr]
    # One request found the token dead; by our own clock there would have been none.
    assert [r.code for r in bot.discord.requests if r.code == 50027] == [50027]


async def test_a_token_known_to_be_over_is_not_even_tried(bot: Bot) -> None:
    _, job_id = await bot.upscaling()
    bot.discord.clock.advance(16 * 60)
    bot.core.shifted.offset_s += 16 * 60
    await bot.core.progress(job_id, Progress("upscaling", percent=80))
    await bot.core.finish(job_id)

    assert [r for r in bot.discord.requests if r.status == 401] == []
    assert len(_pictures(bot)) == 1


async def test_a_dead_token_is_asked_once_and_then_never_again(bot: Bot) -> None:
    channel = bot.discord.world.add_private_channel(bot.discord.user, bot.discord.world.add_user("bob"))
    _, job_id = await bot.upscaling(channel=channel, install="user")
    bot.discord.clock.advance(16 * 60)
    for percent in (20, 30, 40):
        with pytest.raises(DeliveryRefused):
            await bot.core.progress(job_id, Progress("upscaling", percent=percent))

    assert len([r for r in bot.discord.requests if r.status in (401, 403)]) == 1


async def test_where_the_bot_may_no_longer_edit_it_posts_anew_and_else_writes_directly(bot: Bot) -> None:
    _, job_id = await bot.upscaling()
    bot.discord.clock.advance(16 * 60)
    bot.discord.channel.bot_permissions = 0
    delivery = await bot.core.finish(job_id)

    assert delivery.elsewhere == "direct_message"
    assert len([m for m in bot.discord.dms() if m.images]) == 1


async def test_a_user_install_without_the_bot_gets_the_late_result_as_a_direct_message(bot: Bot) -> None:
    guild = bot.discord.world.add_guild("Elsewhere", bot_inside=False)
    channel = bot.discord.world.add_channel(guild)
    _, job_id = await bot.upscaling(channel=channel, install="user")
    bot.discord.clock.advance(16 * 60)
    delivery = await bot.core.finish(job_id)

    assert delivery.elsewhere == "direct_message"
    assert len([m for m in bot.discord.dms() if m.images]) == 1
    assert "direct message" in bot.discord.dms()[-1].text


async def test_when_no_way_is_left_the_core_is_told_so(bot: Bot) -> None:
    guild = bot.discord.world.add_guild("Elsewhere", bot_inside=False)
    channel = bot.discord.world.add_channel(guild)
    bot.discord.user.dms_open = False
    _, job_id = await bot.upscaling(channel=channel, install="user")
    bot.discord.clock.advance(16 * 60)
    with pytest.raises(DeliveryRefused):
        await bot.core.finish(job_id)


async def test_a_private_late_result_goes_by_direct_message(bot: Bot) -> None:
    _, job_id = await bot.upscaling({"private": True})
    bot.discord.clock.advance(16 * 60)
    delivery = await bot.core.finish(job_id)

    assert delivery.elsewhere == "direct_message"
    assert _pictures(bot) == []


async def test_forced_privacy_of_a_user_install_is_noticed(bot: Bot) -> None:
    guild = bot.discord.world.add_guild("Strict", bot_inside=False)
    guild.permissions[bot.discord.user.id] = SEND_MESSAGES & ~USE_EXTERNAL_APPS
    channel = bot.discord.world.add_channel(guild)
    started, job_id = await bot.upscaling(channel=channel, install="user")
    await bot.core.finish(job_id)
    message = await started.answer(lambda m: m.images)

    assert message.ephemeral
    assert bot.core.requests[0].private


async def test_a_deleted_message_stops_progress_and_the_owner_alone_gets_the_result_once(bot: Bot) -> None:
    started, job_id = await bot.upscaling()
    started.interaction.original.deleted = True  # type: ignore[union-attr]
    for _ in range(3):
        with pytest.raises(DeliveryRefused):
            await bot.core.progress(job_id, Progress("upscaling", percent=50))
    delivery = await bot.core.finish(job_id)
    await bot.core.finish(job_id)

    assert delivery.elsewhere == "new_message"
    assert len([r for r in bot.discord.requests if r.code == 10008]) == 1
    assert len(_pictures(bot)) == 1
    assert bot.discord.messages()[-1].ephemeral, "what was deleted is not answered in public"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH .*@original", "reset", times=2),
        Fault("PATCH .*@original", "reset_after", times=2),
        Fault("PATCH .*@original", "status", status=503, times=1),
        Fault("PATCH .*@original", "html", status=502, times=1),
        Fault("PATCH .*@original", "ratelimit", seconds=0.1, times=2),
    ],
    ids=lambda f: f"{f.action} {f.status}",
)
async def test_the_final_edit_survives_the_network(bot: Bot, fault: Fault) -> None:
    started, job_id = await bot.upscaling()
    bot.discord.faults.append(fault)
    delivery = await bot.core.finish(job_id)
    message = await started.answer(lambda m: m.images)

    assert delivery.elsewhere == ""
    assert message.images[0].read() == bot.core.media.picture
    assert len(bot.discord.messages()) == 1
    assert fault.times == 0


async def test_a_direct_message_whose_answer_was_lost_is_not_sent_twice(bot: Bot) -> None:
    _, job_id = await bot.upscaling()
    bot.discord.clock.advance(16 * 60)
    original = bot.discord.world.messages[bot.discord.messages()[0].id]
    original.deleted = True
    bot.discord.faults.append(Fault(r"POST .*/channels/\d+/messages", "reset_after", times=2))
    delivery = await bot.core.finish(job_id)

    assert delivery.elsewhere == "direct_message"
    assert len([m for m in bot.discord.dms() if m.images]) == 1


async def test_the_first_answer_survives_a_reset_or_a_5xx_without_starting_twice(bot: Bot) -> None:
    for action in ("reset", "reset_after", "status", "status_after"):
        bot.discord.faults.append(Fault("/callback", action))
        await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)
    await bot.core.settle()

    assert len(bot.core.requests) == 4
    assert len(_pictures(bot)) == 4


async def test_a_click_on_the_price_opens_a_fresh_window_for_a_private_answer(bot: Bot) -> None:
    core = bot.core
    started, job_id = await bot.waiting({"private": True})
    await core.ask(job_id)
    question = await started.answer()
    bot.discord.clock.advance(9 * 60)
    core.shifted.offset_s += 9 * 60
    await bot.discord.click(question, "Start")
    await bot.discord.until(lambda: core.jobs[job_id].state is JobState.QUEUED)
    await bot.discord.until(lambda: [k for k in core.state.values if k[0] == "discord-token"])

    bot.discord.clock.advance(9 * 60)
    core.shifted.offset_s += 9 * 60
    delivery = await core.finish(job_id)

    assert delivery.elsewhere == ""
    assert (await started.answer(lambda m: m.images)).ephemeral
    assert [k for k in core.state.values if k[0] == "discord-token"] == []


async def test_what_a_successor_needs_is_in_the_stored_address(bot: Bot) -> None:
    started, job_id = await bot.upscaling()
    data = bot.core.jobs[job_id].reply.data

    assert data["token"] == started.interaction.token
    assert data["message_id"] == started.interaction.original.id  # type: ignore[union-attr]
    assert data["channel_id"] == bot.discord.channel.id
    assert data["limit_bytes"] == started.interaction.size_limit_bytes
    assert data["bot_inside"] is True
    memo = bot.core.memos.get(job_id, {})
    assert started.interaction.token not in str(memo)
