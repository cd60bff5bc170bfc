"""Every kind of message with a picture, as Discord sends it: the picture is found, or named."""

from typing import Any

import discord
import pytest

from adapters.discord.connection.payloads import readable_message
from adapters.discord.inbound.message_images import expiry_of, images_of

CDN = "https://cdn.discordapp.com"
SIGNED = "ex=67e1&is=67e0&hm=ab"
AUTHOR = {"id": "5", "username": "ann", "discriminator": "0", "avatar": None, "global_name": None}


CLIENT = discord.Client(intents=discord.Intents.none())


def _data(**parts: Any) -> dict[str, Any]:
    return {
        "id": "9", "type": 0, "channel_id": "8", "author": AUTHOR, "content": "", "tts": False, "pinned": False,
        "timestamp": "2026-11-29T10:00:00+00:00", "edited_timestamp": None, "mention_everyone": False, "mentions": [],
        "mention_roles": [], "attachments": [], "embeds": [], "components": [], "flags": 0, **parts,
    }  # fmt: skip


def _message(**parts: Any) -> discord.Message:
    channel: Any = CLIENT.get_partial_messageable(8)
    data: Any = readable_message(_data(**parts), CLIENT._connection)
    return discord.Message(state=CLIENT._connection, channel=channel, data=data)


def _file(name: str, kind: str | None = "image/png", **more: Any) -> dict[str, Any]:
    url = f"{CDN}/attachments/8/77/{name}?{SIGNED}"
    return {"id": "77", "filename": name, "size": 10, "url": url, "proxy_url": url, "content_type": kind, **more}


def _forward(**parts: Any) -> dict[str, Any]:
    kept = {name: value for name, value in _data(**parts).items() if name not in ("id", "channel_id", "author")}
    return {
        "flags": 1 << 14,
        "message_snapshots": [{"message": kept}],
        "message_reference": {"type": 1, "message_id": "7", "channel_id": "8"},
    }


def _sticker(kind: int) -> dict[str, Any]:
    return {"id": "55", "name": "wave", "format_type": kind}


def _media(name: str, kind: str = "image/png", **more: Any) -> dict[str, Any]:
    return {"url": f"{CDN}/attachments/8/77/{name}?{SIGNED}", "content_type": kind, "attachment_id": "77", **more}


def _shown(*components: dict[str, Any]) -> dict[str, Any]:
    return {"flags": 1 << 15, "components": list(components)}


def _embed(kind: str, **more: Any) -> dict[str, Any]:
    return {"embeds": [{"type": kind, "url": "https://tenor.com/view/cat-1", **more}]}


GALLERY = {"type": 12, "items": [{"media": _media("g.webp", "image/webp"), "spoiler": False}]}
PICTURE = {"url": "https://media.tenor.com/x/cat.png", "width": 498, "height": 280}
ODD = {"id": "3", "url": "https://i.imgur.com/a.jpeg", "width": 4, "height": 4}

FOUND: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a file without a type": ({"attachments": [_file("scan", None)]}, ["scan"]),
    "a photo of a phone": ({"attachments": [_file("IMG_1.HEIC", "application/octet-stream")]}, ["IMG_1.HEIC"]),
    "a private file": ({"attachments": [_file("a.png", ephemeral=True, flags=0)]}, ["a.png"]),
    "an animation": ({"attachments": [_file("a.gif", "image/gif", flags=1 << 5)]}, ["a.gif"]),
    "a sticker": ({"sticker_items": [_sticker(1)]}, ["wave.png"]),
    "an animated sticker": ({"sticker_items": [_sticker(2)]}, ["wave.png"]),
    "a sticker that is a GIF": ({"sticker_items": [_sticker(4)]}, ["wave.gif"]),
    "a forwarded file": (_forward(attachments=[_file("f.jpg", "image/jpeg")]), ["f.jpg"]),
    "a forwarded sticker": (_forward(sticker_items=[_sticker(4)]), ["wave.gif"]),
    "a forwarded embed": (_forward(**_embed("rich", image=PICTURE)), ["cat.png"]),
    "a forwarded gallery": (_forward(**_shown(GALLERY)), ["g.webp"]),
    "a gallery in a container": (_shown({"type": 17, "components": [GALLERY]}), ["g.webp"]),
    "a thumbnail beside text": (
        _shown(
            {
                "type": 9,
                "components": [{"type": 10, "content": "x"}],
                "accessory": {"type": 11, "media": _media("t.png")},
            }
        ),
        ["t.png"],
    ),
    "a file component": (_shown({"type": 13, "file": _media("x.tiff", "image/tiff")}), ["x.tiff"]),
    "a file component without a type": (_shown({"type": 13, "file": _media("raw", "")}), ["raw"]),
    "a GIF of Tenor": (_embed("gifv", thumbnail=PICTURE, video={"url": "https://media.tenor.com/x.mp4"}), ["cat.png"]),
    "a link to an image": (_embed("image", thumbnail=ODD), ["a.jpeg"]),
    "a preview of an article": (_embed("article", thumbnail=ODD), ["a.jpeg"]),
    "a preview of a video": (_embed("video", thumbnail=ODD), ["a.jpeg"]),
    "an embed with both": (_embed("rich", image=PICTURE, thumbnail=ODD), ["cat.png"]),
    "an album": ({"embeds": [{"type": "rich", "image": one} for one in (PICTURE, ODD)]}, ["cat.png", "a.jpeg"]),
    "the start of a thread": (
        {
            "type": 21,
            "message_reference": {"message_id": "7", "channel_id": "8"},
            "referenced_message": _data(id="7", attachments=[_file("first.png")]),
        },
        ["first.png"],
    ),
    "a name that would turn the text around it": (
        {
            "attachments": [_file("\u202egnp.a\n.png")],
            **_shown({"type": 12, "items": [{"media": _media("%E2%80%AEb.png")}]}),
        },
        ["gnp.a .png", "b.png"],
    ),
}
NAMED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a voice message": ({"attachments": [_file("voice-message.ogg", "audio/ogg", flags=0)]}, ("voice-message.ogg",)),
    "a video": ({"attachments": [_file("clip.mov", "video/quicktime")]}, ("clip.mov",)),
    "a sticker that is drawn": ({"sticker_items": [_sticker(3)]}, ("wave",)),
    "a forwarded video": (_forward(attachments=[_file("clip.mp4", "video/mp4")]), ("clip.mp4",)),
    "a video in a gallery": (
        _shown({"type": 12, "items": [{"media": _media("v.mp4", "video/mp4")}]}),
        ("v.mp4",),
    ),
    "a document component": (_shown({"type": 13, "file": _media("r.pdf", "application/pdf")}), ("r.pdf",)),
    "a poll": (
        {
            "poll": {
                "question": {"text": "Tea?"},
                "answers": [],
                "expiry": "2026-12-01T10:00:00+00:00",
                "allow_multiselect": False,
                "layout_type": 1,
            }
        },
        (),
    ),
    "an embed with words alone": (_embed("rich", description="words"), ()),
}
HIDDEN: dict[str, dict[str, Any]] = {
    "by its flag": {"attachments": [_file("a.png", flags=1 << 3)]},
    "by its old name": {"attachments": [_file("SPOILER_a.png")]},
    "in a gallery": _shown({"type": 12, "items": [{"media": _media("g.png"), "spoiler": True}]}),
    "in a covered container": _shown({"type": 17, "spoiler": True, "components": [GALLERY]}),
    "behind a covered link": {"content": "||https://tenor.com/view/cat-1||", **_embed("gifv", thumbnail=PICTURE)},
    "in a covered embed": _embed("image", thumbnail={**PICTURE, "flags": 1 << 3}),
    "in a forward": _forward(attachments=[_file("a.png", flags=1 << 3)]),
}


@pytest.mark.parametrize(("parts", "names"), FOUND.values(), ids=FOUND)
def test_every_picture_that_a_member_sees_is_found(parts: dict[str, Any], names: list[str]) -> None:
    found = images_of(_message(**parts))
    assert [image.name for image in found.images] == names
    assert (found.total, found.others) == (len(names), ())
    assert not any(image.spoiler for image in found.images)


@pytest.mark.parametrize(("parts", "names"), NAMED.values(), ids=NAMED)
def test_what_is_no_picture_is_named(parts: dict[str, Any], names: tuple[str, ...]) -> None:
    found = images_of(_message(**parts))
    assert (found.images, found.others) == ((), names)


@pytest.mark.parametrize("parts", HIDDEN.values(), ids=HIDDEN)
def test_what_is_hidden_stays_hidden(parts: dict[str, Any]) -> None:
    assert [image.spoiler for image in images_of(_message(**parts)).images] == [True]


def test_a_bare_address_of_a_file_is_one_that_has_expired() -> None:
    assert expiry_of(f"{CDN}/attachments/1/2/a.png") == 0.0
    assert expiry_of("https://media.discordapp.net/attachments/1/2/a.png?width=9") == 0.0
    assert expiry_of(f"{CDN}/stickers/5.gif") is None


_POLL = {"question": {"text": "?"}, "answers": [], "allow_multiselect": False, "layout_type": 1, "expiry": None}
ODD_PARTS: dict[str, dict[str, Any]] = {
    "a poll that never expires": {"poll": _POLL},
    "a poll without answers": {"poll": {"question": {}, "expiry": "soon"}},
    "a reaction without an emoji": {"reactions": [{"count": 1, "me": False, "emoji": None}]},
    "an application without an icon": {"application": {"id": "1", "name": "game"}},
    "metadata of an interaction of a new kind": {"interaction_metadata": {"id": "1", "type": 99}},
    "an old interaction without its user": {"interaction": {"id": "1", "type": 2, "name": "old"}},
    "a call without its end": {"call": {"participants": None}},
    "a subscription": {"role_subscription_data": {}},
    "a purchase of a new kind": {"purchase_notification": {"type": 99}},
    "a mention of somebody deleted": {"mentions": [{"id": "4"}], "mention_roles": None},
    "a sticker of a new kind": {"sticker_items": [{"id": "1"}]},
    "an embed with a wrong time": {"embeds": [{"type": "rich", "timestamp": "yesterday"}]},
    "a component of a new kind": {"components": [{"type": 77}, {"id": 4}]},
    "a select without options": {"components": [{"type": 1, "components": [{"type": 3}]}]},
    "a reference to nothing": {"message_reference": {}, "referenced_message": None},
    "an activity, a thread and a position": {"activity": 1, "thread": {"id": None}, "position": "x", "nonce": {}},
    "no words": {"content": None, "edited_timestamp": "x", "pinned": None},
}


@pytest.mark.parametrize("odd", ODD_PARTS.values(), ids=ODD_PARTS.keys())
def test_a_picture_is_found_beside_what_the_library_cannot_read(odd: dict[str, Any]) -> None:
    assert [image.name for image in images_of(_message(attachments=[_file("a.png")], **odd)).images] == ["a.png"]


def _container(file: Any) -> dict[str, Any]:
    return {"type": 17, "components": [{"type": 11, "media": _media("deep.png")}, {"type": 13, "file": file}]}


UNREADABLE: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "without an address": ({"attachments": [_file("a.png", url=None)]}, ("a.png",)),
    "without anything": ({"attachments": [{}]}, ("",)),
    "no object at all": ({"attachments": [None]}, ("",)),
    "of a wrong kind": ({"attachments": [_file("a.png", id="x")]}, ("a.png",)),
    "in a forward": (_forward(attachments=[_file("a.png", url=None)]), ("a.png",)),
    "in an embed": (_embed("rich", image={**PICTURE, "width": 1}, fields=[{"odd": 1}], timestamp="x"), ("cat.png",)),
    "in a component": (_shown(_container(None)), ("deep.png",)),
}


@pytest.mark.parametrize(("parts", "names"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_picture_that_cannot_be_read_is_named(parts: dict[str, Any], names: tuple[str, ...]) -> None:
    found = images_of(_message(**parts))
    assert (found.images, found.total, found.unreadable) == ((), len(names), names)


def test_a_file_is_found_although_something_else_about_it_is_odd() -> None:
    found = images_of(_message(attachments=[_file("a.png", clip_participants=7, flags={}, waveform=1)]))
    assert ([image.name for image in found.images], found.unreadable) == (["a.png"], ())


@pytest.mark.parametrize("missing", ["size", "proxy_url", "content_type", "filename"])
def test_a_file_that_says_little_of_itself_is_found(missing: str) -> None:
    file = {name: value for name, value in _file("a.png").items() if name != missing}
    assert len(images_of(_message(attachments=[file])).images) == 1
