"""Every entry point: command, form, shortcuts, mention, direct message; and the answers to mistakes."""

import asyncio

import pytest

from tests.adapters.slack.conftest import World
from tests.emulators.slack import mentions, text_of
from tests.emulators.slack.forms import ClientRefused
from tests.typed import unwrap


async def test_a_mention_with_a_picture_becomes_one_result_in_its_thread(world: World) -> None:
    outcome = await world.slack.member.mention("factor=2", [world.picture()])
    assert outcome.acked
    result = await world.result()
    assert result.thread_ts == unwrap(outcome.post).ts
    assert "64×48 → 128×96" in text_of(result)
    assert "steps 20, seed 1234" in text_of(result)
    assert "$0.40" in text_of(result)
    assert result.blocks[0]["type"] == "image"


async def test_a_mention_that_arrives_twice_is_one_job(world: World) -> None:
    world.slack.mention_mode = "both"
    await world.upscaled()
    assert len(world.service.rows) == 1
    assert len(world.results()) == 1


async def test_a_mention_that_arrives_only_as_a_file_share_is_taken(world: World) -> None:
    world.slack.mention_mode = "file_share"
    await world.slack.member.mention("2x", [world.picture()])
    assert await world.result()


async def test_a_mention_whose_event_leaves_the_files_out_is_taken(world: World) -> None:
    world.slack.mention_mode = "bare"
    await world.slack.member.mention("2x", [world.picture("old.png")])
    await world.slack.member.mention("look at this, 3x", [world.picture("new.png")])
    await world.until(lambda: len(world.service.rows) == 2)
    asked = [(row.job.source.name, row.job.parameters.factor) for row in world.service.rows.values()]
    assert asked == [("old.png", 2.0), ("new.png", 3.0)]
    assert not any("no image" in text_of(m) for m in world.bot_messages())


async def test_a_direct_message_with_two_pictures_becomes_two_results(world: World) -> None:
    await world.slack.member.dm("creative", [world.picture("a.png"), world.picture("b.png")])
    await world.until(lambda: len([m for m in world.slack.member.dms() if " is ready" in m.text]) == 2, move=0.2)
    assert len(world.service.rows) == 2


async def test_the_command_alone_opens_the_form_before_anything_else(world: World) -> None:
    outcome = await world.slack.member.command(text="")
    assert outcome.acked
    view = await world.until(lambda: world.slack.member.open_view())
    asked = {"image", "link", "model", "to", "preset", "factor", "creativity", "guidance", "steps", "seed", "options"}
    assert asked == {block["block_id"] for block in view.body["blocks"]}
    opened = next(i for i, r in enumerate(world.slack.requests) if r.method == "views.open")
    assert not [
        r.method for r in world.slack.requests[:opened] if r.method not in ("auth.test", "apps.connections.open")
    ]


async def test_the_form_opens_although_slack_asks_for_patience_first(world: World) -> None:
    world.slack.fault("views.open", status=429, error="ratelimited", retry_after_s=1)
    assert (await world.slack.member.command(text="")).acked
    assert await world.until(lambda: world.slack.member.open_view(), move=0.05)


async def test_the_form_starts_a_job_with_every_parameter(world: World) -> None:
    await world.slack.member.command(text="")
    await world.until(lambda: world.slack.member.open_view())
    picture = world.picture()
    values = {"image": [picture.id], "factor": "3.5", "creativity": "0.7", "guidance": "2", "steps": "30", "seed": "7"}
    outcome = await world.slack.member.submit_view(values)
    assert outcome.acked
    assert outcome.errors == {}
    result = await world.result()
    (row,) = world.service.rows.values()
    p = row.job.parameters
    assert (p.factor, p.creativity, p.guidance, p.steps) == (3.5, 0.7, 2.0, 30)
    assert result.channel == world.slack.member.channel().id


async def test_the_form_says_what_is_wrong_at_the_field_and_stays_open(world: World) -> None:
    await world.slack.member.command(text="")
    await world.until(lambda: world.slack.member.open_view())
    with pytest.raises(ClientRefused):
        await world.slack.member.submit_view({"factor": "11"})
    outcome = await world.slack.member.submit_view({"factor": "3"})
    assert list(outcome.errors) == ["image"]
    assert world.slack.member.open_view()
    assert world.service.rows == {}


async def test_the_global_shortcut_opens_the_form_and_the_result_comes_directly(world: World) -> None:
    await world.slack.member.global_shortcut()
    await world.until(lambda: world.slack.member.open_view())
    await world.slack.member.submit_view({"image": [world.picture().id]})
    await world.until(lambda: [m for m in world.slack.member.dms() if " is ready" in m.text], move=0.2)


async def test_the_message_shortcut_upscales_the_picture_of_a_message(world: World) -> None:
    post = world.slack.member.post("look at my holiday", [world.picture()], user="ben")
    outcome = await world.slack.member.message_shortcut(post)
    assert outcome.acked
    result = await world.result()
    assert result.thread_ts == post.ts
    (row,) = world.service.rows.values()
    assert row.job.requester.user_name == "anna"


async def test_the_message_shortcut_takes_parameters_from_ones_own_message(world: World) -> None:
    post = world.slack.member.post("factor=3", [world.picture()])
    await world.slack.member.message_shortcut(post)
    await world.result()
    assert next(iter(world.service.rows.values())).job.parameters.factor == 3


async def test_the_message_shortcut_on_several_pictures_offers_a_choice_with_the_total(world: World) -> None:
    post = world.slack.member.post("two", [world.picture("a.png"), world.picture("b.png")])
    await world.slack.member.message_shortcut(post)
    view = await world.until(lambda: world.slack.member.open_view())
    await world.until(lambda: "about $0.20" in text_of(view))
    await world.slack.member.submit_view({"pick": [post.files[1]]})
    result = await world.result()
    assert "b.png" in result.text
    assert result.thread_ts == post.ts
    assert len(world.service.rows) == 1


@pytest.mark.parametrize("said", [-1, 0, 1 << 70, 1e308, float("nan"), "wide", "9" * 5_000, [], True])
async def test_a_form_over_pictures_of_which_slack_says_nonsense_opens_without_a_total(
    world: World, said: object
) -> None:
    files = [world.picture("a.png"), world.picture("b.png")]
    files[1].lies = {"original_w": said}
    await world.slack.member.message_shortcut(world.slack.member.post("two", files))
    view = await world.until(lambda: world.slack.member.open_view())
    await world.slack.member.submit_view({"pick": [files[1].id]})
    await world.result()
    assert "about $" not in text_of(view)
    assert world.service.caught == []


async def test_a_message_without_a_picture_is_answered_only_to_the_one_who_asked(world: World) -> None:
    post = world.slack.member.post("no picture here")
    await world.slack.member.message_shortcut(post)
    told = await world.until(lambda: [m for m in world.bot_messages() if m.ephemeral_for])
    assert "There is no image to upscale." in text_of(told[0])
    assert world.bot_messages(user="ben") == []


async def test_a_link_in_the_command_is_taken_in_slacks_own_writing(world: World) -> None:
    await world.slack.member.command(text="<https://example.com/a.png?x=1&amp;y=2|example.com> factor=3")
    await world.until(lambda: world.service.rows)
    (row,) = world.service.rows.values()
    assert row.job.source.kind == "link"
    assert row.job.source.url == "https://example.com/a.png?x=1&y=2"
    assert row.job.parameters.factor == 3


async def test_a_link_to_a_file_of_this_slack_is_fetched_as_a_file(world: World) -> None:
    picture = world.picture()
    world.slack.member.post("here", [picture])
    await world.slack.member.command(text=f"https://acme.slack.com/files/{picture.user}/{picture.id}/photo.png 2x")
    await world.result()
    assert next(iter(world.service.fetched.values())) == picture.data


async def test_typographic_signs_are_understood(world: World) -> None:
    await world.upscaled("—creativity “0,5”\u00a0–-steps 12")
    p = next(iter(world.service.rows.values())).job.parameters
    assert (p.creativity, p.steps) == (0.5, 12)


@pytest.mark.parametrize("typed", ["usge", "hlep", "Histroy 5", "quotas show"])
async def test_a_mistyped_word_after_the_command_is_named_with_what_there_is(world: World, typed: str) -> None:
    await world.slack.member.command(text=typed)
    (told,) = await world.until(world.told)
    word = typed.split()[0].lower()
    assert f"/upscale cannot be “{word}”. Choose help, history, privacy, queue, quota, settings, usage." in text_of(
        told
    )


async def test_every_mistake_is_named_at_once_and_nothing_starts(world: World) -> None:
    await world.slack.member.command(text="https://example.com/a.png factor=9 stepps=3")
    told = await world.until(lambda: [m for m in world.bot_messages() if m.ephemeral_for])
    words = text_of(told[0])
    assert "factor must be 1–4" in words
    assert "“steps”" in words
    assert world.service.rows == {}


async def test_a_mention_event_redelivered_is_answered_once(world: World) -> None:
    outcome = await world.slack.member.mention("factor=9", [world.picture()])
    assert outcome.acked
    await world.until(lambda: world.bot_messages())
    delivered = world.slack.delivery.delivered[-1]["payload"]
    await world.slack.delivery.send("events_api", delivered, accepts=False, attempt=1, reason="http_timeout")
    await asyncio.sleep(0.2)
    assert len(world.bot_messages()) == 1


async def test_captions_and_names_can_neither_ping_nor_format(world: World) -> None:
    await world.slack.member.mention("", [world.picture("<!channel> *x*.png")])
    result = await world.result()
    assert mentions(result.blocks, result.text) == []
    assert "<!channel> on a *red* sofa" in text_of(result)
    assert result.blocks[0]["alt_text"].startswith("A cat <!channel>")
    uploaded = world.slack.calls("files.getUploadURLExternal")[0]
    assert uploaded.args["alt_txt"].startswith("A cat")


async def test_the_members_language_is_used(world: World) -> None:
    world.slack.member.user("anna").locale = "de-DE"
    await world.slack.member.mention("", [world.picture()])
    await world.until(lambda: world.service.rows)
    assert next(iter(world.service.rows.values())).job.requester.locale == "de-DE"


async def test_a_file_that_is_no_picture_is_handed_on_too_so_that_it_is_named(world: World) -> None:
    pdf = world.slack.member.file(b"%PDF-1.7", "doc.pdf", mimetype="application/pdf")
    await world.slack.member.mention("", [pdf, world.picture()])
    await world.result()
    assert len(world.service.rows) == 2


async def test_the_bots_own_posts_and_edits_of_messages_start_nothing(world: World) -> None:
    space, member = world.slack.member.space(), world.slack.member
    for event in (
        {"type": "message", "subtype": "message_changed", "channel": member.im().id, "channel_type": "im", "ts": "1.1"},
        {"type": "message", "bot_id": space.bot_id, "user": space.bot_user_id, "channel": member.im().id,
         "channel_type": "im", "ts": "1.2", "text": "2x"},
    ):  # fmt: skip
        await world.slack.delivery.event(member._event(space, event))
    await asyncio.sleep(0.2)
    assert world.service.rows == {}
    assert world.slack.member.dms() == []


async def test_ordinary_words_around_parameters_are_no_mistake(world: World) -> None:
    await world.slack.member.mention("please upscale this, I need it 3x, thanks :heart:", [world.picture("a.png")])
    await world.slack.member.dm("bitte 3-fach für <@U2>, danke", [world.picture("b.png")])
    await world.until(lambda: len(world.service.rows) == 2)
    assert [row.job.parameters.factor for row in world.service.rows.values()] == [3.0, 3.0]


async def test_talk_without_a_picture_is_answered_with_help_but_not_every_time(world: World) -> None:
    for words in ("hello there", "thanks", "bye"):
        await world.slack.member.dm(words)
    await world.until(lambda: [m for m in world.slack.member.dms() if m.bot])
    await asyncio.sleep(0.2)
    answers = [m for m in world.slack.member.dms() if m.bot]
    assert len(answers) == 1
    assert "How to upscale an image" in text_of(answers[0])


async def test_parameters_without_a_picture_are_told_that_one_is_missing(world: World) -> None:
    await world.slack.member.mention("factor=3")
    told = await world.until(lambda: world.bot_messages())
    assert "There is no image to upscale." in text_of(told[0])
    assert told[0].ephemeral_for
