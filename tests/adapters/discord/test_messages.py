"""Mentions, replies and direct messages with pictures, without privileged intents."""

import pytest

from adapters.discord.connection.client import INTENTS
from core.domain.errors import DeliveryRefused, PlaceRefused
from core.domain.job import Progress, Source
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import Bot
from tests.emulators.discord import Fault, SeenMessage, Upload
from tests.emulators.discord.world import MEMBER_PERMISSIONS, READ_MESSAGE_HISTORY, Channel, User

RED, GREEN = Upload("red.png", png(100, 50, "red")), Upload("green.png", png(1200, 800, "green"))
PDF = Upload("report.pdf", b"%PDF-1.7 not a picture")


def _me(bot: Bot) -> str:
    return f"<@{bot.discord.world.bot.id}>"


def _said(bot: Bot, channel: Channel | None = None, user: User | None = None) -> list[SeenMessage]:
    by_bot = {m.id for m in bot.discord.world.messages.values() if m.author.bot}
    return [m for m in bot.discord.messages(channel, user) if m.id in by_bot]


async def _result(bot: Bot, channel: Channel | None = None) -> SeenMessage:
    return await bot.discord.until(lambda: next((m for m in _said(bot, channel) if m.images), None))


async def _settled(bot: Bot) -> list[SeenMessage]:
    """The bot's messages once all handlers have finished."""
    await bot.core.settle()
    return _said(bot)


def test_no_privileged_intent_is_asked_for() -> None:
    assert not any((INTENTS.message_content, INTENTS.members, INTENTS.presences))


async def test_a_preset_of_ones_own_is_a_word_among_others(bot: Bot) -> None:
    await bot.ask("/settings save", {"name": "logo", "factor": 4.0})
    await bot.discord.write(f"{_me(bot)} please make our Logo bigger, thanks!", (GREEN,))
    await _result(bot)
    assert next(iter(bot.core.jobs.values())).parameters.factor == 4.0


async def test_a_mention_with_a_picture_is_answered_by_a_reply_in_which_nobody_is_pinged(bot: Bot) -> None:
    asked = await bot.discord.write(f"{_me(bot)} 3x creativity=0.5", (RED,))
    result = await _result(bot)

    request = bot.core.requests[0]
    assert (request.source.kind, request.source.name, request.text) == ("attachment", "red.png", asked.content)
    assert request.requester.workspace_id == str(bot.discord.guild.id)
    stored = bot.discord.world.messages[result.id]
    assert (stored.reply_to, stored.pinged) == (asked.id, set())
    assert len(_said(bot)) == 1
    written = [r.json for r in bot.discord.requests if isinstance(r.json, dict) and "components" in r.json]
    assert [json.get("allowed_mentions") for json in written] == [{"parse": []}] * len(written)
    job = next(iter(bot.core.jobs.values()))
    assert (job.parameters.factor, job.parameters.creativity) == (3.0, 0.5)


async def test_ordinary_words_around_parameters_are_no_mistake(bot: Bot) -> None:
    await bot.discord.write(f"{_me(bot)} please upscale this, 3x, thanks :heart:", (RED,))
    await _result(bot)
    assert next(iter(bot.core.jobs.values())).parameters.factor == 3.0


@pytest.mark.parametrize("visible", [True, False])
async def test_a_reply_that_mentions_the_bot_means_the_picture_that_is_replied_to(bot: Bot, visible: bool) -> None:
    bot.discord.referenced_visible = visible
    shown = bot.discord.post("look", (GREEN,))
    await bot.discord.write(f"{_me(bot)} 2x", reply_to=shown)
    await _result(bot)
    assert bot.core.requests[0].source.name == "green.png"


async def test_a_direct_message_needs_no_mention_and_speaks_the_language_of_the_last_job(bot: Bot) -> None:
    direct = bot.discord.world.dm_with(bot.discord.user)
    await bot.ask("/upscale", {"image": RED}, locale="de", test=lambda m: m.images)
    await bot.discord.write("2x", (GREEN,), channel=direct)
    await _result(bot, direct)
    assert bot.core.requests[1].source.name == "green.png"
    assert bot.core.requests[1].requester.locale == "de"
    assert bot.core.requests[1].requester.workspace_id == ""


async def test_thanks_in_a_direct_message_start_nothing_and_are_told_once_how_to_ask(bot: Bot) -> None:
    direct = bot.discord.world.dm_with(bot.discord.user)
    await bot.discord.write("I need this, 2x", (RED,), channel=direct)
    result = await _result(bot, direct)
    for words in ("thanks!", "danke"):
        await bot.discord.write(words, channel=direct, reply_to=result)
    await bot.discord.write("bigger please", channel=direct, reply_to=result)
    await bot.discord.until(lambda: len(bot.core.requests) == 2)
    await bot.core.settle()
    told = [m.text for m in bot.discord.dms() if "To upscale that image" in m.text]
    assert told == ["To upscale that image, reply with “upscale” or, for example, 3x."]
    assert [job.parameters.factor for job in bot.core.jobs.values()] == [2.0, 2.0]


async def test_the_word_for_help_is_answered_with_help(bot: Bot) -> None:
    direct = bot.discord.world.dm_with(bot.discord.user)
    await bot.discord.write(f"{_me(bot)} Help!")
    await bot.discord.write("ayuda", channel=direct)
    await bot.discord.until(lambda: _said(bot) and _said(bot, direct))
    assert all("How to upscale an image" in told.text for told in (*_said(bot), *_said(bot, direct)))
    assert bot.core.requests == []


async def test_messages_for_others_and_thanks_under_a_result_start_nothing(bot: Bot) -> None:
    await bot.discord.write(f"{_me(bot)}", (RED,))
    result = await _result(bot)
    other = bot.discord.world.add_user("robot", bot=True)
    await bot.discord.write("what a picture", (RED,))
    await bot.discord.write("thanks!", reply_to=result)
    await bot.discord.write(f"{_me(bot)}", (RED,), user=other)
    await bot.discord.write(f"{_me(bot)} 2x", (GREEN,))
    await bot.discord.until(lambda: len(bot.core.requests) == 2)
    assert (await _settled(bot))[0].id == result.id
    assert [r.source.name for r in bot.core.requests] == ["red.png", "green.png"]


async def test_the_same_message_delivered_twice_is_one_job(bot: Bot) -> None:
    bot.discord.gateway.deliveries = 2
    await bot.discord.write(f"{_me(bot)}", (RED,))
    await _result(bot)
    assert len(await _settled(bot)) == len({r.key for r in bot.core.requests}) == 1


async def test_a_mistake_and_a_missing_picture_are_named_in_a_reply(bot: Bot) -> None:
    await bot.discord.write(f"{_me(bot)} creativty=2")
    await bot.discord.until(lambda: len(_said(bot)) == 1)
    await bot.discord.write(f"{_me(bot)} 2x")
    await bot.discord.until(lambda: len(_said(bot)) == 2)
    await bot.discord.write(f"{_me(bot)}", (PDF,))
    await bot.discord.until(lambda: len(_said(bot)) == 3)
    await bot.discord.write(f"{_me(bot)}", (PDF, Upload("clip.mp4", b"\0\0\0\x18ftypmp42")))
    await bot.discord.until(lambda: len(_said(bot)) == 4)
    mistake, missing, document, several = (m.text for m in _said(bot))
    assert "creativty" in mistake
    assert "no image" in missing
    assert "This file is not an image" in document
    assert "report.pdf" in document
    assert "These files are not images that can be read (report.pdf, clip.mp4)" in several
    assert bot.core.requests == []


async def test_what_is_no_picture_is_named_beside_one_that_is(bot: Bot) -> None:
    await bot.discord.write(f"{_me(bot)}", (RED, PDF, Upload("clip.mp4", b"\0\0\0\x18ftypmp42")))
    await _result(bot)
    await bot.discord.until(lambda: any("report.pdf, clip.mp4" in m.text for m in _said(bot)))
    assert [r.source.name for r in bot.core.requests] == ["red.png"]


async def test_a_picture_and_a_link_are_two_sources_and_both_are_offered(bot: Bot) -> None:
    await bot.discord.write(f"{_me(bot)} https://example.org/other.png", (RED,))
    choice = await bot.discord.until(lambda: next((m for m in _said(bot) if m.selects), None))
    assert [o["label"] for o in choice.selects[0]["options"]] == ["1. red.png", "2. other.png"]
    await bot.discord.click(choice, custom_id=choice.selects[0]["custom_id"], values=["1"])
    await bot.discord.until(lambda: bot.core.requests)
    assert bot.core.requests[0].source == Source("link", url="https://example.org/other.png", name="other.png")


async def test_pictures_that_cost_much_together_are_offered_to_their_author_alone(bot: Bot) -> None:
    many = tuple(Upload(f"{n}.png", png(1200, 800)) for n in range(3))
    await bot.discord.write(f"{_me(bot)}", many)
    choice = await bot.discord.until(lambda: next((m for m in _said(bot) if m.selects), None))
    assert choice.labels == ["All 3 for $1.20"]
    stranger = bot.discord.world.add_user("stranger")
    refused = await bot.discord.click(choice, "All 3", user=stranger)
    await refused.answer(lambda m: "Only the person who asked" in m.text)
    assert bot.core.requests == []
    await bot.discord.click(choice, "All 3")
    await bot.discord.until(lambda: len(bot.core.requests) == 3)


async def test_more_than_twenty_five_pictures_are_counted_in_words(bot: Bot) -> None:
    embeds = [{"type": "rich", "image": {"url": f"https://example.org/{n}.png"}} for n in range(30)]
    started = await bot.discord.message_menu("Upscale", bot.discord.post("", embeds=embeds))
    choice = await started.answer(lambda m: m.selects)
    assert len(choice.selects[0]["options"]) == 25
    await bot.discord.until(lambda: any("25 of 30" in m.text for m in started.followups))


async def test_a_user_install_says_how_many_of_a_choice_it_could_start(bot: Bot) -> None:
    message = bot.discord.post("", tuple(Upload(f"{n}.png", png(64, 48)) for n in range(8)))
    started = await bot.discord.message_menu("Upscale", message, install="user")
    choice = await started.answer(lambda m: m.selects)
    assert choice.selects[0]["max_values"] == 5
    assert choice.labels == []


async def test_without_the_right_to_read_history_the_answer_stands_without_a_reference(bot: Bot) -> None:
    bot.discord.channel.bot_permissions = MEMBER_PERMISSIONS & ~READ_MESSAGE_HISTORY
    await bot.discord.write(f"{_me(bot)}", (RED,))
    result = await _result(bot)
    assert bot.discord.world.messages[result.id].reply_to is None


async def test_a_private_result_is_a_direct_message_and_nothing_stands_in_the_channel(bot: Bot) -> None:
    await bot.discord.write(f"{_me(bot)} private", (RED,))
    direct = bot.discord.world.dm_with(bot.discord.user)
    await _result(bot, direct)
    assert await _settled(bot) == []
    assert len(_said(bot, direct)) == 1


async def test_where_no_direct_message_can_be_sent_a_private_request_is_refused_in_words(bot: Bot) -> None:
    bot.discord.user.dms_open = False
    bot.core.script = None
    await bot.discord.write(f"{_me(bot)} private", (RED,))
    await bot.discord.until(lambda: bot.core.jobs)
    job = next(iter(bot.core.jobs.values()))
    assert not await bot.core.reply(job.id).reachable(job)
    await bot.core.fail(job.id, PlaceRefused())
    assert [bool(m.images) for m in _said(bot)] == [False]


@pytest.mark.parametrize("when", ["before it was read", "while it ran"])
async def test_a_request_that_its_owner_deleted_is_answered_to_its_owner_alone(bot: Bot, when: str) -> None:
    bot.core.script = None
    asked = await bot.discord.write(f"{_me(bot)}", (RED,))
    await bot.discord.until(lambda: bot.core.jobs)
    job_id = next(iter(bot.core.jobs))
    if when == "while it ran":
        await bot.core.progress(job_id, Progress("waiting"))
        assert len(_said(bot)) == 1
    asked.deleted = True
    if when == "before it was read":
        with pytest.raises(DeliveryRefused):
            await bot.core.progress(job_id, Progress("waiting"))
    delivery = await bot.core.finish(job_id)
    assert delivery.elsewhere == "direct_message"
    assert _said(bot) == []
    assert (await _result(bot, bot.discord.world.dm_with(bot.discord.user))).images


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 50083), (403, 50001), (403, 50013), (404, 10003), (404, 10004), (400, 160005)],
    ids=["archived", "removed", "locked", "channel deleted", "server deleted", "thread locked"],
)
async def test_where_the_conversation_is_closed_meanwhile_the_owner_gets_the_result_alone(
    bot: Bot, status: int, code: int
) -> None:
    bot.core.script = None
    bot.discord.limits.channel = (1000, 1.0)
    await bot.discord.write(f"{_me(bot)}", (RED,))
    await bot.discord.until(lambda: bot.core.begun)
    job_id = next(iter(bot.core.jobs))
    await bot.core.progress(job_id, Progress("waiting"))
    here = rf"(PATCH|POST) .*/channels/{bot.discord.channel.id}/messages"
    bot.discord.faults.append(Fault(here, "status", times=99, status=status, code=code))
    delivery = await bot.core.finish(job_id)
    assert delivery.elsewhere == "direct_message"
    assert [bool(m.images) for m in _said(bot, bot.discord.world.dm_with(bot.discord.user))] == [True]
    assert not any(m.images for m in _said(bot))
