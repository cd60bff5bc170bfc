"""Every image that a member sees in a message is an input, whatever element shows it."""

import asyncio
from typing import Any

import pytest

from adapters.slack.inbound.translate import images_of
from tests.adapters.slack.conftest import World
from tests.emulators.slack import text_of

FILE = {"id": "F1", "name": "a.png", "mimetype": "image/png"}
SHOWN: dict[str, dict[str, Any]] = {
    "file": {"files": [FILE]},
    "forwarded": {"attachments": [{"is_share": True, "files": [FILE]}]},
    "forwarded as blocks": {"attachments": [{"message_blocks": [{"message": {"files": [FILE]}}]}]},
    "image block": {"blocks": [{"type": "image", "slack_file": {"id": "F1"}, "alt_text": "a"}]},
    "image block of a forwarded message": {
        "attachments": [{"blocks": [{"type": "image", "slack_file": {"id": "F1"}, "alt_text": "a"}]}]
    },
    "picture beside text": {
        "blocks": [{"type": "section", "accessory": {"type": "image", "slack_file": {"id": "F1"}}}]
    },
    "the picture of a card in a carousel": {
        "blocks": [{"type": "carousel", "elements": [{"type": "card", "hero_image": {"slack_file": {"id": "F1"}}}]}]
    },
    "the picture of a container": {
        "blocks": [{"type": "container", "child_blocks": [{"type": "image", "slack_file": {"id": "F1"}}]}]
    },
    "a canvas, to be named": {"files": [{**FILE, "mode": "quip", "mimetype": "application/vnd.slack-docs"}]},
    "a file hidden by the plan, to be named": {"files": [{"id": "F1", "mode": "hidden_by_limit"}]},
    "a stub of another organisation's file": {
        "files": [{"id": "F1", "mode": "file_access", "file_access": "check_file_info"}]
    },
    "a Slack message unfurled from its link": {
        "attachments": [{"is_msg_unfurl": True, "from_url": "https://acme.slack.com/archives/C1/p1", "files": [FILE]}]
    },
    "forwarded twice": {"attachments": [{"is_share": True, "attachments": [{"is_share": True, "files": [FILE]}]}]},
    "declared as something else": {"files": [{**FILE, "mimetype": "application/pdf"}]},
    "a video, to be named": {"files": [{**FILE, "mimetype": "video/mp4"}]},
}
LINKS: dict[str, dict[str, Any]] = {
    "image block": {"blocks": [{"type": "image", "image_url": "https://example.org/a.png", "alt_text": "a"}]},
    "image block of a file's address": {
        "blocks": [{"type": "image", "slack_file": {"url": "https://example.org/a.png"}, "alt_text": "a"}]
    },
    "a page unfurled with its small picture": {"attachments": [{"thumb_url": "https://example.org/a.png"}]},
    "unfurled": {"attachments": [{"from_url": "https://example.org", "image_url": "https://example.org/a.png"}]},
}


@pytest.mark.parametrize("how", SHOWN)
def test_a_file_is_found_however_it_is_shown(how: str) -> None:
    assert [picture["id"] for picture in images_of(SHOWN[how])] == ["F1"]


@pytest.mark.parametrize("how", LINKS)
def test_an_address_is_found_however_it_is_shown(how: str) -> None:
    assert [picture["link"] for picture in images_of(LINKS[how])] == ["https://example.org/a.png"]


def test_the_same_picture_counts_once_and_a_deleted_one_not_at_all() -> None:
    twice = {"files": [FILE, {"id": "F2", "mode": "tombstone"}], "attachments": [{"files": [FILE]}]}
    assert [picture["id"] for picture in images_of(twice)] == ["F1"]


@pytest.mark.parametrize(
    "odd", [{"files": 3}, {"blocks": [None, 1]}, {"attachments": {"a": 1}}, {"files": [{"id": ""}]}]
)
def test_a_message_of_an_odd_shape_holds_no_picture(odd: dict[str, Any]) -> None:
    assert images_of(odd) == []


def test_a_message_nested_for_ever_ends() -> None:
    message: dict[str, Any] = {"files": [FILE]}
    for _ in range(500):
        message = {"attachments": [message]}
    assert images_of(message) == []


async def test_the_picture_of_a_forwarded_message_is_enlarged(world: World) -> None:
    post = world.slack.member.post("look at this")
    file = world.picture("forwarded.png")
    file.shared_in.add(post.channel)
    post.attachments = [{"is_share": True, "files": [{"id": file.id, "name": file.name}]}]
    await world.slack.member.message_shortcut(post)
    assert "forwarded.png" in text_of(await world.result())


async def test_more_than_ten_pictures_are_counted_out_loud(world: World) -> None:
    await world.slack.member.mention("", [world.picture(f"{number}.png") for number in range(14)])
    told = await world.until(lambda: [m for m in world.bot_messages() if "10 of 14 started" in text_of(m)], move=0.2)
    assert len(told) == 1
    assert len(world.service.rows) == 10
    await world.idle()


async def test_a_picture_posted_from_a_thread_to_the_conversation_too_is_taken(world: World) -> None:
    post = world.slack.member.post("2x", [world.picture()], world.slack.member.im().id)
    event = world.slack.message_json(post, event=True) | {"channel": post.channel, "channel_type": "im"}
    event |= {"subtype": "thread_broadcast"}
    await world.slack.delivery.event(world.slack.member._event(world.slack.member.space(), event))
    await world.until(lambda: world.service.rows, move=0.1)
    await world.idle()


@pytest.mark.parametrize("way", ["mention", "dm"])
async def test_a_request_whose_words_are_put_right_begins_and_one_that_has_begun_stays(world: World, way: str) -> None:
    send = world.slack.member.mention if way == "mention" else world.slack.member.dm
    posted = (await send("factor=99", [world.picture()])).post
    assert posted is not None
    mistakes = lambda: [m for m in world.told() if "you wrote" in text_of(m)]  # noqa: E731
    await world.until(lambda: len(mistakes()) == 1, move=0.1)
    world.slack.clock.advance(5)
    await world.slack.member.edit(posted, "factor=98")
    await world.until(lambda: len(mistakes()) == 2, move=0.1)
    await world.slack.member.edit(posted, "factor=3")
    await world.until(lambda: world.service.rows, move=0.1)
    await world.idle()
    for words in ("factor=4", "factor=97"):
        world.slack.clock.advance(5)
        await world.slack.member.edit(posted, words)
        await asyncio.sleep(0.1)
    assert [row.job.parameters.factor for row in world.service.rows.values()] == [3.0]
    assert len(mistakes()) == 2
