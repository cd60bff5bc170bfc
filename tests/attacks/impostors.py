"""Presses and forms that nobody was offered: another's job, another place's, old, random, over-long, once more."""

import asyncio
import json
import random
import re
import string
from collections.abc import Iterator, Sequence
from typing import Any

from core.domain.variations import CHANGES
from tests.attacks.scene import Attack, Scene, each
from tests.bot.process_kit import picture, until
from tests.emulators.discord import Upload
from tests.emulators.discord.interactions import Invocation
from tests.emulators.discord.seen import SeenMessage
from tests.emulators.discord.webhooks import COMPONENT, MODAL
from tests.emulators.slack.world import Message, User

_OWNERS = ("confirm", "cancel", "delete", "share")
"""What only the requester may. The rest others may do with what they see, and pay for it themselves."""
_VERBS = (*_OWNERS, *CHANGES, "redeliver", "compare", "details", "admit", "refuse", "erase", "all", "download", "pick")
_ARGUMENTS = ("", "1", "nan", "1e999", "-1", "x" * 60, "..", "__class__", "\u0663", "%00", "1:2:3")
_ABSURD = [f"factor:{{0}}:{argument}" for argument in _ARGUMENTS if argument not in ("1", "\u0663")]
"""Of one's own job, which none of our buttons says."""
_ADMINISTRATOR = 1 << 3
AT_ONCE = 8


def buttons(jobs: Sequence[str], *, private: str) -> list[str]:
    """`verb:job:argument`, as both platforms write it, of what others may not do."""
    rest = [verb for verb in _VERBS if verb not in _OWNERS]
    owners = [f"{verb}:{job}:{argument}" for verb in _OWNERS for job in jobs for argument in _ARGUMENTS]
    return owners + [f"{verb}:{private}:{argument}" for verb in rest for argument in _ARGUMENTS[:4]]


def made_up(chance: random.Random, jobs: Sequence[str]) -> Iterator[str]:
    """Ids of no button: other ways of writing them, cut, over-long, and any characters."""
    forms = ("up1:{0}", "up1:{0}:", "up1s:{0}:{1}", "up0:{0}:{1}:", "upscale:{0}:{1}", "{0}:{1}", "up1:{0}:{1}:{1}",
             "UP1:{0}:{1}:", "up1modal:{1}", "job:{0}", "job::{1}", "JOB:{0}:{1}", "ui:{0}", "ui:", "job")  # fmt: skip
    for form in forms:
        yield from (form.format(verb, chance.choice(jobs)) for verb in chance.sample(_VERBS, 3))
    letters = string.printable + "\x00\u202e\ud7ff\U0001f600"
    for length in (1, 5, 40, 100) * 15:
        yield "".join(chance.choices(letters, k=length))
    yield from (start + "9" * 9_000 for start in ("up1:", "up1modal:", "job:delete:", "ui:"))


def stored(scene: Scene, jobs: Sequence[str]) -> list[Any]:
    """What is kept of these jobs, as far as a press may change it; and how much was asked of fal."""
    marks = ",".join("?" * len(jobs))
    rows = scene.query(f"SELECT id, state, images_deleted FROM jobs WHERE id IN ({marks}) ORDER BY id", *jobs)
    return [*rows, len(scene.fal.jobs)]


def check_untouched(before: Sequence[Any], after: Sequence[Any]) -> None:
    for was, now in zip(before, after, strict=True):
        assert was == now, (was, now)


# ------------------------------------------------------------------------------------------------------- Discord


async def result_on_discord(scene: Scene, seed: int, *, private: bool = False, **who: Any) -> SeenMessage:
    given = {"image": Upload("a.png", picture(64, 48, seed)), "seed": seed} | ({"private": True} if private else {})
    asked = await scene.discord.invoke("/upscale", given, **who)
    return await asked.answer(lambda m: bool(m.images) and "Delete" in m.labels, 60)


def job_of(text: str, before: str) -> str:
    return str(re.findall(before + "([0-9a-z]+)", text)[0])


async def forged_on_discord(scene: Scene, size: int) -> str:
    discord, chance, world = scene.discord, random.Random(size), scene.discord.world
    ben, moderator, eve = (world.add_user(name) for name in ("ben", "moderator", "eve"))
    discord.guild.permissions[moderator.id] = _ADMINISTRATOR
    theirs = world.add_guild("Eve's server", owner_id=eve.id)
    theirs.permissions[eve.id] = _ADMINISTRATOR
    member, stranger = {"user": ben}, {"user": eve, "channel": world.add_channel(theirs)}
    results = [await result_on_discord(scene, 1), await result_on_discord(scene, 2, private=True)]
    bens = await result_on_discord(scene, 3, user=ben)
    several = discord.post("", tuple(Upload(f"{n}.png", picture(64, 48, n)) for n in range(2)))
    menus = [await discord.message_menu(name, several) for name in ("Upscale", "Upscale with options")]
    keys = [str(menu.interaction.id) for menu in menus]
    await menus[0].answer(lambda m: bool(m.selects), 30)
    await menus[1].acknowledged(20)
    public, private, own = (job_of(str(one.components), "up1:delete:") for one in (*results, bens))

    async def press(custom_id: str, on: SeenMessage, *values: str, **who: Any) -> None:
        data: dict[str, Any] = {"component_type": 3 if values else 2, "custom_id": custom_id, "id": 1}
        data |= {"values": list(values)} if values else {}
        on_message = world.messages[on.id]
        await (await discord._send(discord, COMPONENT, data, source_message=on_message, **who)).acknowledged(20)

    async def submit(key: str, **who: Any) -> None:
        data = {"custom_id": f"up1modal:{key}", "components": [], "resolved": {}}
        opened = Invocation(menus[1].interaction, discord)
        await (await discord._send(discord, MODAL, data, opened_by=opened, **who)).acknowledged(20)

    def view() -> list[Any]:
        messages = [world.messages[one.id] for one in results]
        return [stored(scene, (public, private, own)), *((m.deleted, json.dumps(m.components)) for m in messages)]

    before = view()
    tries = [f"up1:{one}" for one in buttons((public, private), private=private)]
    presses = [press(one, on, **who) for one in tries for on, who in ((bens, member), (results[0], stranger))]
    harmless = [one for one in tries if f":{private}:" in one and one.split(":")[1] not in ("cancel", "delete")]
    presses += [press(one, results[0], user=moderator) for one in harmless]
    jobs = (public, private, own)
    presses += [press(one, results[0], **member) for _ in range(size) for one in made_up(chance, jobs)]
    chosen = [f"up1s:{verb}:{key}" for verb in ("pick", "redeliver", "cancel", "x") for key in (*keys, private)]
    for who in (member, stranger):
        presses += [press(one, bens, value, **who) for one in chosen for value in ("0", private)]
        presses += [submit(key, **who) for key in (*keys, private, "", "9" * 90)]
    presses += [press(f"up1:{one.format(own)}", bens, **member) for one in _ABSURD]
    # One's own job, pressed on another's message, which must stay.
    presses += [press(f"up1:delete:{own}:{asked}", results[0], **member) for asked in (*keys, "1")]
    chance.shuffle(presses)
    await each(presses, AT_ONCE)
    await asyncio.sleep(1)
    check_untouched(before, view())
    return f"{len(presses)} answered; no job, message or money of others was touched"


# --------------------------------------------------------------------------------------------------------- Slack


async def result_on_slack(scene: Scene, seed: int, user: str, words: str = "") -> Message:
    slack = scene.slack.member
    await slack.mention(f"seed={seed} {words}", [slack.file(picture(64, 48, seed), user=user)], user=user)

    def found() -> list[Message]:
        seen = (*slack.messages(user=user), *slack.dms(user))
        texts = ((m, json.dumps(m.blocks)) for m in seen)
        return [m for m, text in texts if re.search(rf"seed {seed}\b", text) and "job:delete:" in text]

    await until(lambda: bool(found()), within_s=60)
    return found()[0]


async def forged_on_slack(scene: Scene, size: int) -> str:
    slack, chance = scene.slack, random.Random(size)
    space = slack.member.space()
    ben, ada = slack.member.user("ben"), slack.member.user("ada")
    eve = space.users.setdefault("U0EVE000009", User("U0EVE000009", "T0OTHER0009", "eve", is_admin=True))
    results = [await result_on_slack(scene, 101, "anna"), await result_on_slack(scene, 102, "anna", "private")]
    bens = await result_on_slack(scene, 103, "ben")
    public, private, own = (job_of(json.dumps(one.blocks), "job:delete:") for one in (*results, bens))
    carried = ",".join([*(f"m{one.ts}" for one in results), *(file for file in slack.world.files)])

    async def press(action_id: str, on: Message, who: User, value: str = "") -> None:
        place = slack.member.channel(on.channel)
        action = {"action_id": action_id, "block_id": "b", "type": "button", "value": value, "action_ts": "1.2"}
        payload = slack.member._base(ben) | {
            "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": who.team_id},
            "type": "block_actions", "trigger_id": slack.member._trigger(ben), "actions": [action],
            "channel": {"id": place.id, "name": place.name}, "message": slack.message_json(on),
            "container": {"type": "message", "message_ts": on.ts, "channel_id": place.id},
            "response_url": slack.delivery.new_response_url(space.id, place.id, who.id), "state": {"values": {}},
        }  # fmt: skip
        ack = await slack.delivery.send("interactive", payload, accepts=False)
        assert ack.ok, (action_id, ack)

    def view() -> list[Any]:
        shown = [(one.deleted, json.dumps(one.blocks)) for one in results]
        return [stored(scene, (public, private)), *shown, [one.deleted for one in slack.world.files.values()]]

    before = view()
    tries = [f"job:{one}" for one in buttons((public, private), private=private)]
    presses = [press(one, on, who) for one in tries for on, who in ((bens, ben), (results[0], eve))]
    harmless = [one for one in tries if f":{private}:" in one and one.split(":")[1] not in ("cancel", "delete")]
    presses += [press(one, results[0], ada) for one in harmless]
    presses += [press(one, results[0], ben) for _ in range(size) for one in made_up(chance, (private,))]
    presses += [press(f"job:{one.format(own)}", bens, ben) for one in _ABSURD]
    # One's own job, pressed on another's message and with another's messages and files as what goes along.
    presses += [press(f"job:{verb}:{own}:", results[0], ben, carried) for verb in ("cancel", "delete")]
    chance.shuffle(presses)
    await each(presses, AT_ONCE)
    await slack.member.command(text="")
    await until(lambda: slack.member.open_view() is not None)
    form = {"link": f"{scene.elsewhere.base_url}/picture/1"}
    sent = await slack.member.submit_view(form, user="ben", view=slack.member.open_view())
    assert sent.errors, "another's form"
    await asyncio.sleep(2)
    check_untouched(before, view())
    return f"{len(presses)} answered; no job, message, file or money of others was touched"


ATTACKS = (
    Attack("presses and forms of nobody's on Discord", forged_on_discord, 3, 1, leaves_jobs=True),
    Attack("presses and forms of nobody's on Slack", forged_on_slack, 3, 1, leaves_jobs=True),
)
