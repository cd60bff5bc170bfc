"""The message of a job while it runs and when it is done, and its fallbacks of place and form."""

import asyncio

from core.domain.errors import ModelFailed, OutputTooLarge
from tests.adapters.slack.conftest import World
from tests.emulators.slack import find_element, text_of
from tests.emulators.slack.world import Channel
from tests.typed import unwrap


async def test_a_command_in_a_channel_leaves_one_message_the_picture(world: World) -> None:
    world.service.hold_at = "upscaling"
    await world.slack.member.command(text="https://acme.slack.com/files/U0ANNA0001/F00000/x.png")
    await world.slack.member.message_shortcut(world.slack.member.post("", [world.picture()]))
    await world.until(lambda: any("Upscaling" in text_of(m) for m in world.bot_messages()), move=0.5)
    world.service.release("upscaling")
    result = await world.result()
    assert [m for m in world.bot_messages() if m.ts != result.ts and "photo" in text_of(m) and not m.stream] == []


async def test_progress_shows_stage_percent_finish_time_and_cancel(world: World) -> None:
    world.service.hold_at = "upscaling"
    await world.slack.member.dm("3x", [world.picture()])
    root = await world.until(lambda: [m for m in world.slack.member.dms() if "40%" in text_of(m)], move=0.5)
    words = text_of(root[0])
    assert "Upscaling 3× · photo.png" in words
    assert "Ready " in words
    assert find_element(root[0].blocks, "job:cancel:")
    dates = [e for e in root[0].blocks[0]["elements"][0]["elements"] if e["type"] == "date"]
    assert len(dates) == 1
    world.service.release("upscaling")
    await world.idle()


async def test_the_result_has_every_button_and_all_the_facts(world: World) -> None:
    result = await world.upscaled()
    for verb in ("again", "more_creative", "twice_more", "compare", "details", "delete"):
        assert find_element(result.blocks, f"job:{verb}:")
    words = text_of(result)
    for fact in ("64×48 → 128×96", "creativity 0.3", "guidance 1", "4.2 s", "Charged $0.40", "For anna"):
        assert fact in words
    assert "left today" not in words, "others read this message"


async def test_a_private_result_comes_directly_and_the_channel_sees_nothing(world: World) -> None:
    await world.slack.member.mention("private", [world.picture()])
    await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.2)
    assert world.bot_messages() == []
    assert world.bot_messages(user="ben") == []


async def test_without_membership_the_result_comes_directly_and_the_member_is_told(world: World) -> None:
    await world.slack.member.command(text="")
    await world.slack.member.command(text="", channel="quiet")
    await world.until(lambda: world.slack.member.open_view())
    await world.slack.member.submit_view({"image": [world.picture().id]})
    await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.2)
    told = [m for m in world.slack.member.messages("quiet") if m.ephemeral_for]
    assert "I cannot post here" in text_of(told[0])
    assert "Add me to the channel" in text_of(told[0])
    dm = next(m for m in world.slack.member.dms() if " is ready" in m.text)
    assert "Sent as a direct message" in text_of(dm)


async def test_where_only_some_may_post_the_member_is_not_told_to_add_the_bot(world: World) -> None:
    channel = world.slack.member.channel("general").id
    world.slack.fault("chat.postMessage", error="restricted_action", times=99, match={"channel": channel})
    await world.slack.member.mention("3x", [world.picture()])
    await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.2)
    (told,) = [text_of(m) for m in world.slack.member.messages("general") if m.ephemeral_for]
    assert ("I cannot post here" in told, "Add me" in told) == (True, False)


async def test_a_command_between_two_people_is_answered_in_our_own_direct_message(world: World) -> None:
    space = world.slack.member.space()
    users = {world.slack.member.user(name).id for name in ("anna", "ben")}
    space.channels["D0OTHERS001"] = Channel("D0OTHERS001", space.id, "others", "mpim", users)
    await world.slack.member.command(text="", channel="D0OTHERS001")
    await world.until(lambda: world.slack.member.open_view())
    await world.slack.member.submit_view({"image": [world.picture().id]})
    await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.2)


async def test_a_picture_too_large_to_be_shown_gets_a_preview_and_the_file_beside_it(world: World) -> None:
    world.media.px = (9000, 64)
    result = await world.upscaled()
    preview = world.slack.world.files[result.blocks[0]["slack_file"]["id"]]
    assert "preview" in preview.name
    await world.until(lambda: any(m.files and m.bot for m in world.slack.member.messages()), move=0.1)
    full = next(m for m in world.slack.member.messages() if m.files and m.bot)
    assert full.thread_ts == result.thread_ts
    assert "2x" in world.slack.world.files[full.files[0]].name


async def test_a_file_that_slack_takes_and_never_shows_is_linked_beside_its_preview(world: World) -> None:
    world.media.px, world.service.link, world.slack.loses_shares = (9000, 64), None, True
    result = await world.upscaled()
    await world.until(lambda: any("Full file" in text_of(m) for m in world.bot_messages()), move=0.3)
    (link,) = [m for m in world.bot_messages() if "Full file" in text_of(m)]
    full = next(file for file in world.slack.world.files.values() if "2x" in file.name)
    assert full.id in str(link.blocks)
    assert link.thread_ts == result.thread_ts


async def test_a_workspace_that_restricts_sizes_gets_a_smaller_shape(world: World) -> None:
    world.media.original_bytes = 70_000_000
    world.slack.fault("files.getUploadURLExternal", error="file_upload_size_restricted", times=2)
    result = await world.upscaled()
    assert world.media.asked == [100_000_000, 20_000_000]
    assert "preview" in text_of(result)
    assert find_element(result.blocks, "job:download:")[1]["url"] == "https://bot.example/files/full.png"


async def test_a_picture_that_cannot_be_shown_at_all_is_kept_and_the_member_is_told(world: World) -> None:
    world.slack.member.space().uploads = "file_uploads_disabled"
    world.service.link = None
    await world.slack.member.mention("", [world.picture()])
    await world.until(lambda: any("kept" in text_of(m) for m in world.bot_messages()), move=0.2)
    await world.idle()
    (row,) = world.service.rows.values()
    assert unwrap(row.job.delivery).shape == "kept"
    (said,) = [m for m in world.bot_messages() if "kept" in text_of(m)]
    assert "Charged $0.40." in text_of(said)
    assert [m for m in world.bot_messages() if m.stream and m.stream.state == "streaming"] == []


async def test_a_picture_that_slack_still_refuses_to_show_comes_as_a_file(world: World) -> None:
    caption = "A cat &lt;!channel&gt; on a *red* sofa &amp; &lt;@U0BEN00001&gt; looks _up_"
    said = f"photo.png is ready · 64×48 → 128×96 (0.01 MP). {caption}"
    world.slack.fault("chat.postMessage", error="invalid_blocks", match={"text": said})
    result = await world.upscaled()
    assert result.blocks[0]["type"] != "image"
    links = [m for m in world.bot_messages() if "acme.slack.com/files/" in str(m.blocks)]
    assert len(links) == 1


async def test_an_expensive_job_asks_with_the_price_on_the_button_and_only_its_requester_may_press(
    world: World,
) -> None:
    world.service.ask_above_px = 1000
    await world.slack.member.mention("4x", [world.picture()])
    asked = await world.until(lambda: [m for m in world.bot_messages() if "job:confirm:" in str(m.blocks)], move=0.2)
    _, button = find_element(asked[0].blocks, "job:confirm:")
    assert button["text"]["text"] == "Start for $0.10"
    assert "64×48 → 256×192" in text_of(asked[0])
    await world.slack.member.click(asked[0], "job:confirm:", user="ben")
    told = await world.until(lambda: [m for m in world.bot_messages(user="ben") if m.ephemeral_for])
    assert "Only the person who asked" in text_of(told[0])
    await world.slack.member.click(asked[0], "job:confirm:")
    assert await world.result()


async def test_cancel_ends_the_job_and_says_that_fal_may_bill(world: World) -> None:
    await world.held("upscaling")
    root = await world.until(lambda: [m for m in world.bot_messages() if "job:cancel:" in str(m.blocks)], move=0.2)
    await world.slack.member.click(root[0], "job:cancel:", user="ben")
    await world.until(lambda: [m for m in world.bot_messages(user="ben") if m.ephemeral_for])
    await world.slack.member.click(root[0], "job:cancel:")
    await world.until(lambda: any("Cancelled" in text_of(m) for m in world.bot_messages()), move=0.2)
    told = [m for m in world.bot_messages() if m.ephemeral_for]
    assert "may still be billed" in text_of(told[0])


async def test_a_failure_says_what_happened_whether_it_was_charged_and_the_reference(world: World) -> None:
    world.service.fail_with = ModelFailed(kind="x", billed=False)
    await world.slack.member.dm("", [world.picture()])
    said = await world.until(lambda: [m for m in world.slack.member.dms() if "stopped before" in text_of(m)], move=0.3)
    words = text_of(said[0])
    (row,) = world.service.rows.values()
    assert "Not charged." in words
    assert f"Reference {row.job.id}" in words
    assert find_element(said[0].blocks, "job:same:")
    assert "ModelFailed" not in str(said[0].blocks)


async def test_a_refusal_offers_what_would_fit_as_a_button(world: World) -> None:
    world.service.fail_with = OutputTooLarge(
        width_px=20_000, height_px=20_000, limit_px=100_000_000, limit_side_px=14_142, largest_factor=1.6
    )
    await world.slack.member.mention("4x", [world.picture()])
    said = await world.until(
        lambda: [m for m in world.bot_messages() if "1.6×" in text_of(m) and "at most" in text_of(m)], move=0.3
    )
    world.service.fail_with = None
    await world.slack.member.click(said[0], "job:factor:")
    await world.result()
    assert sorted(row.job.parameters.factor for row in world.service.rows.values()) == [1.6, 4.0]


# --------------------------------------------------------------------------- streaming


async def test_in_a_thread_native_task_cards_show_the_stages(world: World) -> None:
    world.grant_history()
    await world.held("upscaling")
    streamed = await world.until(lambda: [m for m in world.bot_messages() if m.stream], move=0.3)
    await world.until(lambda: "upscaling" in str(streamed[0].stream.order), move=0.3)
    world.service.release("upscaling")
    await world.result()
    stream = streamed[0].stream
    assert stream.state == "stopped"
    assert {task["status"] for task in stream.tasks.values()} == {"complete"}
    assert stream.tasks[stream.order[-1]]["output"].startswith("64×48 → 128×96")


async def test_where_streams_are_refused_edits_take_over_and_it_is_not_tried_again(world: World) -> None:
    world.grant_history()
    world.slack.stream_kinds = set()
    await world.upscaled()
    await world.slack.member.mention("", [world.picture("b.png")])
    await world.result(number=2)
    assert len(world.slack.calls("chat.startStream")) == 1


async def test_a_stream_is_ended_before_slack_lets_it_die(world: World) -> None:
    world.grant_history()
    await world.held("waiting")
    first = await world.until(lambda: [m for m in world.bot_messages() if m.stream], move=0.3)
    world.slack.clock.advance(235)
    world.service.release("waiting", hold_at="upscaling")
    second = await world.until(lambda: [m for m in world.bot_messages() if m.stream and m.ts != first[0].ts], move=0.3)
    world.service.release("upscaling")
    await world.result()
    assert first[0].deleted
    assert second[0].stream.state == "stopped"


async def test_a_stream_that_died_leaves_nothing_stuck_and_loses_nothing(world: World) -> None:
    world.grant_history()
    world.slack.stream_life_s = 5
    await world.held("waiting")
    first = await world.until(lambda: [m for m in world.bot_messages() if m.stream], move=0.1)
    world.slack.clock.advance(10)
    world.service.release("waiting", hold_at="upscaling")
    await world.until(lambda: any("40%" in text_of(m) for m in world.bot_messages()), move=0.3)
    world.service.release("upscaling")
    await world.result()
    assert first[0].deleted


async def test_stop_on_a_stream_cancels_the_job(world: World) -> None:
    world.grant_history()
    await world.held("preparing")
    streamed = await world.until(lambda: [m for m in world.bot_messages() if m.stream], move=0.3)
    world.slack.member.press_stop(streamed[0])
    world.service.release("preparing", hold_at="upscaling")
    await world.until(lambda: any("Cancelled" in text_of(m) for m in world.bot_messages()), move=0.3)
    assert streamed[0].deleted, "its cards would go on saying that the image is being read"


async def test_a_file_that_slack_looks_at_for_seconds_is_asked_about_a_few_times(world: World) -> None:
    world.slack.processing_s = 1.5
    together, one_by_one = 4, 4
    await asyncio.gather(*(world.slack.member.mention("", [world.picture()]) for _ in range(together)))
    await world.result(number=together)
    for number in range(together + 1, together + one_by_one + 1):
        await world.slack.member.mention("", [world.picture()])
        await world.result(number=number)
    asked = [request for request in world.slack.requests if request.method == "files.info"]
    downloads = together + one_by_one
    assert len(asked) - downloads <= 4 * together + 2 * one_by_one


async def test_no_task_cards_say_that_work_goes_on_while_a_price_is_asked(world: World) -> None:
    world.grant_history()
    world.service.ask_above_px = 1000
    await world.slack.member.mention("4x", [world.picture()])
    shown = lambda: [m for m in world.bot_messages() if "job:confirm:" in str(m.blocks)]  # noqa: E731
    (asked,) = await world.until(shown, move=0.2)
    await world.idle()
    assert world.slack.calls("chat.startStream")
    assert [m for m in world.bot_messages() if m.stream] == []
    await world.slack.member.click(asked, "job:confirm:")
    await world.result()
    assert [m.stream.state for m in world.bot_messages() if m.stream] == ["stopped"]
