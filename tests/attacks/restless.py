"""What is done very often, or in very great numbers, or said falsely, by somebody who may use, moderate or watch."""

import asyncio
import itertools
import random
from collections.abc import Awaitable
from typing import Any

import aiohttp

from tests.attacks.members import members, until_calm
from tests.attacks.scene import Attack, Scene, counted, each
from tests.bot.process_kit import picture, until
from tests.emulators.slack.member_events import Outcome

_FILES = 10_000
_FOLLOWED = 64
_NO_TEXT: list[Any] = [None, 7, [], {}, "x" * 20_000, "\x00\u202e\ud800.png", "../../x"]
_SAID: dict[str, list[Any]] = {
    "size": [-1, 0, 1 << 70, 1e308, float("nan"), "many", None, [], {}],
    "original_w": [-1, 0, 1 << 40, 1 << 70, 1e308, float("nan"), "wide", "9" * 5_000, [], {}],
    "mimetype": [*_NO_TEXT, "text/html"],
    "filetype": _NO_TEXT,
    "name": _NO_TEXT,
    "mode": _NO_TEXT,
    "shares": [None, 7, "all", [], [[]], {"private": []}, {"public": 7}],
    "url_private_download": [*_NO_TEXT, "http://127.0.0.1/", "file:///etc/passwd"],
}
_LIES = tuple({name: one} for name, values in _SAID.items() for one in values)
"""Of a file that is a picture all the same."""


async def very_many_files(scene: Scene, size: int) -> str:
    """Mentions whose event names ten thousand files."""
    slack = scene.slack
    space, names = slack.member.space(), itertools.cycle(members(scene))

    def one(number: int) -> Awaitable[Any]:
        post = slack.member.post(f"<@{space.bot_user_id}> 2x", user=next(names))
        files = [{"id": f"F{number}X{count}", "name": "a.png", "mimetype": "image/png"} for count in range(_FILES)]
        event = slack.message_json(post, event=True) | {"type": "app_mention", "channel": post.channel, "files": files}
        return slack.delivery.event(slack.member._event(space, event))

    acks = await each(one(number) for number in range(size))
    states = await until_calm(scene, 60)
    return f"{sum(ack.ok for ack in acks)} of {size} events taken in time; jobs {dict(states)}"


async def lying_files(scene: Scene, size: int) -> str:
    """Pictures of which Slack says something else than they are, in events, records and forms."""
    slack, chance = scene.slack.member, random.Random(size)
    acked: list[Outcome] = []
    for lies in chance.sample(_LIES, min(size, len(_LIES))):
        data = await asyncio.to_thread(picture, 64, 48, chance.randrange(1 << 30))
        files = [slack.file(data, lies=lies), slack.file(data, lies=lies)]
        acked += await asyncio.gather(slack.mention("2x", files[:1]), slack.message_shortcut(slack.post("", files)))
    states = await until_calm(scene, 60)
    return f"{sum(one.acked for one in acked)} of {len(acked)} taken; jobs {dict(states)}"


async def forms_and_estimates(scene: Scene, size: int) -> str:
    """A member opens the form and has the price reckoned, over and over, and sends forms that make no sense."""
    slack, names = scene.slack.member, itertools.cycle(members(scene))

    async def one() -> str:
        name = next(names)
        opened = await slack.command(text="", user=name)
        priced, _ = await scene.post("/api/estimate", json={"width": 4000, "height": 3000, "text": "4x private"})
        if slack.open_view(name) is not None:
            await slack.submit_view({"link": "no link"}, user=name)
        return f"{opened.acked} {priced}"

    return counted(await each(one() for _ in range(size)))


async def limits_and_charts(scene: Scene, size: int) -> str:
    """A moderator sets a limit for ever another member, and asks for reports and charts."""
    slack = scene.slack.member

    async def one(number: int) -> bool:
        said = (f"quota set <@U0NOBODY{number:05}> day {1 + number % 90} jobs", "usage month", "quota show", "queue")
        return (await slack.command(text=said[number % 4], user="ada")).acked

    taken = sum(await each(one(number) for number in range(size)))
    began = asyncio.get_running_loop().time()
    other = await slack.command(text="usage", user="ben")
    took_s = asyncio.get_running_loop().time() - began
    kept = scene.rows()["ledger_limits"]
    return f"{taken} of {size} taken in time, {kept} limits kept; {other.acked}: another member's after {took_s:.1f} s"


def unfinished(scene: Scene) -> list[str]:
    ended = "('succeeded', 'failed', 'cancelled', 'refused')"
    return [job for (job,) in scene.query(f"SELECT id FROM jobs WHERE state NOT IN {ended}")]


async def event_streams(scene: Scene, size: int) -> str:
    """Somebody signed in follows 64 unfinished jobs by ever another stream, and reads none of them."""
    base = scene.elsewhere.base_url
    asked = [
        asyncio.ensure_future(scene.post("/api/jobs", json={"url": f"{base}/slow/{number}"}))
        for number in range(_FOLLOWED)
    ]
    await until(lambda: len(unfinished(scene)) >= _FOLLOWED)
    jobs = unfinished(scene)[:_FOLLOWED]
    path = "/api/events?jobs=" + ",".join(jobs)
    answers: list[aiohttp.ClientResponse] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as web:

        async def one() -> None:
            answers.append(await web.get(scene.url(path), headers=scene.signed_in))

        await each(one() for _ in range(size))
        await asyncio.sleep(10)
        for answer in answers:
            answer.close()
    await each(scene.post(f"/api/jobs/{job}/cancel") for job in jobs)
    await asyncio.gather(*asked)
    return f"{size} streams of {len(jobs)} jobs: {counted(one.status for one in answers)}"


ATTACKS = (
    Attack("10,000 files in one message, 12 times", very_many_files, 12, 2, leaves_jobs=True),
    Attack(f"{len(_LIES)} lies about a file's size, kind, name, place", lying_files, len(_LIES), 6, leaves_jobs=True),
    Attack("600 forms opened, estimates and forms sent", forms_and_estimates, 600, 12, leaves_jobs=True),
    Attack("1,200 limits, reports and charts of a moderator", limits_and_charts, 1_200, 12, leaves_jobs=True),
    Attack("1,000 event streams of 64 jobs each", event_streams, 1_000, 0, leaves_jobs=True),
)
