"""Message menus, the modal of `Upscale with options`, and several pictures at once."""

import asyncio

import pytest

from core.domain.job import Requester
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import Bot
from tests.emulators.discord import Invocation, SeenMessage, Upload
from tests.emulators.discord.world import Channel

RED, GREEN = Upload("red.png", png(100, 50, "red")), Upload("green.png", png(1200, 800, "green"))


async def test_the_menu_runs_with_the_members_defaults_on_the_only_picture(bot: Bot) -> None:
    await bot.core.set_defaults(Requester("discord", str(bot.discord.user.id)), "3x")
    message = bot.discord.post("look", (RED,))
    started = await bot.discord.message_menu("Upscale", message)
    result = await started.answer(lambda m: m.images)

    assert not result.ephemeral
    assert bot.core.requests[0].source.name == "red.png"
    assert next(iter(bot.core.jobs.values())).parameters.factor == 3.0


async def test_a_message_without_pictures_is_answered_privately(bot: Bot) -> None:
    started = await bot.discord.message_menu("Upscale", bot.discord.post("no picture"))
    message = await started.answer()

    assert message.ephemeral
    assert "no image" in message.text


async def test_links_are_taken_where_a_message_shows_no_picture(bot: Bot) -> None:
    linked = bot.discord.post("see <https://example.com/a.png>, or ||https://example.com/b|| and ftp://example.com/c")
    started = await bot.discord.message_menu("Upscale", linked)
    choice = await started.answer()
    await bot.discord.click(choice, "All 2")
    await _shown(bot, 2)
    sources = [(one.source.kind, one.source.url, one.spoiler) for one in bot.core.requests]
    assert sources == [("link", "https://example.com/a.png", False), ("link", "https://example.com/b", True)]


def _results(bot: Bot, channel: Channel | None = None) -> list[SeenMessage]:
    by_bot = {m.id for m in bot.discord.world.messages.values() if m.author.bot}
    return [m for m in bot.discord.messages(channel) if m.images and m.id in by_bot]


async def _shown(bot: Bot, count: int, channel: Channel | None = None) -> None:
    """Wait until so many results stand there and all jobs have ended."""
    await bot.discord.until(lambda: len(_results(bot, channel)) == count)
    await bot.core.settle()


async def test_our_own_results_can_be_upscaled_again_by_menu(bot: Bot) -> None:
    result = await bot.ask("/upscale", {"image": RED}, test=lambda m: m.images)
    again = await bot.discord.message_menu("Upscale", result)
    await again.answer(lambda m: m.images)

    assert bot.core.requests[1].source.kind == "attachment"
    assert "red-2x" in bot.core.requests[1].source.url


async def test_several_pictures_are_offered_with_prices_and_all_of_them_with_the_total(bot: Bot) -> None:
    message = bot.discord.post("", (RED, GREEN))
    started = await bot.discord.message_menu("Upscale", message)
    choice = await started.answer()

    assert choice.ephemeral
    assert [o["description"] for o in choice.selects[0]["options"]] == ["100×50 · $0.10", "1200×800 · $0.40"]
    assert choice.labels == ["Both for $0.50"]
    assert bot.core.requests == []

    await bot.discord.click(choice, "Both")
    await _shown(bot, 2)
    assert [r.confirmed_nanousd for r in bot.core.requests] == [100_000_000, 400_000_000]
    assert all(not m.ephemeral for m in _results(bot))


def _as_release_02_stored_it(bot: Bot, *, user_id: str, prices: list[int]) -> None:
    """Put the open question of several pictures into the form in which release 0.2 stored it."""
    ((_, key), stored), *_ = [each for each in bot.core.state.values.items() if each[0][0] == "discord.batch"]
    del bot.core.state.values["discord.batch", key]
    images = [
        {"id": one["key"].rpartition(":")[2], "name": one["source"]["name"], "url": one["source"]["url"],
         "hosted": True, "width_px": width, "height_px": height, "spoiler": False}
        for one, (width, height) in zip(stored["requests"], stored["sizes_px"], strict=True)
    ]  # fmt: skip
    bot.core.state.values["discord-menu", key] = {
        "images": images, "prices_nanousd": prices, "text": "", "fields": {}, "private": False, "user_id": user_id,
        "total": len(images), "others": [], "unreadable": [],
    }  # fmt: skip


@pytest.mark.parametrize("bound", [True, False])  # private menus were bound to nobody, for only their member saw them
async def test_a_menu_that_an_older_release_offered_still_works(bot: Bot, bound: bool) -> None:
    choice = await (await bot.discord.message_menu("Upscale", bot.discord.post("", (RED, GREEN)))).answer()
    member = str(bot.discord.user.id) if bound else ""
    _as_release_02_stored_it(bot, user_id=member, prices=[100_000_000, 400_000_000])

    await bot.discord.click(choice, "Both")
    await _shown(bot, 2)
    assert [r.confirmed_nanousd for r in bot.core.requests] == [100_000_000, 400_000_000]


async def test_a_form_that_an_older_release_opened_still_works(bot: Bot) -> None:
    opened = await _opened(bot, RED, GREEN)
    _as_release_02_stored_it(bot, user_id=str(bot.discord.user.id), prices=[])
    by_eve = await bot.discord.submit_modal(opened, {"pictures": ["1"]}, user=bot.discord.world.add_user("eve"))
    assert "Only the person" in (await by_eve.answer()).text
    sent = await bot.discord.submit_modal(opened, {"pictures": ["1"], "factor": "3"})
    await sent.answer(lambda m: m.images)
    assert [(r.source.name, r.fields) for r in bot.core.requests] == [("green.png", {"factor": "3"})]


async def test_a_second_press_at_once_starts_nothing_and_says_nothing(bot: Bot) -> None:
    choice = await (await bot.discord.message_menu("Upscale", bot.discord.post("", (RED, GREEN)))).answer()
    presses = await asyncio.gather(*(bot.discord.click(choice, "Both") for _ in range(2)))
    await _shown(bot, 2)
    assert len(bot.core.requests) == 2
    assert not [m for press in presses for m in press.followups if not m.images]


async def test_one_of_several_pictures_can_be_chosen(bot: Bot) -> None:
    message = bot.discord.post("", (RED, GREEN))
    choice = await (await bot.discord.message_menu("Upscale", message)).answer()
    await bot.discord.click(choice, custom_id=choice.selects[0]["custom_id"], values=["1"])
    await bot.discord.until(lambda: _results(bot))
    await bot.core.settle()

    assert [r.source.name for r in bot.core.requests] == ["green.png"]
    assert f"For <@{bot.discord.user.id}>" in _results(bot)[0].text


async def _opened(bot: Bot, *pictures: Upload) -> Invocation:
    """The modal, once its selection is stored."""
    opened = await bot.discord.message_menu("Upscale with options", bot.discord.post("", pictures))
    await opened.acknowledged()
    await bot.discord.until(lambda: any(area == "discord.batch" for area, _ in bot.core.state.values))
    return opened


async def test_the_form_of_upscale_with_options_reaches_the_parser(bot: Bot) -> None:
    opened = await _opened(bot, RED)
    sent = await bot.discord.submit_modal(
        opened,
        {"preset": "creative", "factor": "2,5", "more": "steps=30 seed=7", "private": True},
    )
    result = await sent.answer(lambda m: m.images)

    assert result.ephemeral
    parameters = next(iter(bot.core.jobs.values())).parameters
    assert (parameters.factor, parameters.creativity, parameters.steps, parameters.seed) == (2.5, 0.6, 30, 7)


async def test_a_form_that_comes_a_second_time_is_told_as_answered_and_not_as_a_price(bot: Bot) -> None:
    opened = await _opened(bot, RED)
    first = await bot.discord.submit_modal(opened, {"factor": "3"})
    await first.answer(lambda m: m.images)
    await bot.core.settle()
    again = await bot.discord.submit_modal(opened, {"factor": "3"})
    assert "answered already" in (await again.answer()).text
    assert len(bot.core.jobs) == 1


async def test_a_form_can_be_sent_only_by_whom_it_was_opened_for(bot: Bot) -> None:
    eve = bot.discord.world.add_user("eve")
    opened = await _opened(bot, RED)
    sent = await bot.discord.submit_modal(opened, {"factor": "3"}, user=eve)
    assert "Only the person" in (await sent.answer()).text
    assert bot.core.jobs == {}


async def test_mistakes_in_the_form_are_all_named_and_start_nothing(bot: Bot) -> None:
    opened = await _opened(bot, RED)
    sent = await bot.discord.submit_modal(opened, {"factor": "9", "more": "stepps=30 guidance=7"})
    message = await sent.answer()

    assert message.ephemeral
    for word in ("factor", "stepps", "steps", "guidance", "1–4"):
        assert word in message.text
    assert bot.core.jobs == {}


async def test_the_form_offers_the_pictures_when_there_are_several(bot: Bot) -> None:
    opened = await _opened(bot, RED, GREEN)
    sent = await bot.discord.submit_modal(opened, {"pictures": ["0", "1"]})
    await sent.answer(lambda m: m.images)
    await _shown(bot, 2)

    assert [r.source.name for r in bot.core.requests] == ["red.png", "green.png"]


BIG = [Upload(f"big{n}.png", png(1200, 800, "green")) for n in range(3)]


def _batch(*pictures: Upload) -> dict[str, Upload]:
    return {f"image{n or ''}": one for n, one in zip((0, 2, 3, 4), pictures, strict=False)}


async def test_a_cheap_batch_starts_at_once_and_tells_the_total_privately(bot: Bot) -> None:
    result = await bot.ask("/upscale", _batch(RED, GREEN), test=lambda m: m.images)
    await _shown(bot, 2)

    def sent_messages() -> list[SeenMessage]:
        return [m for m in bot.discord.messages() if "Total: $0.50" in m.text]

    await bot.discord.until(sent_messages)
    assert [m.ephemeral for m in sent_messages()] == [True]
    assert [len(m.images) for m in _results(bot)] == [1, 1]
    assert result.id == _results(bot)[0].id


async def test_a_dear_batch_is_asked_for_once_with_the_total_on_the_button(bot: Bot) -> None:
    choice = await bot.ask("/upscale", {**_batch(*BIG), "seed": 7})
    assert choice.labels == ["All 3 for $1.20"]
    assert bot.core.requests == []
    assert choice.ephemeral

    await bot.discord.click(choice, "All 3")
    await _shown(bot, 3)
    assert [r.confirmed_nanousd for r in bot.core.requests] == [400_000_000] * 3
    assert [r.fields for r in bot.core.requests] == [{"seed": 7}] * 3


async def test_a_batch_is_asked_for_when_a_price_is_not_known_beforehand(bot: Bot) -> None:
    choice = await bot.ask("/upscale", {"image": RED, "url": "https://example.org/other.png"})
    assert bot.core.requests == []
    assert len(choice.selects[0]["options"]) == 2
    assert [label for label in choice.labels if "at least" in label]


async def test_a_dear_private_batch_stays_private(bot: Bot) -> None:
    choice = await bot.ask("/upscale", {**_batch(*BIG), "private": True})
    assert choice.ephemeral
    await bot.discord.click(choice, "All 3")
    await _shown(bot, 3)

    assert all(m.ephemeral for m in _results(bot))


async def test_a_user_install_never_needs_a_sixth_follow_up(bot: Bot) -> None:
    files = tuple(Upload(f"{n}.png", png(100 + n, 50)) for n in range(8))
    guild = bot.discord.world.add_guild("Elsewhere", bot_inside=False)
    channel = bot.discord.world.add_channel(guild)
    message = bot.discord.post("", files, channel=channel)
    choice = await (await bot.discord.message_menu("Upscale", message, install="user")).answer()

    assert choice.selects[0]["max_values"] == 5
    assert choice.labels == []
    await bot.discord.click(choice, custom_id=choice.selects[0]["custom_id"], values=["0", "1", "2", "3", "4"])
    await _shown(bot, 5, channel)
    assert [r for r in bot.discord.requests if r.code == 40094] == []


async def test_the_form_offers_presets_of_ones_own_and_takes_them_as_typed(bot: Bot) -> None:
    await bot.ask("/settings save", {"name": "logo", "factor": 4.0})
    await bot.ask("/settings set", {"factor": 1.5, "preset": "creative"})
    modal = str((await _opened(bot, RED)).modal)
    assert "'placeholder': '1.5'" in modal  # what counts where a field is left empty
    assert "'placeholder': 'creative: invents more detail'" in modal
    for filled in ({"preset": "logo"}, {"more": "logo steps=9"}):
        opened = await _opened(bot, RED)
        assert "logo: factor=4" in str(opened.modal)
        await (await bot.discord.submit_modal(opened, filled)).answer(lambda m: m.images)
    assert [job.parameters.factor for job in bot.core.jobs.values()] == [4.0, 4.0]
