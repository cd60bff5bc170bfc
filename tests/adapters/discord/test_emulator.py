"""The emulator refuses what Discord refuses. Uses plain HTTP, so that no library hides a fault."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.adapters.discord.fake_service import png
from tests.adapters.discord.raw import V2, Raw, gallery, text, v2
from tests.emulators.discord import ClientRefused, Fault, Upload, schema
from tests.emulators.discord.world import SEND_MESSAGES


async def test_the_first_answer_is_due_within_three_seconds(raw: Raw) -> None:
    started = await raw.begin()
    raw.discord.clock.advance(3.1)
    status, body = await raw.answer(started, 5)
    assert (status, body["code"]) == (404, 10062)


async def test_a_second_answer_is_refused(raw: Raw) -> None:
    started = await raw.begin()
    assert (await raw.answer(started, 5))[0] == 200
    status, body = await raw.answer(started, 5)
    assert (status, body["code"]) == (400, 40060)


async def test_an_unanswered_or_foreign_token_is_unknown_and_an_old_one_invalid(raw: Raw) -> None:
    started = await raw.begin()
    assert (await raw.edit(started, v2(text())))[1]["code"] == 10015
    await raw.answer(started, 5)
    assert (await raw.edit(started, v2(text())))[0] == 200
    raw.discord.clock.advance(15 * 60)
    status, body = await raw.edit(started, v2(text()))
    assert (status, body["code"]) == (401, 50027)
    assert raw.discord.limits.invalid_requests == 1


async def test_a_deleted_answer_is_an_unknown_message(raw: Raw) -> None:
    started = await raw.deferred()
    started.interaction.original.deleted = True  # type: ignore[union-attr]
    assert (await raw.edit(started, v2(text())))[1]["code"] == 10008


async def test_user_installs_have_five_follow_ups(raw: Raw) -> None:
    raw.discord.limits.webhook = (100, 1.0)
    started = await raw.begin(install="user")
    await raw.answer(started, 4, v2(text()))
    codes = [(await raw.call("POST", f"{raw.hook(started)}?wait=1", json=v2(text())))[0] for _ in range(6)]
    assert codes == [200] * 5 + [400]


async def test_user_installs_without_the_right_are_forced_to_be_private(raw: Raw) -> None:
    raw.discord.guild.permissions[raw.discord.user.id] = SEND_MESSAGES
    started = await raw.begin(install="user")
    _, body = await raw.answer(started, 5)
    assert body["interaction"]["response_message_ephemeral"] is True


async def test_a_deferral_takes_only_the_private_flag(raw: Raw) -> None:
    started = await raw.begin()
    status, body = await raw.answer(started, 5, {"flags": V2})
    assert (status, body["code"]) == (400, 50035)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (v2(*[text(str(n)) for n in range(41)]), "40"),
        (v2(text("x" * 3000), text("y" * 1001)), "4001"),
        (v2(text(), content="legacy"), "components V2"),
        ({"components": [text()]}, "IS_COMPONENTS_V2"),
        (v2(gallery("missing.png")), "was not found"),
        (v2({"type": 1, "components": [{"type": 2, "style": 1, "label": "a", "custom_id": "x" * 101}]}), "100"),
        (v2({"type": 1, "components": [{"type": 2, "style": 1, "label": "x" * 81, "custom_id": "a"}]}), "80"),
        (v2({"type": 1, "components": [{"type": 2, "style": 5, "label": "a", "url": "ftp://x"}]}), "Scheme"),
        (v2({"type": 1, "components": [{"type": 2, "style": 1, "label": "a"}]}), "custom_id"),
        (v2({"type": 17, "components": []}), "length"),
        (v2({"type": 13, "file": {"url": "https://x.example/a"}}), "attachment://"),
    ],
)
async def test_components_that_discord_would_refuse(raw: Raw, body: Any, word: str) -> None:
    started = await raw.deferred()
    status, answer = await raw.edit(started, body)
    assert (status, answer["code"]) == (400, 50035)
    assert word in json.dumps(answer)
    assert raw.discord.violations


async def test_two_buttons_with_one_custom_id_are_refused(raw: Raw) -> None:
    started = await raw.deferred()
    button = {"type": 2, "style": 1, "label": "a", "custom_id": "same"}
    status, _ = await raw.edit(started, v2({"type": 1, "components": [button, button]}))
    assert status == 400


async def test_a_message_that_became_v2_stays_v2(raw: Raw) -> None:
    started = await raw.deferred()
    await raw.edit(started, v2(text()))
    assert (await raw.edit(started, {"flags": 0, "components": []}))[0] == 400


async def test_attachments_are_kept_only_as_listed_and_named_only_with_their_name(raw: Raw) -> None:
    started = await raw.deferred()
    _, message = await raw.edit(started, v2(gallery("a.png"), attachments=[{"id": 0}]), ("a.png", png()))
    assert message["attachments"] == []
    kept = message["components"][0]["items"][0]["media"]["attachment_id"]

    by_id = v2(gallery("a.png"), attachments=[{"id": kept}])
    assert (await raw.edit(started, by_id))[0] == 400
    with_name = v2(gallery("a.png"), attachments=[{"id": kept, "filename": "a.png"}])
    assert (await raw.edit(started, with_name))[0] == 200
    assert (await raw.edit(started, v2(gallery("a.png"), attachments=[])))[0] == 400


async def test_names_are_rewritten_so_a_reference_to_the_sent_name_misses(raw: Raw) -> None:
    started = await raw.deferred()
    name = "my pic é.png"
    assert (await raw.edit(started, v2(gallery(name)), (name, png())))[0] == 400


async def test_sizes_are_limited_per_file_and_per_request(raw: Raw) -> None:
    raw.discord.limits.webhook = (100, 1.0)
    started = await raw.deferred(attachment_size_limit=1000)
    assert (await raw.edit(started, v2(gallery("a.bin")), ("a.bin", b"x" * 1001)))[0] == 413
    rich = await raw.deferred(attachment_size_limit=500 * 2**20)
    status, body = await raw.edit(rich, v2(gallery("a.bin")), ("a.bin", b"x" * (26 * 2**20)))
    assert (status, body["code"]) == (413, 40005)
    assert (await raw.edit(rich, v2(gallery("a.bin")), ("a.bin", b"")))[0] == 400


async def test_limits_answer_429_with_via_and_the_time_to_wait(raw: Raw) -> None:
    started = await raw.deferred()
    statuses = [(await raw.edit(started, v2(text(str(n)))))[0] for n in range(6)]
    assert statuses == [200] * 5 + [429]
    url = f"{raw.discord.api_url}{raw.hook(started)}/messages/@original"
    async with raw.session.patch(url, json=v2(text())) as response:
        assert response.headers["Via"]
        assert response.headers["Content-Type"] == "application/json"
        assert 0 < (await response.json())["retry_after"] <= 2
    assert raw.discord.limits.invalid_requests == 2


async def test_too_many_invalid_requests_ban_the_address(raw: Raw) -> None:
    raw.discord.limits.invalid_cap = 3
    for _ in range(3):
        assert (await raw.call("GET", "/users/@me", headers={"Authorization": "Bot wrong"}))[0] == 401
    async with raw.session.get(f"{raw.discord.api_url}/users/@me") as response:
        assert response.status == 429
        assert "Via" not in response.headers


async def test_private_answers_cannot_be_edited_with_the_bot_token(raw: Raw) -> None:
    started = await raw.begin()
    _, body = await raw.answer(started, 5, {"flags": 64})
    path = f"/channels/{raw.discord.channel.id}/messages/{body['resource']['message']['id']}"
    assert (await raw.call("PATCH", path, json=v2(text())))[1]["code"] == 10008


async def test_the_bot_reaches_only_channels_that_it_sees(raw: Raw) -> None:
    private = raw.discord.world.add_private_channel(raw.discord.user, raw.discord.world.add_user("bob"))
    elsewhere = raw.discord.world.add_channel(raw.discord.world.add_guild("E", bot_inside=False))
    for channel in (private, elsewhere):
        assert (await raw.call("POST", f"/channels/{channel.id}/messages", json=v2(text())))[1]["code"] == 50001
    raw.discord.channel.bot_permissions &= ~SEND_MESSAGES
    path = f"/channels/{raw.discord.channel.id}/messages"
    assert (await raw.call("POST", path, json=v2(text())))[1]["code"] == 50013


async def test_a_nonce_gives_the_first_message_again(raw: Raw) -> None:
    body = v2(text(), nonce="abc", enforce_nonce=True)
    path = f"/channels/{raw.discord.channel.id}/messages"
    first, second = [(await raw.call("POST", path, json=body))[1]["id"] for _ in range(2)]
    assert first == second


async def test_file_addresses_are_signed_and_expire(raw: Raw) -> None:
    message = raw.discord.post("", (Upload("a.png", png()),))
    url = raw.discord.cdn.url(message.attachments[0])
    async with raw.session.get(url) as response:
        assert await response.read() == png()
    async with raw.session.get(url.replace("hm=", "hm=0")) as response:
        assert response.status == 404
    raw.discord.clock.advance(15 * 24 * 3600)
    async with raw.session.get(url) as response:
        assert response.status == 404


@pytest.mark.parametrize(
    "commands",
    [
        [{"name": "Upper", "description": "d"}],
        [{"name": "a", "description": "x" * 101}],
        [{"name": "a", "description": "d"}, {"name": "a", "description": "d"}],
        [{"name": "a", "description": "d", "options": [{"type": 3, "name": "x", "description": ""}]}],
        [{"name": "a", "description": "d", "options": [
            {"type": 3, "name": "x", "description": "d"},
            {"type": 3, "name": "y", "description": "d", "required": True}]}],
        [{"name": "a", "description": "d", "options": [
            {"type": 10, "name": "x", "description": "d", "min_value": 4, "max_value": 1}]}],
        [{"name": "a", "description": "d", "name_localizations": {"xx": "a"}}],
        [{"name": "Menu", "type": 3, "description": "not here"}],
        [{"name": "a", "description": "d", "options": [
            {"type": 3, "name": f"o{n}", "description": "d"} for n in range(26)]}],
        [{"name": f"m{n}", "type": 3} for n in range(16)],
    ],
)  # fmt: skip
async def test_commands_that_discord_would_refuse(raw: Raw, commands: Any) -> None:
    path = f"/applications/{raw.discord.world.application_id}/commands"
    status, body = await raw.call("PUT", path, json=commands)
    assert (status, body["code"]) == (400, 50035)


async def test_the_gateway_wants_space_between_identifies_and_replays_on_resume(raw: Raw) -> None:
    discord = raw.discord
    identify = {"op": 2, "d": {"token": discord.token, "intents": 0, "properties": {}}}
    async with raw.session.ws_connect(discord.gateway.url) as socket:
        assert (await socket.receive_json())["op"] == 10
        await socket.send_json(identify)
        ready = await socket.receive_json()
        assert ready["t"] == "READY"
        async with raw.session.ws_connect(discord.gateway.url) as second:
            await second.receive_json()
            await second.send_json(identify)
            assert await second.receive_json() == {"op": 9, "d": False}
        assert discord.gateway.spacing_violations
        await discord.gateway.drop()
    await raw.begin()
    async with raw.session.ws_connect(discord.gateway.url) as socket:
        await socket.receive_json()
        resume = {"token": discord.token, "session_id": ready["d"]["session_id"], "seq": ready["s"]}
        await socket.send_json({"op": 6, "d": resume})
        events = [(await socket.receive_json())["t"] for _ in range(2)]
    assert events == ["INTERACTION_CREATE", "RESUMED"]


async def test_a_wrong_token_is_turned_away_by_the_gateway(raw: Raw) -> None:
    async with raw.session.ws_connect(raw.discord.gateway.url) as socket:
        await socket.receive_json()
        await socket.send_json({"op": 2, "d": {"token": "wrong", "intents": 0}})
        await socket.receive()
        assert socket.close_code == 4004


async def test_ordered_faults_happen_before_or_after_the_effect(raw: Raw) -> None:
    started = await raw.begin()
    raw.discord.faults = [Fault("/callback", "reset"), Fault("/callback", "reset_after")]
    for acknowledged in (False, True):
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await raw.answer(started, 5)
        await asyncio.sleep(0.01)
        assert (started.interaction.acked_s is not None) == acknowledged


async def test_the_members_client_refuses_what_it_knows_to_be_wrong(raw: Raw) -> None:
    discord = raw.discord
    for options in ({"factor": 5.0}, {"unknown": 1}, {"factor": "two"}):
        with pytest.raises(ClientRefused):
            await discord.invoke("/upscale", options)
    with pytest.raises(ClientRefused):
        await discord.invoke("/other")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (v2(text()), []),
        (v2(gallery("a.png")), []),
        (v2(text("x" * 4001)), [".components.0.content"]),
        (v2({"type": 99}), [".components.0"]),
        ({"flags": "1"}, [".flags"]),
    ],
    ids=["a text", "a picture", "too long a text", "no such component", "a number in quotes"],
)
def test_a_body_that_discords_schema_refuses_is_refused_at_its_field(body: dict[str, Any], where: list[str]) -> None:
    assert [path for path, _, _ in schema.check("webhook_edit", body)] == where
