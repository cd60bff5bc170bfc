"""Whatever Discord responds at any stage, the job's final message is true and states the charge."""

import asyncio
import json
from functools import partial

import pytest

from core.domain.errors import DeliveryUnavailable, TooLate
from core.domain.job import Job, Progress
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import PICTURE, Bot, delete
from tests.emulators.discord import Fault, Upload
from tests.fakes.core import DatabaseAway
from tests.fakes.state import CutStates

OTHER = Upload("red.png", png(colour="red"))
EDIT = r"PATCH .*/webhooks/"


async def test_a_place_that_refuses_while_direct_messages_go_is_reachable(bot: Bot) -> None:
    _, job_id = await bot.upscaling()
    bot.discord.faults.append(Fault(EDIT, "status", times=9, status=400, code=200000))
    here = rf"(PATCH|POST) .*/channels/{bot.discord.channel.id}/messages"
    bot.discord.faults.append(Fault(here, "status", times=9, status=403, code=50013))
    assert await bot.core.reply(job_id).reachable(bot.core.jobs[job_id]) is True
    assert len(bot.discord.dms()) == 1


@pytest.mark.parametrize(
    ("way", "refused"),
    [("answer", ""), ("follow-up", ""), ("reply", ""), ("channel", "PATCH"), ("direct message", "(PATCH|POST)")],
)
async def test_the_notes_name_every_message_but_the_answer_itself_and_each_can_be_removed(
    bot: Bot, way: str, refused: str
) -> None:
    if way == "follow-up":
        await bot.discord.invoke("/upscale", {"image": PICTURE, "image2": OTHER, "private": True})
        await bot.discord.until(lambda: len(bot.discord.messages()) == 2)
    elif way == "reply":
        await bot.discord.write(f"<@{bot.discord.world.bot.id}>", (PICTURE,))
        await bot.discord.until(lambda: bot.core.jobs)
    else:
        await bot.upscaling()
    await bot.core.settle()
    (answer, *_), job_id = bot.discord.messages(), list(bot.core.jobs)[-1]
    if refused:
        bot.discord.faults.append(Fault(EDIT, "status", times=9, status=400, code=200000))
        here = rf"{refused} .*/channels/{bot.discord.channel.id}/messages"
        bot.discord.faults.append(Fault(here, "status", times=9, status=403, code=50013))
        await bot.core.finish(job_id)
        bot.discord.faults.clear()
    ours = {m.id for m in (*bot.discord.messages(), *bot.discord.dms()) if m.labels} - {answer.id}
    named = [
        one for job in bot.core.jobs.values() for one in bot.adapter.posted_messages(job.reply, bot.core.memos[job.id])
    ]
    assert {one["message_id"] for one in named} == ours
    assert len(ours) == (way != "answer")
    for message in named:
        await bot.adapter.remove_message(json.loads(json.dumps(message)))
    assert not ours & {m.id for m in (*bot.discord.messages(), *bot.discord.dms())}


async def test_the_pause_that_a_429_asks_for_is_kept_by_the_final_edit_too(bot: Bot) -> None:
    _, job_id = await bot.upscaling()
    bot.discord.faults.append(Fault(EDIT, "ratelimit", seconds=40.0))
    editing = asyncio.create_task(bot.core.progress(job_id, Progress("upscaling", percent=50)))
    await bot.discord.until(lambda: bot.adapter._rest.rate_limits._blocked_until)
    editing.cancel()
    edits = len(bot.discord.requests)
    with pytest.raises(DeliveryUnavailable) as away:
        await bot.core.finish(job_id)

    assert away.value.retry_after_s is not None
    assert 30 < away.value.retry_after_s <= 40
    assert len(bot.discord.requests) == edits
    bot.core.shifted.offset_s += 41
    await bot.core.finish(job_id)


@pytest.mark.parametrize("fault", [Fault(EDIT, "html", 9, 200), Fault(EDIT, "html", 2, 200)], ids=["for good", "twice"])
async def test_a_page_in_place_of_an_answer_is_no_fault_of_ours(bot: Bot, fault: Fault) -> None:
    started, job_id = await bot.upscaling()
    bot.discord.faults.append(fault)
    if fault.times > 4:
        with pytest.raises(DeliveryUnavailable):
            await bot.core.finish(job_id)
    bot.discord.faults.clear()
    await bot.core.finish(job_id)
    assert (await started.answer(lambda m: m.images)).labels[-1] == "Delete"
    assert bot.core.caught == []


async def away(*_: object, **__: object) -> Job:
    raise DatabaseAway


async def test_where_nothing_was_to_be_started_an_absent_database_is_said_without_it(bot: Bot) -> None:
    await bot.ask("/settings set", {"factor": 3.0})
    bot.core.settings = bot.core.job = away  # type: ignore[assignment, method-assign]
    told = await bot.ask("/settings show")
    assert "The bot cannot be reached right now." in told.text
    result = await bot.ask("/upscale", {"image": PICTURE}, lambda m: m.images)
    pressed = await (await bot.discord.click(result, label="Details")).answer()
    for message in (told, pressed):
        assert "cannot be reached" in message.text
        assert "started" not in message.text


async def test_a_database_that_is_away_is_said(bot: Bot) -> None:
    bot.core.request = away  # type: ignore[method-assign]
    started = await bot.discord.invoke("/upscale", {"image": PICTURE})
    message = await started.answer(lambda m: "right now" in m.text)
    assert "nothing was started" in message.text
    assert bot.core.caught == []


async def test_delete_takes_the_comparison_and_every_other_message_of_the_job_along(bot: Bot) -> None:
    started, job_id = await bot.upscaling()
    bot.discord.faults.append(Fault("PATCH ", "status", times=9, status=400, code=200000, brings="files"))
    await bot.core.finish(job_id)
    bot.discord.faults.clear()
    [result] = [m for m in bot.discord.messages() if m.images]
    assert started.message is not None
    await (await bot.discord.click(result, "Compare")).answer(lambda m: m.images)
    await (await bot.discord.click(result, "Details")).answer()
    said = await (await delete(bot.discord, result)).answer(lambda m: "have been deleted" in m.text)
    assert [m.id for m in bot.discord.messages()] == [said.id]


async def test_delete_works_from_the_moment_that_the_result_is_seen(bot: Bot) -> None:
    started, job_id = await bot.upscaling()
    finishing = asyncio.create_task(bot.core.finish(job_id))
    result = await started.answer(lambda m: m.images)
    pressed = await delete(bot.discord, result)
    await finishing
    await pressed.answer(lambda m: "have been deleted" in m.text)
    assert started.message is None


async def test_a_cancel_while_the_picture_is_delivered_is_answered_truthfully(bot: Bot) -> None:
    started, _ = await bot.upscaling()
    message = await started.answer()

    async def too_late(*_: object, **__: object) -> Job:
        raise TooLate(state="delivering")

    bot.core.cancel = too_late  # type: ignore[method-assign]
    said = await (await bot.discord.click(message, "Cancel")).answer()
    assert said.ephemeral
    assert "the image is made and on its way" in said.text


async def test_a_message_posted_in_the_moment_in_which_the_database_is_cut_is_the_one_that_ends(bot: Bot) -> None:
    states = bot.core.states = CutStates(lambda values: any(noted["message_id"] for noted in values.values()))
    bot.core.script = None
    await bot.discord.write(f"<@{bot.discord.world.bot.id}> 2x", (PICTURE,))
    job_id = await bot.discord.until(lambda: next(iter(bot.core.jobs), None))
    await bot.core.progress(job_id, Progress("upscaling", percent=10))
    assert states.cut
    await states.back()
    await bot.core.finish(job_id)
    (message,) = [m for m in bot.discord.messages() if bot.discord.world.messages[m.id].author.bot]
    assert message.images
    assert "Cancel" not in message.labels


@pytest.mark.parametrize("lost", ["its first words", "the picture"])
async def test_a_follow_up_whose_answer_was_lost_is_found_and_not_sent_twice(bot: Bot, lost: str) -> None:
    bot.core.script = None
    started = await bot.discord.invoke("/upscale", {"image": PICTURE, "image2": OTHER})
    first, second = await bot.discord.until(lambda: list(bot.core.jobs)[1:] and list(bot.core.jobs))
    await bot.core.progress(first, Progress("upscaling", percent=10))
    await bot.discord.until(lambda: started.followups)  # that two images were taken, for the member alone
    bot.discord.faults.append(Fault(r"POST .*/webhooks/", "reset_after", times=1))
    show = bot.core.finish if lost == "the picture" else partial(bot.core.progress, now=Progress("waiting"))
    with pytest.raises(DeliveryUnavailable):
        await show(second)
    await bot.core.finish(second)  # by whoever carries it on: of the first try nothing but the intent is noted
    shown = [m for m in bot.discord.messages() if not m.ephemeral]
    assert [(len(m.images), "Cancel" in m.labels) for m in shown] == [(0, True), (1, False)]
