"""Network failures, rate limits, restarts: nothing is lost, posted twice or paid twice."""

import asyncio
import itertools
import sys
from typing import Any

import pytest

from core.domain.errors import ModelFailed
from tests.adapters.slack.conftest import World
from tests.emulators.slack import socketmode, text_of
from tests.fakes.state import CutStates


async def one_result(world: World) -> None:
    """One job, one image in the channel, and no progress message left."""
    result = await world.result()
    assert len(world.results()) == 1
    assert len(world.service.rows) == 1
    left = [m for m in world.bot_messages() if m.ts != result.ts and not m.ephemeral_for and not m.stream]
    assert left == [], [text_of(m) for m in left]


@pytest.mark.parametrize("fault", [
    {"method": "upload", "status": 504, "times": 4},
    {"method": "files.info", "status": 500, "body": "oops", "times": 2},
    {"method": "chat.stopStream", "status": 500, "body": "not json", "times": 9},
    {"method": "chat.delete", "status": 503, "body": "x"},
])  # fmt: skip
async def test_a_job_survives(world: World, fault: dict[str, object]) -> None:
    """One image, and nothing else left in the channel; `test_error_codes` tests every answer."""
    how = dict(fault)
    world.slack.fault(str(how.pop("method")), **how)
    await world.slack.member.mention("", [world.picture()])
    await one_result(world)


async def test_a_post_whose_answer_was_lost_is_not_posted_again(world: World) -> None:
    await world.held("upscaling")
    world.slack.fault("chat.postMessage", drop=True, after=True)
    world.service.release("upscaling")
    await one_result(world)


async def test_a_progress_message_whose_answer_was_lost_is_not_posted_again(world: World) -> None:
    world.slack.fault("chat.postMessage", drop=True, after=True)
    await world.slack.member.dm("", [world.picture()])
    await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.2)
    await world.idle()
    assert len([m for m in world.slack.member.dms() if m.bot]) == 1  # found again by its mark, and taken away


@pytest.mark.parametrize("stage", ["preparing", "waiting", "upscaling", "delivering"])
async def test_a_restart_carries_on_with_the_same_message(world: World, stage: str) -> None:
    world.service.hold_at = stage
    await world.slack.member.dm("", [world.picture()])
    await world.until(lambda: world.stage() == stage, move=0.3)
    await world.until(lambda: [m for m in world.slack.member.dms() if m.bot], move=0.3)
    await asyncio.sleep(0.1)
    before = [m.ts for m in world.slack.member.dms() if m.bot]
    world.service.hold_at = None
    await world.restart()
    await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.2)
    await world.idle()
    posts = [r for r in world.slack.calls("chat.postMessage") if not r.error]
    assert len(posts) == 2
    assert len(before) == 1
    assert len([m for m in world.slack.member.dms() if m.bot]) == 1


async def test_a_restart_carries_on_with_the_stream_that_release_0_1_0_began(world: World) -> None:
    """It noted no channel beside the stream."""
    world.grant_history()
    await world.held("upscaling")
    (row,) = world.service.rows.values()
    (await world.until(lambda: row.memo.get("stream"))).pop("channel")
    world.service.hold_at = None
    await world.restart()
    await one_result(world)
    assert [m.stream.state for m in world.bot_messages() if m.stream] == ["stopped"]


@pytest.mark.parametrize("method", ["upload", "files.completeUploadExternal", "files.info", "chat.postMessage"])
async def test_a_crash_in_the_middle_of_delivery_repeats_nothing(world: World, method: str) -> None:
    await world.held("delivering")
    seen = len(world.slack.calls(method))
    world.slack.fault(method, delay_s=0.0, drop=True, after=True)
    world.service.release("delivering")
    await world.until(lambda: len(world.slack.calls(method)) > seen, move=0.05)
    await world.restart()
    await one_result(world)


async def test_buttons_work_after_a_restart(world: World) -> None:
    result = await world.upscaled()
    await world.restart()
    await world.slack.member.click(result, "job:again:")
    await world.result(number=2)
    assert len(world.service.rows) == 2


@pytest.mark.parametrize("streamed", [True, False])
async def test_ten_jobs_at_once_in_one_channel_never_meet_a_429(world: World, streamed: bool) -> None:
    if not streamed:
        world.slack.stream_kinds = set()
    for number in range(10):
        assert (await world.slack.member.mention("", [world.picture(f"p{number}.png")])).acked
    await world.until(lambda: len(world.results()) == 10, move=0.05, timeout_s=60)
    await world.idle()
    assert [r.method for r in world.slack.requests if r.status == 429] == []
    assert [m for m in world.bot_messages() if m.stream and m.stream.state == "streaming"] == []


async def test_fifty_commands_in_the_same_second_are_all_acknowledged_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In calls of functions, of bot and emulator together: a clock would count the work of others, too."""
    monkeypatch.setattr(socketmode, "ACK_TIMEOUT_S", 60.0)
    world.service.hold_at = "upscaling"
    calls = itertools.count()
    sys.setprofile(lambda *_: next(calls))
    try:
        outcomes = await asyncio.gather(
            *(world.slack.member.command(text=f"https://example.com/{n}.png") for n in range(50))
        )
    finally:
        sys.setprofile(None)
    assert all(o.acked for o in outcomes)
    assert next(calls) < 50 * 40_000, "about 12,000 for each; two million take a small machine a second"
    await world.until(lambda: len(world.service.rows) == 50, timeout_s=60)


async def test_double_clicks_are_one_job(world: World) -> None:
    result = await world.upscaled()
    await asyncio.gather(*(world.slack.member.click(result, "job:again:") for _ in range(3)))
    await world.result(number=2)
    assert len(world.service.rows) == 2


async def test_a_stream_whose_start_was_never_answered_is_found_by_its_cards_and_taken_away(world: World) -> None:
    world.grant_history()
    world.slack.fault("chat.startStream", drop=True, after=True)
    await world.slack.member.mention("", [world.picture()])
    await one_result(world)
    assert [m for m in world.bot_messages() if m.stream] == []


async def test_a_failure_whose_post_was_never_answered_is_said_once(world: World) -> None:
    world.service.fail_with = ModelFailed(kind="x", billed=False)
    world.service.hold_at = "upscaling"
    await world.slack.member.dm("", [world.picture()])
    root = await world.until(lambda: [m for m in world.slack.member.dms() if m.bot], move=0.5)
    await world.until(lambda: world.stage() == "upscaling", move=0.3)
    root[0].deleted = True
    world.slack.fault("chat.postMessage", drop=True, after=True)
    world.service.release("upscaling")
    await world.idle()
    assert len([m for m in world.slack.member.dms() if "stopped before" in text_of(m)]) == 1


async def test_a_lost_progress_message_that_cannot_be_looked_for_goes_at_the_first_press(world: World) -> None:
    world.grant_history()
    world.slack.stream_kinds = set()
    world.slack.fault("conversations.replies", error="channel_not_found", times=99)
    world.slack.fault("chat.postMessage", drop=True, after=True)
    await world.slack.member.mention("", [world.picture()])
    await world.until(lambda: [m for m in world.bot_messages() if " is ready" in m.text], move=0.2)
    await world.idle()
    (left,) = [m for m in world.bot_messages() if "job:cancel:" in str(m.blocks)]
    (told,) = [m for m in world.bot_messages() if m.ephemeral_for]
    assert "Press Cancel in it to remove it" in text_of(told)
    await world.slack.member.click(left, "job:cancel:")
    await world.until(lambda: [m for m in world.bot_messages() if "already ended" in text_of(m)], move=0.2)
    assert left.deleted


@pytest.mark.parametrize("ends", ["with a picture", "in a failure"])
async def test_what_is_lost_where_nothing_can_be_found_again_never_says_that_work_goes_on(
    world: World, ends: str
) -> None:
    """Without the history scope a lost first message or stream could never be closed."""
    world.service.fail_with = None if ends == "with a picture" else ModelFailed(kind="x", billed=False)
    for method in ("chat.postMessage", "chat.startStream"):
        world.slack.fault(method, drop=True, after=True)
    await world.slack.member.mention("", [world.picture()])
    last = " is ready" if ends == "with a picture" else "stopped before"
    await world.until(lambda: [m for m in world.bot_messages() if last in m.text + text_of(m)], move=0.2)
    await world.idle()
    assert not [m for m in world.bot_messages() if m.stream or "job:cancel:" in str(m.blocks)]
    (left,) = [m for m in world.bot_messages() if "Your image has arrived" in text_of(m)]
    await world.slack.member.click(left, "job:dismiss:", user="ben")
    await world.until(lambda: [m for m in world.bot_messages(user="ben") if "Only the person who" in text_of(m)])
    assert not left.deleted
    await world.slack.member.click(left, "job:dismiss:")
    await world.until(lambda: left.deleted, move=0.2)


async def test_a_message_that_could_not_be_found_again_is_completed_as_soon_as_it_is_known(world: World) -> None:
    await world.held("upscaling")
    await world.until(lambda: [m for m in world.bot_messages() if "job:cancel:" in str(m.blocks)])
    (first,) = world.slack.calls("chat.postMessage")
    assert "job:cancel:" not in str(first.args)
    assert not world.slack.calls("chat.startStream")
    world.service.release("upscaling")
    await one_result(world)


async def test_a_message_posted_in_the_moment_in_which_the_database_is_cut_goes_at_the_end(world: World) -> None:
    states = world.service.states = CutStates(lambda values: bool((values.get("root") or {}).get("ts")))
    world.slack.stream_kinds = set()
    await world.held("upscaling")
    await world.until(lambda: states.cut, move=0.3)
    assert [text_of(m) for m in world.bot_messages()] != []
    await states.back()
    world.service.release("upscaling")
    await one_result(world)  # although the channel may not be read


STILL_OURS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a picture that had to wait for Slack": (
        "chat.postMessage", {"status": 429, "error": "ratelimited", "retry_after_s": 2}, "",
    ),
    "a process stopped between its note and its post": ("chat.getPermalink", {"delay_s": 0.3}, ""),
    "a full file beside a preview": ("chat.postMessage", {"delay_s": 0.3}, "files.completeUploadExternal"),
}  # fmt: skip


@pytest.mark.parametrize("what", STILL_OURS)
async def test_after_a_wait_it_is_posted_only_where_the_job_is_still_ours(world: World, what: str) -> None:
    method, fault, shared_by = STILL_OURS[what]
    if shared_by:
        world.media.px = (9000, 64)
    cut_by = lambda values: not values and (not shared_by or bool(world.results()))  # noqa: E731  # asked after a wait
    states = world.service.states = CutStates(cut_by)
    world.slack.stream_kinds = set()
    await world.held("upscaling")
    world.slack.fault(method, **fault)
    world.service.release("upscaling")
    await world.until(lambda: states.cut, move=0.3)
    shared = [request for request in world.slack.calls(shared_by) if "channel_id" in request.args]
    assert (shared if shared_by else world.results()) == []
