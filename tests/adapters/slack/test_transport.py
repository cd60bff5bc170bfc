"""Socket Mode with failures, signed HTTP, and draining."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from structlog.testing import capture_logs

from adapters.slack.connection.app import MAX_BODY_BYTES
from adapters.slack.connection.socket_mode import FRAMES_AT_ONCE, SocketTimeouts
from tests.adapters.slack import conftest
from tests.adapters.slack.conftest import World, make_world
from tests.emulators.slack import SlackEmulator, text_of
from tests.fakes.loop_turns import counted_turns


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here lost sockets are waited for."""
    times = SocketTimeouts(1.0, look_every_s=0.05, lost_after_s=0.4, close_s=0.3, ping_s=0.4, first_pause_s=0.05)
    monkeypatch.setattr(conftest, "TIMES", times)


async def test_a_recycled_socket_is_replaced_and_nothing_is_lost(world: World) -> None:
    await world.slack.socket.warn("refresh_requested")
    await world.until(lambda: [c for c in world.slack.socket.connections if not c.leaving])
    assert (await world.slack.member.mention("", [world.picture()])).acked
    assert await world.result()


async def test_a_lost_connection_shows_in_readiness_and_comes_back(world: World) -> None:
    assert await world.adapter.problem() is None
    await world.slack.socket.drop()
    world.slack.socket.refuse_handshakes = 2
    problem: str | None = None
    for _ in range(200):
        problem = problem or await world.adapter.problem()
        await asyncio.sleep(0.01)
        if problem and await world.adapter.problem() is None:
            break
    assert problem == "disconnected"
    await world.until(lambda: world.slack.socket.connections)


async def test_a_refused_handshake_does_not_loop_on_the_same_address(world: World) -> None:
    tickets = len(world.slack.calls("apps.connections.open"))
    world.slack.socket.refuse_handshakes = 3
    await world.slack.socket.drop()
    await world.until(
        lambda: world.slack.socket.refuse_handshakes == 0 and world.slack.socket.connections, timeout_s=20
    )
    assert len(world.slack.calls("apps.connections.open")) > tickets + 1
    assert (await world.slack.member.command(text="help")).acked


async def test_events_raised_while_no_socket_was_open_are_done_once(world: World) -> None:
    world.slack.socket.refuse_handshakes = 1
    await world.slack.socket.drop()
    outcome = await world.slack.member.mention("", [world.picture()])
    assert not outcome.acked
    await world.until(lambda: world.slack.socket.connections, timeout_s=20)
    world.slack.clock.advance(61)
    assert await world.result()
    assert len(world.service.rows) == 1


async def test_several_sockets_share_the_work(slack: SlackEmulator, tmp_path: Path) -> None:
    world = make_world(slack, tmp_path, slack_sockets=3)
    await world.start()
    await world.until(lambda: len(slack.socket.connections) == 3)
    for _ in range(6):
        assert (await slack.member.command(text="help")).acked
    used = {c.number for c in slack.socket.connections if c.acks}
    await world.stop()
    assert len(used) == 3


async def test_of_frames_that_come_at_once_a_few_begin_in_each_turn_of_the_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, dispatch = Counter[int](), AsyncApp.async_dispatch

    async def counted(self: AsyncApp, request: Any) -> Any:
        begun[turn()] += 1
        return await dispatch(self, request)

    monkeypatch.setattr(AsyncApp, "async_dispatch", counted)
    with capture_logs() as logs:
        async with counted_turns() as turn:
            await world.slack.socket.connections[0].ws.send_str(json.dumps({"a": "x" * MAX_BODY_BYTES}))
            for number in range(200):
                envelope = {"type": "events_api", "envelope_id": f"e{number}", "payload": {"type": "event_callback"}}
                await world.slack.socket.connections[0].ws.send_str(json.dumps(envelope))
            await world.until(lambda: begun.total() == 200)
    assert max(begun.values()) <= 2 * FRAMES_AT_ONCE
    assert [one["event"] for one in logs if one["event"].startswith("slack_frame")] == ["slack_frame_too_large"]
    assert (await world.slack.member.command(text="help")).acked


async def test_closing_is_bounded_though_slack_leaves_the_close_unanswered(
    slack: SlackEmulator, tmp_path: Path
) -> None:
    world = make_world(slack, tmp_path)
    await world.start()
    slack.socket.mute_close = True
    started = asyncio.get_running_loop().time()
    await world.stop()
    assert asyncio.get_running_loop().time() - started < 3


async def test_while_draining_commands_are_told_and_events_are_left_for_another(world: World) -> None:
    world.service.draining = True
    outcome = await world.slack.member.command(text="")
    assert outcome.acked
    told = [m for m in world.bot_messages() if m.ephemeral_for]
    assert "restarting, try again in a minute" in text_of(told[0])
    event = await world.slack.member.mention("", [world.picture()])
    assert not event.acked
    world.service.draining = False
    world.slack.clock.advance(61)
    assert await world.result()


async def test_a_form_submitted_while_draining_stays_open(world: World) -> None:
    await world.slack.member.command(text="")
    await world.until(lambda: world.slack.member.open_view())
    world.service.draining = True
    outcome = await world.slack.member.submit_view({"image": [world.picture().id]})
    assert "restarting" in outcome.errors["image"]


async def test_shutdown_leaves_no_task_behind(slack: SlackEmulator, tmp_path: Path) -> None:
    before = set(asyncio.all_tasks())
    world = make_world(slack, tmp_path)
    await world.start()
    await world.slack.member.command(text="help")
    await world.stop()
    await asyncio.sleep(0.05)
    left = {t.get_name() for t in set(asyncio.all_tasks()) - before if "slack" in t.get_name()}
    assert left == set()


# -------------------------------------------------------------------------------- http


@pytest.fixture
async def http_world(slack: SlackEmulator, tmp_path: Path):  # type: ignore[no-untyped-def]
    made = make_world(slack, tmp_path, slack_app_token=None, slack_signing_secret=slack.signing_secret)
    await made.start()
    yield made
    await made.service.crash()
    await made.stop()


async def test_http_mode_does_everything_socket_mode_does(http_world: World) -> None:
    member = http_world.slack.member
    assert (await member.mention("", [http_world.picture()])).acked
    result = await http_world.result()
    assert (await member.command(text="")).acked
    await http_world.until(lambda: member.open_view())
    assert (await member.submit_view({"factor": "3"})).errors
    assert (await member.click(result, "job:again:")).acked
    await http_world.result(number=2)


async def test_http_mode_refuses_what_slack_did_not_sign(http_world: World) -> None:
    delivery = http_world.slack.delivery
    wrong = await delivery.post_signed("{}", {"Content-Type": "application/json"}, secret="not-the-secret")
    assert wrong.status == 401
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"X-Slack-Request-Timestamp": "soon", "X-Slack-Signature": "v0=1"}):
            async with session.post(str(http_world.slack.http_target), data="{}", headers=headers) as answer:
                assert answer.status == 401
    http_world.slack.clock.advance(-600)
    old = await delivery.post_signed("{}", {"Content-Type": "application/json"})
    assert old.status == 401


async def test_http_mode_answers_slacks_verification_of_the_address(http_world: World) -> None:
    body = '{"type":"url_verification","challenge":"abc","token":"x"}'
    ack = await http_world.slack.delivery.post_signed(body, {"Content-Type": "application/json"})
    assert ack.payload.get("challenge") == "abc"


async def test_http_events_left_while_draining_come_again(http_world: World) -> None:
    http_world.service.draining = True
    assert not (await http_world.slack.member.mention("", [http_world.picture()])).acked
    http_world.service.draining = False
    http_world.slack.clock.advance(61)
    assert await http_world.result()


OLD_FORM = {"id": "V1", "type": "modal", "callback_id": "of_a_release_before", "state": {"values": {}}}


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "view_submission", "view": OLD_FORM},
        {"type": "view_closed", "view": OLD_FORM},
        {"type": "message_action", "callback_id": "of_a_release_before", "message": {"ts": "1.1"}},
        {"type": "block_actions", "actions": [{"type": "button", "action_id": "of:a:release:before"}]},
        {"type": "block_suggestion", "action_id": "of:a:release:before", "value": "a"},
        {"type": "never_seen_yet"},
    ],
    ids=lambda payload: str(payload["type"]),
)
async def test_what_no_listener_takes_is_acknowledged_and_no_fault(world: World, payload: dict[str, Any]) -> None:
    base = world.slack.member._base(world.slack.member.user("anna"))
    assert (await world.slack.delivery.send("interactive", base | payload)).ok
    assert world.service.caught == []
    assert world.told() == []
