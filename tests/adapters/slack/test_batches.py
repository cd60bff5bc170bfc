"""Several images at once: a total price above the threshold must be confirmed first."""

import asyncio
from typing import Any

import pytest

from adapters.slack.outbound.api_client import SlackApi
from tests.adapters.slack.conftest import World
from tests.emulators.slack import Message, text_of
from tests.emulators.slack.world import SlackFile
from tests.typed import unwrap

DEAR = {"original_w": 1500, "original_h": 1500}
"""9 megapixels at 2×: $0.90."""


async def asked(world: World, channel: str = "general") -> Message:
    """Wait for the question; no job has started."""
    shows = lambda: [m for m in world.slack.member.messages(channel) if "job:all:" in str(m.blocks)]  # noqa: E731
    questions: list[Message] = await world.until(shows, move=0.1)
    assert (len(questions), world.service.rows) == (1, {})
    return questions[0]


def dear(world: World, count: int = 4) -> list[SlackFile]:
    return [world.picture(f"{number}.png", lies=DEAR) for number in range(1, count + 1)]


@pytest.mark.parametrize("way", ["mention", "dm"])
async def test_pictures_that_are_dear_only_together_are_asked_about_with_their_total(world: World, way: str) -> None:
    send = world.slack.member.mention if way == "mention" else world.slack.member.dm
    outcome = await send("", dear(world))
    question = await asked(world, "general" if way == "mention" else world.slack.member.im().id)
    assert "All 4 for $3.60" in text_of(question)
    assert "2.png" in text_of(question)
    assert "1500×1500 · $0.90" in text_of(question)
    if way == "mention":
        assert question.thread_ts == unwrap(outcome.post).ts
    assert (await world.slack.member.click(question, "job:all:")).acked
    assert len(world.service.rows) == 4
    await world.until(lambda: "4 images started." in text_of(question), move=0.1)
    assert "job:all:" not in str(question.blocks)
    await world.idle()


async def test_the_ticked_ones_begin_and_nobody_else_may_choose(world: World) -> None:
    await world.slack.member.mention("3x", dear(world))
    question = await asked(world)
    await world.slack.member.click(question, "job:all:", user="ben")
    await world.slack.member.click(question, "job:pick:")
    told = await world.until(lambda: [m for m in world.bot_messages() if m.ephemeral_for], move=0.1)
    assert world.service.rows == {}
    await world.slack.member.click(question, "job:pick:", ticked=["0", "3"])
    begun = [(row.job.source.name, row.job.parameters.factor) for row in world.service.rows.values()]
    assert begun == [("1.png", 3.0), ("4.png", 3.0)]
    await world.slack.member.click(question, "job:all:") if "job:all:" in str(question.blocks) else None
    assert len(world.service.rows) == 2
    assert told
    await world.idle()


async def test_the_same_event_asks_once_and_a_restart_forgets_no_question(world: World) -> None:
    world.slack.mention_mode = "both"
    await world.slack.member.mention("", dear(world, 2))
    question = await asked(world)
    assert "Both for $1.80" in text_of(question)
    await world.restart()
    await world.slack.member.click(question, "job:all:")
    await world.until(lambda: len(world.service.rows) == 2, move=0.1)
    await world.idle()


async def test_prices_that_slack_cannot_tell_beforehand_are_asked_about(world: World) -> None:
    post = world.slack.member.post("", user="ben")
    post.attachments = [{"image_url": f"https://example.org/{name}.png"} for name in ("a", "b")]
    await world.slack.member.message_shortcut(post)
    question = (await world.until(lambda: [m for m in world.bot_messages() if m.ephemeral_for], move=0.1))[0]
    assert "price known after reading" in text_of(question)
    assert "All 2" in text_of(question)
    assert "$0.00" not in text_of(question)
    assert world.service.rows == {}


async def test_a_size_that_the_event_leaves_out_is_asked_of_slack(world: World) -> None:
    await world.slack.member.mention("", [world.picture(f"{n}.png", stub_in_events=True) for n in (1, 2)])
    await world.until(lambda: len(world.service.rows) == 2, move=0.1)
    await world.idle()


async def test_files_that_slack_has_not_looked_at_yet_are_waited_for_and_a_pdf_is_no_reason_to_ask(
    world: World,
) -> None:
    ready_at_s = world.slack.clock.now() + 0.4
    pdf = world.slack.member.file(b"%PDF-1.7", "doc.pdf", mimetype="application/pdf", processed_at_s=ready_at_s)
    files = [world.picture(processed_at_s=ready_at_s), pdf]
    sent = asyncio.create_task(world.slack.member.mention("", files))
    await world.until(lambda: len(world.service.rows) == 2, move=0.1)
    assert (await sent).acked
    await world.idle()


async def test_a_file_that_is_no_image_is_said_to_be_none_beside_dear_ones(world: World) -> None:
    pdf = world.slack.member.file(b"%PDF-1.7", "doc.pdf", mimetype="application/pdf")
    await world.slack.member.mention("", [*dear(world), pdf])
    (question,) = await world.until(lambda: [m for m in world.bot_messages() if "job:pick" in str(m.blocks)], move=0.1)
    assert "doc.pdf\nnot an image" in text_of(question)
    assert "$0.00" not in text_of(question)


async def test_a_total_that_the_form_has_shown_is_not_asked_about_again_but_a_dearer_one(world: World) -> None:
    post = world.slack.member.post("four", dear(world))
    await world.slack.member.message_shortcut(post)
    view = await world.until(lambda: world.slack.member.open_view())
    await world.until(lambda: "about $3.60" in text_of(view))
    await world.slack.member.submit_view({"factor": "4"})
    question = (await world.until(lambda: [m for m in world.bot_messages() if m.ephemeral_for], move=0.1))[0]
    assert "All 4 for $14.40" in text_of(question)
    assert world.service.rows == {}
    await world.slack.member.message_shortcut(post)
    view = await world.until(lambda: world.slack.member.open_view())
    await world.until(lambda: "about $3.60" in text_of(view))
    await world.slack.member.submit_view({})
    await world.until(lambda: len(world.service.rows) == 4, move=0.1)
    await world.idle()


async def test_a_second_press_at_once_starts_nothing_and_says_nothing(world: World) -> None:
    await world.slack.member.mention("", dear(world))
    question = await asked(world)
    await asyncio.gather(*(world.slack.member.click(question, "job:all:") for _ in range(2)))
    await world.until(lambda: "4 images started." in text_of(question), move=0.1)
    assert len(world.service.rows) == 4
    assert not [m for m in world.bot_messages() if m.ephemeral_for]
    await world.idle()


async def _edited(world: World, words: str) -> Message:
    """Ask about three dear images, and edit the words of their message."""
    posted = (await world.slack.member.mention("", dear(world, 3))).post
    assert posted is not None
    question = await asked(world)
    world.slack.clock.advance(5)
    await world.slack.member.edit(posted, words)
    return question


async def test_a_question_whose_images_were_started_with_other_words_is_closed(world: World) -> None:
    question = await _edited(world, "factor=1")
    await world.until(lambda: len(world.service.rows) == 3, move=0.1)
    await world.until(lambda: "3 images started." in text_of(question), move=0.1)
    assert "Total: $0.90" in text_of(question)
    assert "job:all:" not in str(question.blocks)
    await world.idle()


async def test_an_edited_message_that_is_still_dear_replaces_its_question(world: World) -> None:
    question = await _edited(world, "factor=4")
    await world.until(lambda: "All 3 for $10.80" in text_of(question), move=0.1)
    assert len([m for m in world.bot_messages() if "job:all:" in str(m.blocks)]) == 1
    await world.slack.member.click(question, "job:all:")
    await world.until(lambda: len(world.service.rows) == 3, move=0.1)
    assert {row.job.parameters.factor for row in world.service.rows.values()} == {4.0}
    await world.idle()


def _questions(world: World) -> list[Message]:
    return [m for m in world.bot_messages() if "job:all:" in str(m.blocks)]


async def test_a_question_that_slack_refuses_in_every_way_is_asked_when_the_event_comes_again(world: World) -> None:
    for method in ("chat.postMessage", "chat.postEphemeral", "conversations.open"):
        world.slack.fault(method, error="restricted_action")
    assert not (await world.slack.member.mention("", dear(world))).acked
    await world.until(lambda: _questions(world), move=1.0)
    await world.slack.member.click(_questions(world)[0], "job:all:")
    assert len(world.service.rows) == 4
    await world.idle()


@pytest.mark.parametrize(("posted", "may_read", "shown"), [(False, False, 1), (True, True, 1), (True, False, 2)])
async def test_a_process_that_dies_while_it_asks_leaves_the_question_to_another(
    world: World, monkeypatch: pytest.MonkeyPatch, posted: bool, may_read: bool, shown: int
) -> None:
    """A question whose post may have succeeded is looked for, if the bot may read the channel; else shown again."""
    real, posts = SlackApi.post, []

    async def dies_once(api: SlackApi, *args: Any, **how: Any) -> Any:
        posts.append(how)
        if len(posts) > 1 or posted:
            answer = await real(api, *args, **how)
        if len(posts) == 1:
            raise asyncio.CancelledError
        return answer

    if may_read:
        world.grant_history()
        await world.slack.member.mention("usage")  # the answer names the token's scopes
        await world.until(lambda: world.bot_messages())
    monkeypatch.setattr(SlackApi, "post", dies_once)
    await world.slack.member.mention("", dear(world))
    await world.until(lambda: len(_questions(world)) == shown, move=1.0)
    await world.until(lambda: any(value.get("shown") for value in _stored(world)), move=1.0)
    assert len(_questions(world)) == shown
    await world.slack.member.click(_questions(world)[-1], "job:all:")
    assert len(world.service.rows) == 4
    await world.idle()


def _stored(world: World) -> list[Any]:
    return [value for (area, _), value in world.state.values.items() if area == "slack.batch"]
