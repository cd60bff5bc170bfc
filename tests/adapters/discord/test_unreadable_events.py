"""Events that the library cannot parse are answered, and end no connection."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import PICTURE, Bot, upscale
from tests.emulators.discord import Upload


def _changed(bot: Bot, patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change every event that Discord sends from now on."""
    session = bot.discord.gateway.connected[0]
    send = session.send
    patch.setattr(session, "send", lambda event, data: send(event, change(data)))


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"application_id": None}, "nichts begonnen"),
        ({"data": None}, "Starte deine Discord-App neu"),
        ({"data": {"id": "1", "type": 1}}, "Starte deine Discord-App neu"),
        ({"data": {"id": "1", "name": "Upscale", "type": 3}}, "Starte deine Discord-App neu"),
        ({"type": 99}, "nichts begonnen"),
        ({"data": {"id": "1", "name": "no such command", "type": 1}}, "Starte deine Discord-App neu"),
        ({"data": {"id": "1", "name": "privacy", "type": 1, "options": []}}, "Starte deine Discord-App neu"),
        ({"type": 3, "data": {"custom_id": "of another time", "component_type": 2}}, "nicht mehr"),
        ({"type": 3, "data": {"custom_id": "up1:future:1:", "component_type": 99}}, "nicht mehr"),
        ({"type": 5, "data": {"custom_id": "of another time", "components": []}}, "nicht mehr"),
    ],
)
async def test_an_interaction_that_cannot_be_read_is_answered_by_its_id_and_token(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any], words: str
) -> None:
    missing = {name for name, value in odd.items() if value is None}
    _changed(bot, monkeypatch, lambda data: {k: v for k, v in {**data, **odd}.items() if k not in missing})
    started = await bot.discord.invoke("/upscale", {"image": PICTURE}, locale="de")
    assert words in (await started.answer()).text
    assert bot.core.jobs == {}


async def test_a_choice_that_is_not_offered_is_answered_plainly(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_choice(data: dict[str, Any]) -> dict[str, Any]:
        data["data"]["options"] = [{"name": "period", "type": 3, "value": "decade"}]
        return data

    _changed(bot, monkeypatch, other_choice)
    told = await bot.ask("/usage", {"period": "week"}, locale="de")
    assert "Starte deine Discord-App neu" in told.text


@pytest.mark.parametrize(
    ("odd", "started"), [({"flags": "x"}, 1), ({"width": "wide"}, 0), ({"size": []}, 0), ({"content_type": 5}, 0)]
)
async def test_a_picture_described_impossibly_is_read_without_that_or_told(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any], started: int
) -> None:
    def changed(data: dict[str, Any]) -> dict[str, Any]:
        for file in data["data"]["resolved"]["attachments"].values():
            file |= odd
        return data

    _changed(bot, monkeypatch, changed)
    message = await bot.ask(
        "/upscale",
        {"image": PICTURE},
        locale="de",
        test=lambda m: m.images if started else "kann diese Datei nicht sehen" in m.text,
    )
    assert len(bot.core.jobs) == started
    assert message is not None


async def test_a_menu_over_a_poll_that_never_expires_finds_the_picture(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_poll(data: dict[str, Any]) -> dict[str, Any]:
        for message in data["data"]["resolved"]["messages"].values():
            message["poll"] = {"question": {"text": "?"}, "answers": [], "expiry": None}
        return data

    _changed(bot, monkeypatch, with_poll)
    started = await bot.discord.message_menu("Upscale", bot.discord.post("", (PICTURE,)))
    await started.answer(lambda m: m.images)


async def test_a_file_that_cannot_be_read_is_told_beside_one_that_can(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_address(data: dict[str, Any]) -> dict[str, Any]:
        for holder in (data["data"]["resolved"], *data["data"]["resolved"].get("messages", {}).values()):
            files = holder.get("attachments", {})
            for file in files.values() if isinstance(files, dict) else files:
                if file["filename"] == "harbour.png":
                    del file["url"]
        return data

    _changed(bot, monkeypatch, without_address)
    other = Upload("other.png", png(100, 50))
    asked = [
        await bot.discord.invoke("/upscale", {"image": PICTURE, "image2": other}, locale="de"),
        await bot.discord.message_menu("Upscale", bot.discord.post("", (PICTURE, other)), locale="de"),
    ]
    for started in asked:
        await started.answer(lambda m: m.images)
        told = await bot.discord.until(lambda: next(iter(started.followups), None))  # noqa: B023
        assert told.text == "1 von 2 gestartet.\nNicht lesbar: harbour.png"
    alone = await bot.discord.invoke("/upscale", {"image": PICTURE}, locale="de")
    assert "kann diese Datei nicht sehen" in (await alone.answer()).text
    assert len(bot.core.jobs) == 2


async def test_an_interaction_without_an_upload_limit_is_served(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _changed(bot, patch, lambda data: {k: v for k, v in data.items() if k != "attachment_size_limit"})
        await upscale(bot)
    _changed(bot, monkeypatch, lambda data: {**data, "attachment_size_limit": None})
    await upscale(bot)


@pytest.mark.parametrize(
    "odd",
    [
        dict.fromkeys(("app_permissions", "entitlements", "channel", "locale", "context", "version"), None),
        {"authorizing_integration_owners": None},
        {"entitlements": [{"id": "1", "kind": "of another time"}]},
    ],
)
async def test_an_interaction_with_empty_fields_that_nobody_needs_is_served(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any]
) -> None:
    _changed(bot, monkeypatch, lambda data: {**data, **odd})
    await upscale(bot)


async def test_what_discord_may_add_to_the_gateway_one_day_ends_nothing(bot: Bot) -> None:
    [session] = bot.discord.gateway.connected
    assert session.socket is not None
    for op in (5, 8, 12, 31, 77):
        await session.socket.send_json({"op": op, "d": {"new": True}})
    for event in ("SOMETHING_NEW", "MESSAGE_DELETE", "VOICE_CHANNEL_EFFECT_SEND", "MESSAGE_POLL_VOTE_ADD"):
        await session.send(event, {"id": "1"})
    await session.send("MESSAGE_CREATE", {"id": "1", "type": 777})
    await upscale(bot)
    assert len(bot.discord.gateway.identifies) == 1
