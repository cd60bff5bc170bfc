"""The emulator enforces Slack's rules: typical mistakes of an adapter must fail against it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.emulators.slack import SlackEmulator
from tests.fakes.media import png


@pytest.fixture
async def client(slack: SlackEmulator) -> AsyncIterator[AsyncWebClient]:
    async with aiohttp.ClientSession() as session:
        yield AsyncWebClient("xoxb-acme-bot-token", base_url=slack.api_url, session=session, retry_handlers=[])


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


def section(text: str = "x") -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


async def uploaded(slack: SlackEmulator, client: AsyncWebClient, name: str = "a.png") -> str:
    started = await client.files_getUploadURLExternal(filename=name, length=len(png()))
    async with aiohttp.ClientSession() as session, session.post(started["upload_url"], data=png()) as answer:
        assert answer.status == 200
    await client.files_completeUploadExternal(files=[{"id": started["file_id"], "title": name}])
    return str(started["file_id"])


async def test_every_argument_style_of_the_sdk_is_read(slack: SlackEmulator, client: AsyncWebClient) -> None:
    channel = slack.member.channel().id
    assert (await client.auth_test())["team_id"] == "T0ACME00001"
    posted = await client.chat_postMessage(channel=channel, text="hi", blocks=[section()])
    assert (await client.users_info(user="U0ANNA0001", include_locale=True))["user"]["locale"] == "en-US"
    await client.chat_delete(channel=channel, ts=posted["ts"])
    await client.files_upload_v2(content=png(), filename="a.png", channel=channel)
    await asyncio.sleep(0.1)
    assert [len(m.files) for m in slack.member.messages()] == [1]


async def test_tokens_scopes_and_workspaces_are_checked(slack: SlackEmulator, client: AsyncWebClient) -> None:
    slack.world.add_workspace("T0BETA00002", "Beta", token="xoxb-beta")
    assert await refused(client.chat_postMessage(channel="C0GENE0002", text="x")) == "channel_not_found"
    assert await refused(client.chat_postMessage(channel="C0QUIE0001", text="x")) == "not_in_channel"
    assert await refused(client.conversations_info(channel="C0GENE0001")) == "missing_scope"
    assert await refused(client.conversations_list()) == "unknown_method"
    assert await refused(client.auth_test(token="xoxb-no")) == "invalid_auth"
    slack.member.revoke(state="token_revoked")
    assert await refused(client.auth_test()) == "token_revoked"


async def test_tiers_answer_429_with_retry_after(slack: SlackEmulator, client: AsyncWebClient) -> None:
    channel = slack.member.channel().id
    posted = await client.chat_postMessage(channel=channel, text="hi")
    for _ in range(50):
        await client.chat_update(channel=channel, ts=posted["ts"], text="x")
    with pytest.raises(SlackApiError) as caught:
        await client.chat_update(channel=channel, ts=posted["ts"], text="x")
    assert caught.value.response.status_code == 429
    assert int(caught.value.response.headers["Retry-After"]) > 0
    slack.clock.advance(61)
    assert await client.chat_update(channel=channel, ts=posted["ts"], text="x")


async def test_a_file_can_be_shown_only_when_processed_and_not_by_an_edit(
    slack: SlackEmulator, client: AsyncWebClient
) -> None:
    slack.processing_s = 30
    channel = slack.member.channel().id
    file_id = await uploaded(slack, client)
    image = {"type": "image", "slack_file": {"id": file_id}, "alt_text": "x"}
    assert await refused(client.chat_postMessage(channel=channel, text="x", blocks=[image])) == "invalid_blocks"
    slack.clock.advance(31)
    plain = await client.chat_postMessage(channel=channel, text="x")
    await client.chat_update(channel=channel, ts=plain["ts"], text="x", blocks=[image])
    assert slack.member.messages()[-1].broken_files == {file_id}
    slack.clock.advance(5)
    assert await client.chat_postMessage(channel=channel, text="x", blocks=[image])
    webp = await uploaded(slack, client, "a.webp")
    slack.clock.advance(31)
    image["slack_file"] = {"id": webp}
    assert await refused(client.chat_postMessage(channel=channel, text="x", blocks=[image])) == "invalid_blocks"


async def test_ephemeral_messages_hold_no_file_and_are_not_edited(slack: SlackEmulator, client: AsyncWebClient) -> None:
    channel = slack.member.channel().id
    slack.processing_s = 0
    image = {"type": "image", "slack_file": {"id": await uploaded(slack, client)}, "alt_text": "x"}
    call = client.chat_postEphemeral(channel=channel, user="U0ANNA0001", text="x", blocks=[image])
    assert await refused(call) == "invalid_blocks"
    told = await client.chat_postEphemeral(channel=channel, user="U0ANNA0001", text="x")
    assert await refused(client.chat_update(channel=channel, ts=told["message_ts"], text="y")) == "message_not_found"


async def test_streams_need_a_thread_and_recipients_block_edits_and_die(
    slack: SlackEmulator, client: AsyncWebClient
) -> None:
    channel = slack.member.channel().id
    parent = slack.member.post("hi")
    args: dict[str, Any] = {"channel": channel, "thread_ts": parent.ts}
    assert await refused(client.chat_startStream(**args)) == "missing_recipient_user_id"
    args |= {"recipient_user_id": "U0ANNA0001", "recipient_team_id": "T0ACME00001"}
    started = await client.chat_startStream(**args)
    ts = started["ts"]
    assert await refused(client.chat_update(channel=channel, ts=ts, text="x")) == "streaming_state_conflict"
    bad = [{"type": "task_update", "id": "1", "title": "x", "status": "done"}]
    assert await refused(client.chat_appendStream(channel=channel, ts=ts, chunks=bad)) == "invalid_chunks"
    slack.clock.advance(301)
    dead = client.chat_appendStream(channel=channel, ts=ts, markdown_text="x")
    assert await refused(dead) == "message_not_in_streaming_state"
    slack.stream_kinds = {"im"}
    assert await refused(client.chat_startStream(**args)) == "channel_type_not_supported"


@pytest.mark.parametrize("block", [
    section(""),
    section("x" * 3001),
    {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}},
    {"type": "context", "elements": []},
    {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x" * 76}}]},
    {"type": "actions", "elements": [{"type": "button", "text": {"type": "mrkdwn", "text": "x"}}]},
    {"type": "image", "alt_text": "x"},
    {"type": "image", "image_url": "https://x/a.png", "alt_text": ""},
    {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": ""}]}]},
    {"type": "input", "label": {"type": "plain_text", "text": "x"}, "element": {"type": "file_input"}},
    {"type": "nonsense"},
])  # fmt: skip
async def test_wrong_blocks_are_refused(slack: SlackEmulator, client: AsyncWebClient, block: dict[str, Any]) -> None:
    channel = slack.member.channel().id
    assert await refused(client.chat_postMessage(channel=channel, text="x", blocks=[block])) == "invalid_blocks"


async def test_a_response_url_works_five_times_within_thirty_minutes(slack: SlackEmulator) -> None:
    url = slack.delivery.new_response_url("T0ACME00001", slack.member.channel().id, "U0ANNA0001")
    other = slack.delivery.new_response_url("T0ACME00001", slack.member.channel().id, "U0ANNA0001")
    async with aiohttp.ClientSession() as session:
        statuses = []
        for _ in range(6):
            async with session.post(url, json={"text": "x"}) as answer:
                statuses.append(answer.status)
        slack.clock.advance(1801)
        async with session.post(other, json={"text": "x"}) as answer:
            statuses.append(answer.status)
    assert statuses == [200] * 5 + [404, 404]


async def test_bytes_sent_with_a_token_or_of_another_length_are_noticed(slack: SlackEmulator) -> None:
    client = AsyncWebClient("xoxb-acme-bot-token", base_url=slack.api_url)
    started = await client.files_getUploadURLExternal(filename="a.png", length=10)
    async with aiohttp.ClientSession() as session:
        async with session.post(started["upload_url"], data=b"short") as answer:
            assert answer.status == 400
        async with session.post(started["upload_url"], data=b"0" * 10, headers={"Authorization": "Bearer x"}) as answer:
            assert answer.status == 200
    assert slack.violations == ["upload host: a token was sent with the bytes"]
    slack.violations.clear()
