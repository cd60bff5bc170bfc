"""One message per job: acknowledgement, progress, result, buttons."""

import pytest

from core.domain.errors import OutputTooLarge
from core.domain.job import JobState, Progress
from tests.adapters.discord.fake_service import CAPTION, png
from tests.adapters.discord.kit import PICTURE, Bot, delete
from tests.emulators.discord import ClientRefused, Upload


async def test_upscale_ends_with_the_picture_in_the_same_message(bot: Bot) -> None:
    started = await bot.discord.invoke("/upscale", {"image": PICTURE, "factor": 3.0, "creativity": 0.5})

    await started.acknowledged()
    message = await started.answer(lambda m: m.images)
    await bot.core.settle()

    assert len(bot.discord.messages()) == 1
    assert message.images[0].alt == CAPTION
    assert message.images[0].previewable
    assert "1200×800 → 3600×2400" in message.text
    assert "creativity 0.5" in message.text
    assert "Charged $0.90" in message.text
    assert "left today" not in message.text, "others read this message"
    assert bot.core.requests[0].fields == {"factor": 3.0, "creativity": 0.5}
    assert bot.core.requests[0].key == f"discord:{started.interaction.id}"


async def test_the_result_carries_all_the_buttons(bot: Bot) -> None:
    message = await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)

    assert message.labels == [
        "Again $0.40",
        "More creative $0.40",
        "2× more $1.60",
        "Compare",
        "Details",
        "Delete",
    ]


async def test_progress_shows_position_percent_and_a_finish_time_that_counts_down(bot: Bot) -> None:
    started, job_id = await bot.waiting()

    await bot.core.progress(job_id, Progress("waiting", position=3))
    waiting = await started.answer()
    await bot.core.progress(job_id, Progress("upscaling", percent=40, eta_at=1_900_000_000))
    working = await started.answer(lambda m: "40" in m.text)

    assert "3 requests ahead" in waiting.text
    assert "▰▰▰▰▰▰▱▱▱▱▱▱▱▱" in working.text
    assert "<t:1900000000:R>" in working.text
    assert "$0.40" in working.text
    assert working.labels == ["Cancel"]


async def test_a_caption_can_neither_ping_nor_format(bot: Bot) -> None:
    message = await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)

    assert message.pinged == frozenset()
    assert "@everyone" not in message.text
    assert r"\*\*nets\*\*" in message.text
    assert all(r.json.get("allowed_mentions") == {"parse": []} for r in bot.discord.requests if _writes(r))


def _writes(record: object) -> bool:
    json = getattr(record, "json", None)
    return isinstance(json, dict) and "components" in json


async def test_private_answers_are_seen_by_nobody_else(bot: Bot) -> None:
    other = bot.discord.world.add_user("mallory")
    message = await bot.ask("/upscale", {"image": PICTURE, "private": True}, test=lambda m: m.images)

    assert message.ephemeral
    assert bot.core.requests[0].private
    assert bot.discord.messages(user=other) == []


async def test_a_spoiler_stays_a_spoiler(bot: Bot) -> None:
    message = await bot.ask(
        "/upscale", {"image": Upload("SPOILER_x.png", png(), spoiler=True)}, test=lambda m: m.images
    )

    assert message.images[0].spoiler


async def test_a_price_above_the_threshold_is_asked_on_a_button_that_only_the_requester_can_press(bot: Bot) -> None:
    core = bot.core
    other = bot.discord.world.add_user("mallory")
    started, job_id = await bot.waiting({"factor": 4.0})
    core.size_px = (2400, 1600)
    await core.ask(job_id)
    question = await started.answer()

    assert "2400×1600 → 9600×6400 · 62 MP · $6.20" in question.text
    assert question.labels == ["Start for $6.20", "Cancel"]
    wrong = await bot.discord.click(question, "Start", user=other)
    refusal = await wrong.answer(lambda m: "Only the person who asked" in m.text)
    assert refusal.ephemeral
    assert core.jobs[job_id].state is JobState.AWAITING_CONFIRMATION

    core.script = type(core).run_to_end
    await bot.discord.click(question, "Start")
    message = await started.answer(lambda m: m.images)
    assert message.id == question.id


async def test_cancel_before_the_model_starts_says_what_it_cost(bot: Bot) -> None:
    started, job_id = await bot.waiting()
    await bot.core.ask(job_id)
    question = await started.answer()

    await bot.discord.click(question, "Cancel")
    message = await started.answer(lambda m: "Cancelled" in m.text)

    assert "Not charged." in message.text


async def test_cancel_while_the_model_works_warns_about_the_bill(bot: Bot) -> None:
    started, job_id = await bot.waiting()
    await bot.core.progress(job_id, Progress("upscaling", percent=10))

    clicked = await bot.discord.click(await started.answer(), "Cancel")
    warning = await bot.discord.until(lambda: next(iter(clicked.followups), None))

    assert "may still be billed" in warning.text
    assert warning.ephemeral


async def test_a_refusal_offers_the_largest_factor_that_fits_as_a_button(bot: Bot) -> None:
    core = bot.core
    started, job_id = await bot.waiting({"factor": 4.0})
    await core.fail(
        job_id,
        OutputTooLarge(width_px=16000, height_px=12000, limit_px=100_000_000, limit_side_px=14142, largest_factor=2.88),
    )
    refusal = await started.answer()
    assert "16000×12000" in refusal.text
    assert refusal.labels == ["Upscale 2.88× instead"]

    core.script = type(core).run_to_end
    again = await bot.discord.click(refusal, "2.88")
    message = await again.answer(lambda m: m.images)
    assert core.requests[-1].fields["factor"] == 2.88
    assert message.id != refusal.id


@pytest.mark.parametrize(("label", "kind"), [("Again", "again"), ("More creative", "more"), ("2× more", "twice")])
async def test_buttons_under_a_result_start_a_new_job_with_a_message_of_its_own(
    bot: Bot, label: str, kind: str
) -> None:
    first = await bot.ask("/upscale", {"image": PICTURE, "factor": 2.0, "seed": 7}, test=lambda m: m.images)

    clicked = await bot.discord.click(first, label)
    second = await clicked.answer(lambda m: m.images)

    assert second.id != first.id
    asked = bot.core.requests[-1]
    assert asked.parent_id == next(iter(bot.core.jobs))
    assert asked.source.kind == ("job_result" if kind == "twice" else "job_input")
    assert ("seed" in asked.fields) == (kind != "again")


async def test_compare_and_details_are_answered_privately(bot: Bot) -> None:
    message = await bot.ask("/upscale", {"image": PICTURE, "seed": 99}, test=lambda m: m.images)

    compared = await (await bot.discord.click(message, "Compare")).answer(lambda m: m.images)
    details = await (await bot.discord.click(message, "Details")).answer()

    assert compared.ephemeral
    assert details.ephemeral
    assert "`upscale_factor` 2" in details.text
    assert "/upscale model:flux factor:2 creativity:0.3 guidance:1 steps:20 seed:99" in details.text


async def test_delete_is_for_the_requester_and_moderators(bot: Bot) -> None:
    other = bot.discord.world.add_user("mallory")
    message = await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)
    await bot.core.settle()

    refused = await bot.discord.click(message, "Delete", user=other)
    assert "Only the person who asked" in (await refused.answer()).text
    assert len(bot.discord.messages(user=bot.discord.world.owner)) == 1

    asked = await bot.discord.click(message, "Delete")
    question = await bot.discord.until(lambda: next(iter(asked.followups), None))
    assert "deleted for good" in question.text
    assert not next(iter(bot.core.jobs.values())).images_deleted
    await bot.discord.click(question, "Delete")
    await bot.discord.until(lambda: not [m for m in bot.discord.messages() if m.id == message.id])
    assert next(iter(bot.core.jobs.values())).images_deleted


async def test_a_moderator_may_delete_what_another_member_made(bot: Bot) -> None:
    moderator = bot.discord.world.add_user("mod")
    bot.discord.guild.permissions[moderator.id] = (1 << 10) | (1 << 5)
    message = await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)

    await delete(bot.discord, message, user=moderator)
    await bot.discord.until(lambda: not [m for m in bot.discord.messages() if m.id == message.id])


async def test_share_is_offered_where_there_is_an_address_and_gives_it_to_the_requester_alone(bot: Bot) -> None:
    bot.core.can_share = True
    message = await bot.ask("/upscale", {"image": PICTURE}, test=lambda m: m.images)
    await bot.core.settle()
    told = await (await bot.discord.click(message, "Share")).answer()
    assert told.ephemeral
    assert "https://bot.example/s/" in told.text
    stranger = bot.discord.world.add_user("mallory")
    refused = await (await bot.discord.click(message, "Share", user=stranger)).answer()
    assert "Only the person who asked" in refused.text


async def test_a_batch_gives_every_picture_its_own_message_and_key(bot: Bot) -> None:
    pictures = {name: Upload(f"{name}.png", png(colour=c)) for name, c in _BATCH.items()}
    started = await bot.discord.invoke("/upscale", {**pictures, "factor": 2.0})
    await started.acknowledged()
    await bot.discord.until(lambda: len([m for m in bot.discord.messages() if m.images]) == 4)
    await bot.core.settle()

    assert len([m for m in bot.discord.messages() if not m.ephemeral]) == 4
    assert len({r.key for r in bot.core.requests}) == 4


_BATCH = {"image": "red", "image2": "green", "image3": "blue", "image4": "white"}


async def test_nothing_given_is_answered_privately_and_starts_nothing(bot: Bot) -> None:
    message = await bot.ask("/upscale", {})

    assert message.ephemeral
    assert "no image" in message.text
    assert bot.core.requests == []


async def test_the_client_itself_checks_the_declared_ranges(bot: Bot) -> None:
    for name, value in (("factor", 10.5), ("creativity", 1.1), ("guidance", 0.5), ("steps", 51), ("seed", 2**32)):
        with pytest.raises(ClientRefused):
            await bot.discord.invoke("/upscale", {"image": PICTURE, name: value})


async def test_a_link_is_handed_on_as_a_link_and_a_file_as_an_attachment(bot: Bot) -> None:
    bot.core.script = None
    await bot.discord.invoke("/upscale", {"url": "https://example.org/a.png"})
    await bot.discord.invoke("/upscale", {"image": PICTURE})
    await bot.discord.until(lambda: len(bot.core.requests) == 2)

    assert bot.core.requests[0].source.kind == "link"
    source = bot.core.requests[1].source
    assert source.kind == "attachment"
    download = await bot.adapter.download(source)
    assert download.url.startswith(bot.discord.base)
    assert download.headers == {}


@pytest.mark.parametrize("threads", [False, True], ids=["channels", "threads below them"])
async def test_safety_off_is_told_apart_by_the_place(bot: Bot, threads: bool) -> None:
    bot.core.allow_unsafe = True
    world = bot.discord.world
    adult, plain = world.add_channel(bot.discord.guild, nsfw=True, name="adult"), world.add_channel(bot.discord.guild)
    restricted = adult
    if threads:
        adult, plain = world.add_thread(adult), world.add_thread(plain)
    asked = {"image": PICTURE, "safety": False}
    assert "age-restricted" in (await bot.ask("/upscale", asked, channel=plain)).text
    result = await bot.ask("/upscale", asked, lambda m: m.images, channel=adult)
    assert "safety off" in result.text
    again = await bot.discord.click(result, "Again")
    assert "safety off" in (await again.answer(lambda m: m.images)).text
    restricted.nsfw = False
    again = await bot.discord.click(result, "Again")
    assert "age-restricted" in (await again.answer()).text
