"""A request is stored before it is acknowledged, or refused if it cannot be; images above a mention are found."""

import asyncio
from typing import Any

import pytest

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import time_limit
from core.domain.job import Job, UpscaleRequest
from tests.adapters.slack.conftest import World
from tests.emulators.slack import socketmode, text_of

OPTIONAL = {"channels:history", "groups:history", "mpim:history"}


async def _hangs(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both limits, of the bot and of Slack, far apart: the bot's leaves a second for what it says then."""
    assert time_limit.LIMIT_S + 1 < socketmode.ACK_TIMEOUT_S
    monkeypatch.setattr(time_limit, "LIMIT_S", 0.05)
    monkeypatch.setattr(socketmode, "ACK_TIMEOUT_S", 60.0)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("call", ["request", "presets"])
async def test_a_database_that_hangs_is_answered_for_within_three_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(world.service, call, _hangs)
    asked = await world.slack.member.dm("3x", [world.picture()])
    assert asked.acked
    await world.until(lambda: [m for m in world.slack.member.dms() if "nothing was started" in text_of(m)])


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(("typed", "call"), [("settings", "settings"), ("usage", "usage"), ("quota", "applying")])
async def test_a_database_that_hangs_is_said_to_whoever_asks_for_something_else(
    world: World, monkeypatch: pytest.MonkeyPatch, typed: str, call: str
) -> None:
    monkeypatch.setattr(world.service, call, _hangs)
    await world.slack.member.dm(typed)
    await world.until(lambda: [m for m in world.slack.member.dms() if "cannot be reached" in text_of(m)])


async def test_a_slow_answer_about_a_new_member_does_not_make_their_job_english(world: World) -> None:
    world.slack.member.user("anna").locale = "de-DE"
    world.slack.fault("users.info", delay_s=0.9)
    await world.slack.member.dm("3x", [world.picture()])
    await world.until(lambda: world.service.rows)
    assert next(iter(world.service.rows.values())).job.requester.locale == "de-DE"


async def test_a_member_who_does_much_at_once_is_looked_up_once(world: World) -> None:
    world.slack.fault("users.info", delay_s=0.3)
    posts = [world.slack.member.dm("3x", [world.picture(f"{number}.png")]) for number in range(12)]
    assert all(outcome.acked for outcome in await asyncio.gather(*posts))
    assert len(world.service.rows) == 12
    assert len(world.slack.calls("users.info")) == 1
    await world.idle()


async def test_a_process_that_dies_before_the_row_is_written_leaves_the_event_to_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack redelivers the event to a live process: one job, and none acknowledged and lost."""
    real, calls = world.service.request, []

    async def dies_once(request: UpscaleRequest) -> Job:
        calls.append(request.key)
        if len(calls) == 1:
            raise asyncio.CancelledError
        return await real(request)

    monkeypatch.setattr(world.service, "request", dies_once)
    await world.slack.member.mention("3x", [world.picture()])
    await world.until(lambda: world.service.rows, move=1.0)
    await world.result()
    assert len(world.service.rows) == 1
    assert len(set(calls)) == 1


@pytest.mark.parametrize("text", ["factor=77", "3x"])
async def test_a_process_that_dies_before_it_has_refused_leaves_the_answer_to_another(
    world: World, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    real, calls = HandlerContext.answer, 0

    async def dies_once(ctx: HandlerContext, *args: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncio.CancelledError
        return await real(ctx, *args)

    monkeypatch.setattr(HandlerContext, "answer", dies_once)
    await world.slack.member.mention(text, [world.picture()] if "=" in text else [])
    await world.until(world.told, move=1.0)
    await world.idle()
    assert (calls, len(world.told())) == (2, 1)


def _token(world: World) -> Any:
    return next(token for token in world.slack.world.tokens.values() if token.kind != "app")


async def test_thanks_in_the_thread_of_a_picture_start_nothing(world: World) -> None:
    _token(world).scopes |= OPTIONAL
    root = world.slack.member.post("look", [world.picture()])
    await world.slack.member.mention("thanks!", thread_ts=root.ts)
    await world.until(lambda: any("How to upscale an image" in text_of(m) for m in world.bot_messages()))
    assert world.service.rows == {}
    await world.slack.member.mention("make it bigger please", thread_ts=root.ts)
    await world.until(lambda: len(world.service.rows) == 1)


async def test_a_mention_in_a_thread_takes_the_nearest_picture_above_it(world: World) -> None:
    _token(world).scopes |= OPTIONAL
    root = world.slack.member.post("look", [world.picture("first.png")])
    world.slack.member.post("and this", [world.picture("nearest.png")], thread_ts=root.ts)
    world.slack.member.post("nice", thread_ts=root.ts)
    await world.slack.member.mention("3x", thread_ts=root.ts)
    assert "nearest.png" in text_of(await world.result())
    assert len(world.service.rows) == 1


async def test_where_a_thread_may_not_be_read_the_missing_permission_is_named(world: World) -> None:
    root = world.slack.member.post("look", [world.picture("first.png")])
    await world.slack.member.mention("3x", thread_ts=root.ts)
    told = await world.until(lambda: [m for m in world.bot_messages() if "channels:history" in text_of(m)], move=0.2)
    assert len(told) == 1
    assert world.service.rows == {}


async def test_a_message_whose_answer_was_lost_is_found_by_its_mark_in_a_channel_too(world: World) -> None:
    _token(world).scopes |= OPTIONAL
    world.slack.fault("chat.postMessage", drop=True, after=True)
    await world.upscaled()
    assert len([m for m in world.bot_messages() if not m.deleted]) == 1
