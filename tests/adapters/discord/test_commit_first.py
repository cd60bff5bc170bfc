"""No acknowledged request is lost, because its row is written first: the process dies at every step of a request."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.discord.inbound import interaction_response
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.outbound import api_client
from core.domain.errors import DeliveryRefused
from core.domain.job import Job, JobState, Progress, ReplyAddress, UpscaleRequest
from tests.adapters.discord.fake_service import FakeCore, png
from tests.adapters.discord.kit import Bot, make, serving
from tests.adapters.discord.whole import whole_bot
from tests.emulators.discord import DiscordEmulator, Fault, Upload
from tests.emulators.discord.faults import Action
from tests.emulators.discord.interactions import Invocation

RED, GREEN = Upload("red.png", png(100, 50, "red")), Upload("green.png", png(120, 80, "green"))
Act = Callable[[DiscordEmulator], Awaitable[Invocation]]


class Died(BaseException):
    """The process dies: no error handler runs."""


class Fuse:
    """Kills the process at one of the reported moments."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Died


class MortalCore(FakeCore):
    """Writes rows that survive; the process may die before and after each."""

    def __init__(self, directory: Path, fuse: Fuse) -> None:
        super().__init__(directory)
        self.fuse = fuse
        self.script = MortalCore.carry_on

    async def carry_on(self, job: Job) -> None:
        """As the core: a permanent refusal before anything was paid ends the job uncharged."""
        try:
            await self.progress(job.id, Progress("waiting"))
        except DeliveryRefused:
            if not await self.reply(job.id).reachable(job):
                self.set(job.id, state=JobState.REFUSED)
                return
        await self.finish(job.id)

    async def die(self) -> None:
        """Stop this process's tasks; the next process resumes the unfinished jobs."""
        await self.crash()
        self.begun = {job_id for job_id, job in self.jobs.items() if job.state.terminal}

    async def request(self, request: UpscaleRequest, *, start: bool = True) -> Job:
        self.fuse.burn()
        job = await super().request(request, start=start)
        self.fuse.burn()
        return job

    async def begin(self, job_id: str, reply: ReplyAddress) -> None:
        self.fuse.burn()
        await super().begin(job_id, reply)
        self.fuse.burn()


async def _slash(discord: DiscordEmulator) -> Invocation:
    return await discord.invoke("/upscale", {"image": RED})


async def _batch(discord: DiscordEmulator) -> Invocation:
    return await discord.invoke("/upscale", {"image": RED, "image2": GREEN})


async def _menu(discord: DiscordEmulator) -> Invocation:
    return await discord.message_menu("Upscale", discord.post("", (RED,)))


async def _again(discord: DiscordEmulator) -> Invocation:
    shown = next(m for m in discord.messages() if any("Again" in label for label in m.labels))
    return await discord.click(shown, "Again")


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Fuse:
    fuse = Fuse()
    acknowledge = Answer._acknowledge_with_retry

    async def mortal(self: Answer, send: Any) -> Any:
        fuse.burn()
        result = await acknowledge(self, send)
        fuse.burn()
        return result

    monkeypatch.setattr(Answer, "_acknowledge_with_retry", mortal)
    return fuse


async def _run(directory: Path, fuse: Fuse, act: Act, moments: int) -> tuple[bool, bool]:
    """Die after so many moments and restart; return whether it died, and whether acknowledged requests got pictures."""
    async with DiscordEmulator() as discord:
        directory.mkdir()
        core = MortalCore(directory, fuse)
        core.state.identify_ttl_s = discord.gateway.identify_spacing_s = 0.0
        async with serving(make(discord, core)):
            if act is _again:
                await (await _slash(discord)).answer(lambda m: m.images)
            known = set(core.jobs)
            fuse.left = moments
            asked = await act(discord)
            await discord.until(lambda: fuse.left is None or fuse.left < 0 or _over(core, known))
            await asyncio.sleep(0.02)
            await core.die()
        died, fuse.left = (fuse.left or 0) < 0, None
        async with serving(make(discord, core)):
            with suppress(DeliveryRefused):
                await core.pick_up()
                await core.settle()
            fresh = [core.jobs[job_id] for job_id in set(core.jobs) - known]
            if asked.interaction.acked_s is None:
                assert [job.state for job in fresh if job.state is not JobState.REFUSED] == []
                return died, True
            await asked.answer(lambda m: m.images)
            return died, bool(fresh) and all(job.state is JobState.SUCCEEDED for job in fresh)


def _over(core: FakeCore, known: set[str]) -> bool:
    fresh = set(core.jobs) - known
    return bool(fresh) and all(core.jobs[job_id].state.terminal for job_id in fresh)


@pytest.mark.parametrize("act", [_slash, _batch, _menu, _again])
async def test_no_acknowledged_request_is_lost_wherever_the_process_dies(tmp_path: Path, fuse: Fuse, act: Act) -> None:
    lost: list[int] = []
    for moments in range(20):
        died, kept = await _run(tmp_path / str(moments), fuse, act, moments)
        if not kept:
            lost.append(moments)
        if not died:
            break
    assert moments >= 6, "the process died at too few moments"
    assert lost == []


async def test_a_request_that_took_too_long_to_acknowledge_is_dropped_and_not_shown_later(bot: Bot) -> None:
    bot.core.script = None
    started = await bot.discord.invoke("/upscale", {"image": RED})
    await bot.discord.until(lambda: bot.core.begun)
    job = next(iter(bot.core.jobs.values()))
    data = {**job.reply.data, "acknowledged": False, "message_id": None, "token": "never-answered"}
    bot.core.memos.clear()
    bot.core.set(job.id, reply=ReplyAddress("discord", data))
    with pytest.raises(DeliveryRefused):
        await bot.core.progress(job.id, Progress("waiting"))
    assert not await bot.core.reply(job.id).reachable(job)
    assert started.followups == []


@pytest.mark.parametrize("trouble", ["cloudflare", "reset"])
async def test_nothing_is_paid_for_a_member_who_was_told_that_the_bot_did_not_respond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Action
) -> None:
    async with whole_bot(tmp_path, monkeypatch) as whole:
        whole.discord.faults.append(Fault("/(callback|@original)", trouble, times=10**6))
        started = await whole.discord.invoke("/upscale", {"image": RED})
        job = await whole.ended(f"discord:{started.interaction.id}")
        assert job.state is JobState.REFUSED
        assert (whole.fal.submits, await whole.charges(), await whole.held()) == ([], {}, 0)
        whole.discord.faults.clear()
        await whole.settled()
        assert whole.discord.messages() == []


async def test_a_request_whose_acknowledgement_is_refused_is_not_delivered_into_an_error_message(bot: Bot) -> None:
    bot.core.script = None
    bot.discord.faults.append(Fault("/callback", "status", status=400, code=200000))
    await bot.discord.invoke("/upscale", {"image": RED})
    await bot.discord.until(lambda: bot.core.begun)
    await bot.adapter._ctx.drain(5.0)
    with pytest.raises(DeliveryRefused):
        await bot.core.progress(next(iter(bot.core.jobs)), Progress("waiting"))
    assert not bot.discord.messages()


async def test_a_job_whose_acknowledgement_hangs_ends_unpaid_within_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interaction_response, "ACK_DEADLINE_S", 0.3)
    monkeypatch.setattr(interaction_response, "ACK_ARRIVED_BY_S", 0.3)
    monkeypatch.setattr(api_client, "ANSWER_CHECK_S", 0.2)
    async with whole_bot(tmp_path, monkeypatch) as whole:
        hanging = Fault("/(callback|@original)", "delay", times=10**6, until=asyncio.Event())
        whole.discord.faults.append(hanging)
        started = await whole.discord.invoke("/upscale", {"image": RED})
        job = await whole.ended(f"discord:{started.interaction.id}", within_s=30.0)
        assert job.state is JobState.REFUSED
        assert (whole.fal.submits, await whole.charges(), await whole.held()) == ([], {}, 0)
        whole.discord.faults.clear()
        assert hanging.until is not None
        hanging.until.set()
        await whole.settled()
        assert (whole.fal.submits, await whole.charges()) == ([], {})
