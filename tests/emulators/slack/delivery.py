"""How payloads reach the app (socket or signed HTTP), how events come again, and what response_url takes back."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from tests.emulators.slack.blocks import check_blocks
from tests.emulators.slack.keys import EMULATOR
from tests.emulators.slack.wire import Recorded
from tests.emulators.slack.world import Message, ResponseUrl

if TYPE_CHECKING:
    from tests.emulators.slack.server import SlackEmulator

RETRY_AFTER_S = (0.0, 60.0, 300.0)
RESPONSE_URL_USES = 5
RESPONSE_URL_LIFE_S = 1800.0


@dataclass(frozen=True)
class Ack:
    """What the app answered, and how long it took."""

    ok: bool
    payload: dict[str, Any]
    seconds: float
    status: int = 200
    headers: dict[str, str] | None = None


class Delivery:
    """Sends payloads; never more than one copy of an interaction, up to four of an event."""

    def __init__(self, emulator: SlackEmulator) -> None:
        self._emulator = emulator
        self.delivered: list[dict[str, Any]] = []
        self.redelivers = True

    async def send(
        self, kind: str, payload: dict[str, Any], *, accepts: bool = True, attempt: int = 0, reason: str = ""
    ) -> Ack:
        """One attempt. `kind` is the socket envelope's type: slash_commands | interactive | events_api."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        if self._emulator.http_target:
            ack = await self._by_http(kind, payload, attempt, reason)
        else:
            answer = await self._emulator.socket.deliver(kind, payload, accepts=accepts, attempt=attempt, reason=reason)
            ack = Ack(answer is not None, answer or {}, 0.0)
        done = Ack(ack.ok, ack.payload, loop.time() - started, ack.status, ack.headers)
        self.delivered.append(
            {"kind": kind, "payload": payload, "attempt": attempt, "ok": done.ok, "seconds": done.seconds}
        )
        return done

    async def event(self, payload: dict[str, Any]) -> Ack:
        """An Events API payload: unacknowledged within 3 s, it comes again at once, after a minute, after five."""
        ack = await self.send("events_api", payload, accepts=False)
        if not ack.ok and (ack.headers or {}).get("X-Slack-No-Retry") != "1":
            self._emulator.spawn(self._redeliver(payload))
        return ack

    async def _redeliver(self, payload: dict[str, Any]) -> None:
        for attempt, wait_s in enumerate(RETRY_AFTER_S, start=1):
            await self._emulator.clock.sleep_until(self._emulator.clock.now() + wait_s)
            if not self.redelivers:
                return
            ack = await self.send("events_api", payload, accepts=False, attempt=attempt, reason="http_timeout")
            if ack.ok or (ack.headers or {}).get("X-Slack-No-Retry") == "1":
                return

    async def _by_http(self, kind: str, payload: dict[str, Any], attempt: int, reason: str) -> Ack:
        headers = {"User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"}
        if kind == "events_api":
            body, headers["Content-Type"] = json.dumps(payload), "application/json"
            if attempt:
                headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        else:
            form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
            body, headers["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        return await self.post_signed(body, headers)

    async def post_signed(self, body: str, headers: dict[str, str], *, secret: str | None = None) -> Ack:
        """POST with Slack's signature over the raw body; 3 s are all the app gets."""
        emulator = self._emulator
        stamp = str(int(emulator.clock.now()))
        verifier = SignatureVerifier(secret or emulator.signing_secret)
        signature = verifier.generate_signature(timestamp=stamp, body=body) or ""
        signed = headers | {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3.0)) as session,
                session.post(str(emulator.http_target), data=body.encode(), headers=signed) as answer,
            ):
                text = await answer.text()
                is_json = answer.content_type == "application/json" and text
                payload = json.loads(text) if is_json else ({"text": text} if text else {})
                return Ack(answer.status == 200, payload, 0.0, answer.status, dict(answer.headers))
        except (TimeoutError, aiohttp.ClientError):
            return Ack(False, {}, 0.0, 0)

    # ------------------------------------------------------------- response_url

    def new_response_url(self, team_id: str, channel: str, user: str) -> str:
        path = f"/hooks/commands/{team_id}/{secrets.token_hex(6)}/{secrets.token_hex(8)}"
        now_s = self._emulator.clock.now()
        self._emulator.world.response_urls[path] = ResponseUrl(path, team_id, channel, user, now_s)
        return f"{self._emulator.base_url}{path}"

    def show(self, hook: ResponseUrl, body: dict[str, Any]) -> str | None:
        """Apply an answer to a command or action; the error, if there is one."""
        emulator, world = self._emulator, self._emulator.world
        messages = world.channel_messages(hook.channel)
        target = messages.get(hook.message_ts or "")
        if body.get("delete_original"):
            if target:
                target.deleted = True
            return None
        blocks, text = body.get("blocks") or [], str(body.get("text") or "")
        ephemeral = body.get("response_type", "ephemeral") != "in_channel"
        if found := check_blocks(blocks, "ephemeral" if ephemeral else "message"):
            emulator.violations.append(f"response_url: {found}")
            return "invalid_blocks"
        if not text and not blocks:
            return "no_text"
        if body.get("replace_original") and target:
            target.text, target.blocks, target.edits = text, blocks, target.edits + 1
            return None
        space = world.workspaces[hook.team_id]
        now_s = emulator.clock.now()
        message = Message(
            world.new_ts(now_s), hook.channel, space.bot_user_id, text, blocks, bot=True,
            thread_ts=body.get("thread_ts"), ephemeral_for=hook.user if ephemeral else None,
        )  # fmt: skip
        messages[message.ts] = message
        hook.message_ts, hook.ephemeral = hook.message_ts or message.ts, ephemeral
        return None


async def handle_hook(request: web.Request) -> web.StreamResponse:
    """response_url: at most five uses within thirty minutes."""
    emulator = request.app[EMULATOR]
    hook = emulator.world.response_urls.get(request.path)
    body = await request.json()
    error = None
    if fault := emulator.take_fault("response_url", {}):
        return await emulator.fail(request, fault)
    if hook is None:
        error = "invalid_url"
    elif hook.uses >= RESPONSE_URL_USES:
        error = "used_url"
    elif emulator.clock.now() - hook.created_s > RESPONSE_URL_LIFE_S:
        error = "expired_url"
    else:
        hook.uses += 1
        error = emulator.delivery.show(hook, body)
    team = hook.team_id if hook else None
    status = 200 if error is None else 404 if error.endswith("_url") else 400
    emulator.record(
        Recorded(emulator.clock.now(), "hooks", "response_url", body, None, team, error=error, status=status)
    )
    return web.Response(status=status, text="ok" if error is None else error)
