"""Whose money, and whose guests: sponsors in one's own server against the operator's rules; strangers and outsiders."""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from tests.attacks.scene import Attack, Scene
from tests.bot.process_kit import picture, until
from tests.emulators.discord import Upload
from tests.emulators.discord.interactions import Invocation
from tests.emulators.discord.world import Channel, User
from tests.emulators.slack.world import User as SlackUser
from tests.typed import unwrap

SETTINGS = {"LIMIT_USER_DAY_USD": "0.1"}
"""One picture a day for each member, at the emulator's ten cents."""
_ADMINISTRATOR = 1 << 3
_TRIES = 4
_SEEDS = itertools.count(5_000)

OPERATORS_RULES = (
    ("user discord:{user} day $0", 0),
    ("user discord:{user} day $0.2", 2),
    ("user discord:{user} month $0.2", 2),
    ("user discord:{user} 2 jobs day", 2),
    ("workspace discord:{server} day $0.3", 3),
    ("workspace discord:{server} 1 jobs week", 1),
    ("channel discord:{server}:{channel} day $0.2", 2),
    ("channel discord:{server}:{channel} 3 jobs day", 3),
    ("user model=flux discord:{user} 1 jobs day", 1),
    ("", _TRIES),
)
"""Each with how many of four pictures it lets a sponsor's channel have; without any, as many as there are."""
MODERATORS_SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"measure": "usd", "amount": 999, "scope": "members"},
    {"measure": "jobs", "amount": 999, "scope": "server"},
    {"measure": "megapixels", "amount": 999, "scope": "channels"},
)


def ask(scene: Scene, seed: int) -> dict[str, Any]:
    return {"image": Upload("a.png", picture(64, 48, seed)), "seed": seed}


def paid(scene: Scene, seeds: Iterable[int]) -> int:
    """How many of these reached fal."""
    known = {job.model_input.get("seed") for job in scene.fal.jobs.values()}
    return sum(seed in known for seed in seeds)


async def told(sent: Invocation) -> None:
    """Wait for a picture or a refusal."""
    await sent.answer(lambda m: bool(m.text or m.images) and "Cancel" not in m.labels, 60)


async def tries(scene: Scene, **who: Any) -> int:
    """Four pictures at once; how many were paid, once each of them is delivered or refused."""
    seeds = list(itertools.islice(_SEEDS, _TRIES))
    sent = await asyncio.gather(*(scene.discord.invoke("/upscale", ask(scene, seed), **who) for seed in seeds))
    await asyncio.gather(*map(told, sent))
    return paid(scene, seeds)


async def says(scene: Scene, command: str, given: dict[str, Any], **who: Any) -> None:
    await told(await scene.discord.invoke(command, given, **who))


def server_of(scene: Scene, owner: User, **more: Any) -> Channel:
    guild = scene.discord.world.add_guild(f"{owner.username}'s server", owner_id=owner.id, **more)
    guild.permissions[owner.id] = _ADMINISTRATOR
    return scene.discord.world.add_channel(guild)


async def allow(scene: Scene, place: str, *how: str) -> None:
    code, said = await scene.bot.command("allow", f"discord:{place}", *how)
    assert code == 0, said


def guild_id(channel: Channel) -> int:
    return unwrap(channel.guild).id


async def sponsors_lift_nothing(scene: Scene, size: int) -> str:
    """Each rule of the operator's with each setting of a moderator who sponsors the own channel; every `size`th."""
    found: list[int] = []
    for (rule, most), setting in itertools.islice(
        itertools.product(OPERATORS_RULES, MODERATORS_SETTINGS), None, None, size
    ):
        eve = scene.discord.world.add_user(f"eve{len(found)}")
        channel = server_of(scene, eve)
        await allow(scene, str(guild_id(channel)))
        who = {"user": eve, "channel": channel}
        if rule:
            text = rule.format(user=eve.id, server=guild_id(channel), channel=channel.id)
            status, body = await scene.post("/api/limits", json={"text": text})
            assert status == 200, (text, body)
        await says(scene, "/quota sponsor", {"channel": channel, "amount": 1000, "days": 7}, **who)
        await says(scene, "/quota add", {"member": eve, "amount": 500}, **who)
        if setting:
            await says(scene, "/quota set", setting, **who)
        got = await tries(scene, **who)
        assert got == most, (rule, setting, got)
        found.append(got)
    return f"{len(found)} combinations of rule and setting: each let through what the operator ruled"


async def withdrawn_while_a_job_runs(scene: Scene, _: int) -> str:
    """The sponsor pays what was held; then the member's own day is whole, and no more than that."""
    ben = scene.discord.world.add_user("ben")
    channel = server_of(scene, ben)
    await allow(scene, str(guild_id(channel)))
    who = {"user": ben, "channel": channel}
    await says(scene, "/quota sponsor", {"channel": channel, "amount": 1000, "days": 7}, **who)
    scene.fal.slots, slots = 0, scene.fal.slots
    seed = next(_SEEDS)
    sent = await scene.discord.invoke("/upscale", ask(scene, seed), **who)
    await until(lambda: paid(scene, [seed]) == 1)
    await says(scene, "/quota sponsor", {"channel": channel, "amount": 0}, **who)
    scene.fal.slots = slots
    scene.fal.runner.start_waiting()
    await told(sent)
    got = await tries(scene, **who)
    assert got == 1, got
    return "delivered, and one more from the member's own day"


async def strangers_spend_nothing(scene: Scene, _: int) -> str:
    """Servers that nobody let in, that were refused, and let in no more; direct messages; user installs anywhere."""
    world = scene.discord.world
    eve = world.add_user("eve")
    own, refused, revoked = (server_of(scene, eve) for _ in range(3))
    without = server_of(scene, eve, bot_inside=False)
    await allow(scene, str(guild_id(refused)), "--refuse")
    await allow(scene, str(guild_id(revoked)))
    assert await tries(scene, user=eve, channel=revoked) == 1, "let in, with a day's money"
    await allow(scene, str(guild_id(revoked)), "--revoke")
    places: Sequence[dict[str, Any]] = (
        {"channel": own}, {"channel": refused}, {"channel": revoked},
        {"channel": own, "install": "user"}, {"channel": without, "install": "user"},
        {"channel": world.dm_with(eve)}, {"channel": world.dm_with(eve), "install": "user"},
        {"channel": world.add_private_channel(eve, scene.discord.user), "install": "user"},
    )  # fmt: skip
    rows = scene.rows()["jobs"]
    assert [await tries(scene, user=eve, **place) for place in places] == [0] * len(places)
    outsiders = await outsiders_on_slack(scene)
    assert scene.rows()["jobs"] == rows, "not even a row"
    return f"{len(places)} places and {outsiders} ways on Slack: nothing was paid, no job was stored"


async def outsiders_on_slack(scene: Scene) -> int:
    """An admin of another organisation in a shared channel."""
    slack = scene.slack.member
    user = SlackUser("U0EVE000009", "T0OTHER0009", "eve", is_admin=True, is_owner=True)
    slack.space().users[user.id] = user
    slack.channel().members.add(user.id)
    seeds = list(itertools.islice(_SEEDS, 4))
    file = slack.file(picture(64, 48, 1), user="eve")
    link = f"{scene.elsewhere.base_url}/picture/1"
    ways = [slack.mention(f"seed={seeds[0]}", [file], user="eve"), slack.dm(f"seed={seeds[1]}", [file], user="eve"),
            slack.command(text=f"{link} seed={seeds[2]}", user="eve"),
            slack.command(text="quota sponsor $1000 7 days", user="eve")]  # fmt: skip
    for way in ways:
        assert (await way).acked
    await asyncio.sleep(2)
    assert paid(scene, seeds) == 0
    return len(ways)


ATTACKS = (
    Attack("strangers' servers, messages and user installs; outsiders on Slack", strangers_spend_nothing, 1, 1, True),
    Attack("a sponsor's $1,000 in one's own server against the operator's rules", sponsors_lift_nothing, 1, 7, True),
    Attack("a sponsor that is withdrawn while a job runs", withdrawn_while_a_job_runs, 1, 1, True),
)
