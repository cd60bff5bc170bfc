"""An edit that Discord applies after the job's final edit: the final edit is repeated, in the same message."""

import asyncio
from pathlib import Path

import pytest

from core.domain.errors import DeliveryRefused, DeliveryUnavailable, PlaceRefused
from core.domain.job import Delivery, Progress
from core.ports import EditableForLimitedTime, RepeatsFinalEdit
from core.presentation.texts.delivery_texts import undelivered_notice
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import Bot
from tests.adapters.discord.whole import whole_bot
from tests.emulators.discord import Fault, SeenMessage, Upload
from tests.emulators.fal import Respond


@pytest.mark.parametrize("ends", ["with a picture", "in a failure"])
async def test_a_progress_edit_that_lands_after_the_end_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    async with whole_bot(tmp_path, monkeypatch) as whole:
        if ends == "in a failure":
            whole.fal.faults.add("submit", Respond(422, text="no"), times=9)
        let_go = asyncio.Event()
        whole.discord.faults.append(Fault(r"PATCH .*/webhooks/", "delay", until=let_go))
        started = await whole.discord.invoke("/upscale", {"image": Upload("a.png", png(64, 48))})

        def ended(message: SeenMessage) -> bool:
            return bool(message.images) if ends == "with a picture" else "Cancel" not in message.labels

        await started.answer(lambda message: message.text and not message.loading and ended(message), 20)
        let_go.set()
        late = await started.answer(lambda message: "Cancel" in message.labels, 20)
        await whole.discord.until(lambda: not whole.app.pipeline.jobs_here, 20)
        whole.clock.offset_s += 60
        message = await started.answer(ended, 20)
        assert [one.id for one in whole.discord.messages()] == [message.id] == [late.id]
        await whole.settled()


async def test_what_is_said_once_more_is_posted_nowhere(bot: Bot) -> None:
    started, job_id = await bot.upscaling()
    await bot.core.finish(job_id)
    message = await started.answer(lambda message: message.images)
    reply = bot.core.reply(job_id)
    assert isinstance(reply, RepeatsFinalEdit)
    await reply.final_edit_only().finished(bot.core.jobs[job_id], ())
    assert [one.id for one in bot.discord.messages()] == [message.id]
    started.interaction.original.deleted = True  # type: ignore[union-attr]
    with pytest.raises(DeliveryRefused):
        await reply.final_edit_only().finished(bot.core.jobs[job_id], ())
    assert (bot.discord.messages(), bot.discord.dms()) == ([], [])


async def test_a_message_that_only_its_token_can_edit_ends_in_words_before_the_token_does(bot: Bot) -> None:
    started, job_id = await bot.upscaling({"private": True})
    reply, job = bot.core.reply(job_id), bot.core.jobs[job_id]
    assert isinstance(reply, EditableForLimitedTime)
    last = await reply.last_edit_at(job)
    assert last is not None
    away_s = last - bot.core.clock.now() + 1
    assert 800 < away_s < 890
    bot.core.shifted.offset_s += away_s
    bot.discord.clock.advance(away_s)
    await bot.core.progress(job_id, Progress("upscaling", percent=50))
    message = await started.answer(lambda message: "can't be updated any longer" in message.text)
    assert message.labels == []
    _, public_id = await bot.upscaling()
    public = bot.core.reply(public_id)
    assert isinstance(public, EditableForLimitedTime)
    assert await public.last_edit_at(bot.core.jobs[public_id]) is None


async def test_a_message_in_an_archived_thread_is_closed_when_the_thread_is_opened_again(bot: Bot) -> None:
    _, job_id = await bot.upscaling()
    [shown] = bot.discord.messages()
    bot.core.shifted.offset_s += 1000
    here = rf"(PATCH|POST|DELETE) .*/channels/{bot.discord.channel.id}/messages"
    bot.discord.faults.append(Fault(here, "status", times=99, status=400, code=50083))
    await bot.core.finish(job_id)
    assert [type(error) for error in bot.core.unsaid] == [DeliveryUnavailable]
    job = bot.core.jobs[job_id]
    assert job.delivery == Delivery("original", "direct_message")
    with pytest.raises(DeliveryUnavailable):
        await bot.core.reply(job_id).closed(job, undelivered_notice(job))
    with pytest.raises(DeliveryUnavailable):
        await bot.adapter.remove_message({"channel_id": bot.discord.channel.id, "message_id": shown.id})

    bot.discord.faults.clear()
    await bot.core.reply(job_id).closed(job, undelivered_notice(job))
    [closed] = bot.discord.messages()
    assert (closed.id, "Cancel" in closed.labels) == (shown.id, False)
    assert "sent to you as a direct message" in closed.text


async def test_a_failure_is_told_directly_and_closes_the_message_once_its_archived_thread_is_open(bot: Bot) -> None:
    _, job_id = await bot.upscaling()
    [shown] = bot.discord.messages()
    bot.core.shifted.offset_s += 1000
    here = rf"(PATCH|POST|DELETE) .*/channels/{bot.discord.channel.id}/messages"
    bot.discord.faults.append(Fault(here, "status", times=99, status=400, code=50083))
    for _ in range(2):
        with pytest.raises(DeliveryUnavailable):  # the core tries again later
            await bot.core.fail(job_id, PlaceRefused())
    [told] = bot.discord.dms()
    assert "Cancel" not in told.labels

    bot.discord.faults.clear()
    await bot.core.fail(job_id, PlaceRefused())
    [closed] = bot.discord.messages()
    assert (closed.id, "Cancel" in closed.labels) == (shown.id, False)
    assert [one.id for one in bot.discord.dms()] == [told.id]


async def test_the_first_message_does_not_say_of_itself_that_it_could_not_be_changed(bot: Bot) -> None:
    _, job_id = await bot.upscaling()
    [first] = bot.discord.messages()
    bot.discord.faults.append(Fault("PATCH ", "status", times=99, status=400, code=200000, brings="files"))
    delivery = await bot.core.finish(job_id)
    assert delivery.elsewhere == "new_message"
    said = {m.id: m.text for m in bot.discord.messages()}
    assert "It has been posted as a new message." in said.pop(first.id)
    assert ["could no longer be changed" in text for text in said.values()] == [True]
