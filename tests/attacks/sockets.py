"""Frames over Slack's socket that make no sense: no JSON, no envelope, odd types, the same again, very many, huge."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

from tests.attacks.absurd import WRONG, absurd, slack_templates
from tests.attacks.scene import Attack, Scene
from tests.bot.process_kit import until

SETTINGS = {"SLACK_APP_TOKEN": "xapp-1-emulated"}
_AGAIN = 20
_TYPES = ("slash_commands", "interactive", "events_api", "hello", "options", "workflow", "", "x" * 5_000)
_NO_ENVELOPES = (
    "", " ", "null", "[]", "1", '"x"', "{", "{]", "\x00", "{}", "NaN", "[" * 100_000, '{"a":' * 50_000,
    '{"type": "events_api"}', '{"type": "events_api", "envelope_id": "\\ud800", "payload": {"text": "\\ud800\\u0000"}}',
    '{"type": "hello", "num_connections": "many"}', '{"type": "disconnect_later", "reason": []}', "9" * 10_000,
    '{"type": "events_api", "envelope_id": "e", "payload": {"event": ' + "[" * 600 + "]" * 600 + "}}",
    '{"type": "slash_commands", "envelope_id": "e", "payload": {"command": 1e400, "text": -0}}', "x" * 3_000_000,
)  # fmt: skip


def envelopes(templates: list[tuple[str, dict[str, Any]]], chance: random.Random, size: int) -> Iterator[str]:
    """At least `size` of them, each other than Slack makes it in the envelope, or in what is in it."""
    yield from _NO_ENVELOPES
    made = 0
    while made < size:
        for kind, payload in templates:
            right = {"envelope_id": f"e{made}", "type": kind, "payload": payload, "accepts_response_payload": True}
            for part in ("envelope_id", "type", "payload"):
                yield json.dumps({**right, part: chance.choice((*WRONG[1:], *_TYPES))})
            for one in absurd(payload, chance, 1):
                yield json.dumps({**right, "payload": one})
                made += 1


async def over_the_socket(scene: Scene, size: int) -> str:
    """All of them, then the same command many times, then one that must be answered."""
    slack, chance, target = scene.slack, random.Random(size), scene.slack.http_target
    slack.http_target = ""
    await until(lambda: bool(slack.socket.connections))
    templates = await slack_templates(scene)
    sent = 0
    for frame in envelopes(templates, chance, size):
        await until(lambda: bool(slack.socket.connections))
        connection = slack.socket.connections[sent % len(slack.socket.connections)]
        sent += 1
        await connection.ws.send_str(frame)
        if sent % 50 == 0:
            await asyncio.sleep(0.05)
    for _ in range(_AGAIN):
        await slack.socket.connections[0].ws.send_bytes(bytes(range(256)))
    again = next(one for one in templates if one[0] == "slash_commands")
    answers = await asyncio.gather(
        *(slack.socket.deliver(*again, accepts=True, attempt=0, reason="") for _ in range(_AGAIN))
    )
    outcome = await slack.member.command(text="help")
    assert outcome.acked, "what makes sense is taken all the same"
    slack.http_target = target
    return f"{sent} frames; {sum(one is not None for one in answers)} of {_AGAIN} copies of one command acknowledged"


ATTACKS = (Attack("frames over Slack's socket that make no sense", over_the_socket, 10_000, 300, leaves_jobs=True),)
