"""Whatever Slack answers at any stage, the job's message ends in a true text with the charge."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import ModelFailed
from core.domain.job import Delivery, JobState
from core.jobs.endings import notice_for
from core.ports import LoginRefused, RepeatsFinalEdit
from tests.adapters.slack.conftest import World, make_world
from tests.emulators.slack import SlackEmulator, text_of
from tests.fakes.core import DatabaseAway
from tests.fakes.state import MemoryReplyState
from tests.typed import unwrap


async def _upscaling(world: World, how: str = "mention") -> Any:
    """A job that stops while it upscales, and its message."""
    world.service.hold_at = "upscaling"
    if how == "mention":
        await world.slack.member.mention("", [world.picture()])
        shown = lambda: [m for m in world.bot_messages() if "job:cancel:" in str(m.blocks)]  # noqa: E731
    else:
        await world.slack.member.dm("", [world.picture()])
        shown = lambda: [m for m in world.slack.member.dms() if "job:cancel:" in str(m.blocks)]  # noqa: E731
    return (await world.until(shown, move=0.5))[0]


async def _ended(world: World) -> tuple[Delivery, str]:
    """The job's end and everything that its member reads; no message may still show progress."""
    await world.idle()
    (row,) = world.service.rows.values()
    assert row.job.state is JobState.SUCCEEDED
    assert row.job.delivery is not None
    said = world.told()
    assert [text_of(m) for m in said if "job:cancel:" in str(m.blocks)] == []
    assert [m for m in said if m.stream and m.stream.state == "streaming"] == []
    return row.job.delivery, "\n".join(text_of(m) for m in said)


@pytest.mark.parametrize(
    "error", ["channel_not_found", "cannot_reply_to_message", "thread_not_found", "restricted_action_thread_locked"]
)
async def test_a_picture_refused_in_its_channel_goes_directly_and_the_channel_says_so(world: World, error: str) -> None:
    await _upscaling(world)
    channel = world.slack.member.channel("general").id
    world.slack.fault("chat.postMessage", error=error, times=99, match={"channel": channel})
    world.service.release("upscaling")
    delivery, said = await _ended(world)

    assert delivery.elsewhere == "direct_message"
    (result,) = [m for m in world.slack.member.dms() if " is ready" in m.text]
    assert "For anna" not in text_of(result)
    if error == "channel_not_found":
        assert "It has been sent to you as a direct message." in said
    else:
        assert world.bot_messages() == [], "nothing of a closed request stays in public"


@pytest.mark.parametrize("findable", [True, False])
@pytest.mark.parametrize("error", ["edit_window_closed", "cant_update_message"])
async def test_where_no_message_may_be_edited_the_price_is_asked_and_the_picture_comes(
    world: World, error: str, *, findable: bool
) -> None:
    if findable:
        world.grant_history()
    world.slack.fault("chat.update", error=error, times=99)
    world.service.ask_above_px = 1000
    await world.slack.member.mention("4x", [world.picture()])
    shown = lambda: [m for m in world.bot_messages() if "job:confirm:" in str(m.blocks)]  # noqa: E731
    (asked,) = await world.until(shown, move=0.2)
    await world.slack.member.click(asked, "job:confirm:")
    delivery, _ = await _ended(world)
    assert (delivery.elsewhere, sum(" is ready" in m.text for m in world.bot_messages())) == ("", 1)


@pytest.mark.parametrize("error", ["cant_delete_message", "ratelimited"])
async def test_a_progress_message_that_may_not_be_deleted_no_longer_says_that_work_goes_on(
    world: World, error: str
) -> None:
    root = await _upscaling(world)
    world.slack.fault("chat.delete", error=error, times=99)
    world.service.release("upscaling")
    delivery, _ = await _ended(world)
    assert delivery == Delivery("original")
    assert "photo.png is ready" in text_of(root)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_image_that_slack_takes_late_is_said_to_be_under_way(world: World, *, streamed: bool) -> None:
    if streamed:
        world.grant_history()
    root = await _upscaling(world)
    world.slack.fault("files.getUploadURLExternal", error="ratelimited", status=429, retry_after_s=40)
    world.service.release("upscaling")
    await world.until(lambda: world.slack.calls("files.getUploadURLExternal"), move=0.2)
    cards = lambda: [m for m in world.bot_messages() if m.stream]  # noqa: E731
    await world.until(lambda: "Delivering" in (str(cards()[0].stream) if streamed else text_of(root)), move=1.0)
    assert not root.deleted
    await _ended(world)
    assert root.deleted
    assert not [m for m in cards() if m.stream and m.stream.state == "streaming"]


async def test_a_message_that_slack_does_not_remove_while_it_is_away_is_removed_when_it_is_back(world: World) -> None:
    root = await _upscaling(world)
    away = world.slack.fault("chat.delete", status=503, body="x", times=99)
    world.service.release("upscaling")
    await _ended(world)
    away.times = 0
    (row,) = world.service.rows.values()
    for message in row.memo["must_go"]:
        for _ in range(2):  # gone already is fine
            await world.adapter.remove_message(message)
    assert root.deleted


@pytest.mark.parametrize("ends", ["with a picture", "in a failure"])
async def test_the_notes_name_every_message_of_a_job_so_that_each_can_be_removed(world: World, ends: str) -> None:
    world.media.px = (9000, 64)
    world.service.fail_with = None if ends == "with a picture" else ModelFailed(kind="x", billed=False)
    world.grant_history()
    root = await _upscaling(world)
    (row,) = world.service.rows.values()
    await world.until(lambda: row.memo.get("stream"))
    named = world.adapter.posted_messages(row.job.reply, row.memo)
    refused = {"error": "posting_to_channel_denied", "match": {"channel_id": root.channel}}
    world.slack.fault("files.completeUploadExternal", times=9, **refused)
    if ends == "in a failure":
        root.deleted = True  # so it is said in a new message
    world.service.release("upscaling")
    await world.idle()
    named += world.adapter.posted_messages(row.job.reply, row.memo)
    places = [root.channel, *{message.channel for message in world.slack.member.dms()}]
    posts = [m for place in places for m in world.slack.world.channel_messages(place).values() if m.bot]
    assert {m.ts for m in posts if not m.ephemeral_for} == {message["ts"] for message in named}
    assert len(posts) >= 3
    for message in named:
        await world.adapter.remove_message(message)
    assert all(m.deleted for m in posts if not m.ephemeral_for)


async def test_a_full_file_that_its_thread_refuses_is_linked_and_the_picture_counts_as_delivered(world: World) -> None:
    world.media.px = (9000, 64)
    root = await _upscaling(world)
    world.slack.fault(
        "files.completeUploadExternal", error="posting_to_channel_denied", times=9, match={"channel_id": root.channel}
    )
    world.service.release("upscaling")
    delivery, said = await _ended(world)
    assert delivery.shape == "original"
    assert "Full file" in said


# ---------------------------------------------------------------- the conversation changes meanwhile


async def test_a_request_deleted_meanwhile_is_answered_to_its_owner_alone(world: World) -> None:
    root = await _upscaling(world)
    channel = world.slack.world.channel_messages(root.channel)
    channel[root.thread_ts].deleted = True
    world.service.release("upscaling")
    delivery, _ = await _ended(world)
    assert delivery.elsewhere == "direct_message"
    assert [m for m in channel.values() if m.bot and not m.deleted] == []
    assert [m for m in world.slack.member.dms() if " is ready" in m.text]


async def test_a_request_deleted_before_its_first_answer_leaves_nothing_at_the_channel_s_root(world: World) -> None:
    world.slack.fault("chat.postMessage", delay_s=0.3)
    outcome = await world.slack.member.mention("", [world.picture()])
    unwrap(outcome.post).deleted = True
    await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.2)
    await world.idle()
    assert world.bot_messages() == []


@pytest.mark.parametrize("how", ["archived", "bot removed"])
async def test_a_channel_that_closes_meanwhile_sends_the_result_to_its_owner(world: World, how: str) -> None:
    await _upscaling(world)
    if how == "archived":
        world.slack.member.channel("general").archived = True
    else:
        world.slack.member.kick_bot()
    world.service.release("upscaling")
    await world.idle()
    (row,) = world.service.rows.values()
    assert unwrap(row.job.delivery).elsewhere == "direct_message"
    assert [m for m in world.slack.member.dms() if " is ready" in m.text]


# ---------------------------------------------------------------- buttons, and the database away


@pytest.mark.parametrize("error", ["channel_not_found", "ratelimited", "ekm_access_denied", "never_seen_yet"])
async def test_a_refusal_behind_a_button_is_said_without_an_incident(world: World, error: str) -> None:
    result = await world.upscaled()
    world.slack.fault("files.getUploadURLExternal", error=error, times=99)
    await world.slack.member.click(result, "job:compare:")
    told = await world.until(lambda: [m for m in world.bot_messages() if m.ephemeral_for], move=0.5)
    assert "our side" not in text_of(told[0])
    assert "The chat " in text_of(told[0])
    assert world.service.caught == []


async def test_what_is_kept_of_a_comparison_expires(world: World) -> None:
    result = await world.upscaled()
    await world.slack.member.click(result, "job:compare:")
    key = "slack.beside", next(iter(world.service.rows))
    await world.until(lambda: key in world.state.values, move=0.2)
    world.slack.clock.advance(41 * 86_400)
    assert await world.state.get(*key) is None


async def test_delete_takes_the_comparison_and_the_task_cards_with_it(world: World) -> None:
    result = await world.upscaled()
    await world.slack.member.click(result, "job:compare:")
    await world.until(lambda: any("Before (left" in text_of(m) for m in world.bot_messages()), move=0.2)
    await world.slack.member.click(result, "job:delete:")
    await world.until(lambda: not [m for m in world.bot_messages() if not m.ephemeral_for], move=0.2)
    assert [f for f in world.slack.world.files.values() if "compare" in f.name and not f.deleted] == []


async def test_a_delete_that_slack_refuses_empties_the_message_and_says_so(world: World) -> None:
    result = await world.upscaled()
    world.slack.fault("chat.delete", error="cant_delete_message", times=99)
    await world.slack.member.click(result, "job:delete:")
    told = await world.until(lambda: [m for m in world.bot_messages() if m.ephemeral_for], move=0.5)
    assert "could not be removed" in text_of(told[0])
    assert "The image and its original" in text_of(result)
    assert "slack_file" not in str(result.blocks)


class _Away:
    """A database that does not answer."""

    async def __call__(self, *_: Any, **__: Any) -> Any:
        raise DatabaseAway


@pytest.mark.parametrize("way", ["mention", "dm", "command", "details", "help"])
async def test_a_database_that_is_away_is_said_on_every_way_in(world: World, way: str) -> None:
    result = await world.upscaled()
    for name in ("request", "job", "defaults", "usage"):
        setattr(world.service, name, _Away())
    world.state.claim = _Away()  # type: ignore[method-assign]
    if way == "details":
        await world.slack.member.click(result, "job:details:")
        await world.until(lambda: "cannot be reached right now" in str(world.slack.member.open_view()), move=0.2)
        return
    if way == "mention":
        await world.slack.member.mention("3x", [world.picture("b.png")])
    elif way == "dm":
        await world.slack.member.dm("3x", [world.picture("b.png")])
    elif way == "help":
        await world.slack.member.dm("thank you so much")
    else:
        await world.slack.member.command(text="usage")
    said = await world.until(lambda: [m for m in world.told() if "cannot be reached right now" in text_of(m)], move=0.2)
    assert "Please try again in a minute." in text_of(said[0])


@pytest.mark.parametrize("name", ["slack_app_token", "slack_bot_token"])
async def test_a_wrong_token_ends_the_start_with_one_sentence(slack: SlackEmulator, tmp_path: Path, name: str) -> None:
    wrong: dict[str, Any] = {name: "xapp-wrong" if "app" in name else "xoxb-wrong"}
    made = make_world(slack, tmp_path, **wrong)
    with pytest.raises(LoginRefused, match=rf"^Slack refuses {name.upper()} \(invalid_auth\)\. C.*{name.upper()}\.$"):
        async with asyncio.timeout(30):
            await made.adapter.serve(lambda: None)
    await made.adapter.close()


@pytest.mark.parametrize("deletes", [True, False])
async def test_a_failure_is_said_once_more_in_its_own_message_or_nowhere(world: World, deletes: bool) -> None:
    world.service.fail_with = ModelFailed(kind="x", billed=False)
    root = await _upscaling(world)
    world.service.release("upscaling")
    await world.idle()
    failed, (row,) = text_of(root), world.service.rows.values()
    assert "Cancel" not in failed
    root.blocks, root.deleted = [], deletes  # an edit that was on its way has come
    posts = len(world.slack.calls("chat.postMessage"))
    reply = world.adapter.reply(row.job.reply, MemoryReplyState(row.memo))
    assert isinstance(reply, RepeatsFinalEdit)
    await reply.final_edit_only().failed(row.job, notice_for(row.job))
    assert deletes or text_of(root) == failed
    assert len(world.slack.calls("chat.postMessage")) == posts
