"""What is signed as it should be, and makes no sense: every part of real events left out, or of another kind."""

import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.attacks.impostors import AT_ONCE, result_on_discord, result_on_slack
from tests.attacks.scene import Attack, Scene, each
from tests.bot.process_kit import picture, until
from tests.emulators.discord import Upload

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SETTINGS = {"DISCORD_PUBLIC_KEY": _KEY.public_key().public_bytes_raw().hex()}
_MOST_LATE = 5
"""Not acknowledged within three seconds, on a machine that does much else."""
_LEFT_OUT = object()
WRONG: tuple[Any, ...] = (
    _LEFT_OUT, None, True, 0, -1, 1 << 70, 1e308, float("nan"), "", "x" * 20_000, "\x00\u202e\ud800", "-1", "[[",
    json.loads("[" * 600 + "]" * 600),
    [], {}, [None], [[]], [{}], {"": None}, {"id": [], "type": {}}, [[[[[[[[[[[[]]]]]]]]]]]],
)  # fmt: skip
Path_ = tuple[str | int, ...]


def paths(value: Any, here: Path_ = ()) -> Iterator[Path_]:
    """Where something stands in it, at any depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*here, name)
        yield from paths(one, (*here, name))


def absurd(template: dict[str, Any], chance: random.Random, ways: int) -> Iterator[dict[str, Any]]:
    """Copies with one part replaced; of each part `ways` of the ways to be wrong, by chance."""
    for path in paths(template):
        for wrong in chance.sample(WRONG, ways):
            made = copy.deepcopy(template)
            at: Any = made
            for step in path[:-1]:
                at = at[step]
            if wrong is _LEFT_OUT:
                del at[path[-1]]
            else:
                at[path[-1]] = wrong
            yield made


async def slack_templates(scene: Scene) -> list[tuple[str, dict[str, Any]]]:
    """A command, a press, a form, a shortcut and an event of each kind, as Slack sent them."""
    slack, member = scene.slack, scene.slack.member
    shown = await result_on_slack(scene, 201, "anna")
    begun = len(slack.delivery.delivered)
    await member.command(text="")
    await member.command(text="help")
    await until(lambda: member.open_view() is not None)
    await member.submit_view({"link": "http://no.example/a.png"})
    await member.click(shown, "job:details:")
    await member.mention("2x", [member.file(picture(64, 48, 202))])
    await member.dm("2x", [member.file(picture(64, 48, 203))])
    await member.message_shortcut(shown)
    await member.global_shortcut("upscale_open")
    await member.open_home()
    return [(one["kind"], one["payload"]) for one in slack.delivery.delivered[begun:]]


async def signed_for_slack(scene: Scene, size: int) -> str:
    """Slack's commands, presses, forms, shortcuts and events."""
    slack, chance, templates = scene.slack, random.Random(size), await slack_templates(scene)
    statuses: Counter[int] = Counter()

    async def send(kind: str, payload: dict[str, Any]) -> None:
        form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
        body = json.dumps(payload) if kind == "events_api" else urlencode(form, errors="replace")
        mime = "application/json" if kind == "events_api" else "application/x-www-form-urlencoded"
        statuses[(await slack.delivery.post_signed(body, {"Content-Type": mime})).status] += 1

    made = [(kind, one) for kind, payload in templates for one in absurd(payload, chance, size)]
    await each((send(*one) for one in made), AT_ONCE)
    assert not statuses[500], statuses
    assert statuses[0] <= _MOST_LATE, statuses
    return f"{sum(statuses.values())} of {len(templates)} kinds: {dict(statuses)}"


async def signed_for_discord(scene: Scene, size: int) -> str:
    """Interactions, as they come over HTTP."""
    discord, chance = scene.discord, random.Random(size)
    discord.signing_key, url = _KEY, scene.url("/discord/interactions")
    assert await discord.set_endpoint(url)
    shown = await result_on_discord(scene, 301)
    two = discord.post("", (Upload("a.png", picture(64, 48, 302)), Upload("b.png", picture(64, 48, 303))))
    sent = [await discord.invoke("/help"), await discord.click(shown, "Details")]
    sent.append(await discord.message_menu("Upscale", two))
    menu = await discord.message_menu("Upscale with options", two)
    await menu.acknowledged(20)
    sent += [menu, await discord.submit_modal(menu, {})]
    statuses: Counter[int] = Counter()

    async def send(payload: dict[str, Any]) -> None:
        statuses[(await discord._signed_post(url, payload))[0]] += 1

    made = [one for invocation in sent for one in absurd(invocation.interaction.payload, chance, size)]
    await each((send(one) for one in made), AT_ONCE)
    assert not statuses[500], statuses
    return f"{len(made)} interactions: {dict(statuses)}"


ATTACKS = (
    Attack("signed events of Slack that make no sense", signed_for_slack, 3, 1, leaves_jobs=True),
    Attack("signed interactions of Discord that make no sense", signed_for_discord, 3, 1, leaves_jobs=True),
)
