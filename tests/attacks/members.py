"""What somebody does who may use the bot: links, pictures and words that cost it more than the sender."""

import asyncio
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import pyvips

from tests.attacks.scene import Attack, Scene, counted, each
from tests.bot.process_kit import picture
from tests.core.domain.test_untrusted_text import PIECES
from tests.core.images.test_structure import HOSTILE
from tests.emulators.slack.member_events import Outcome
from tests.emulators.slack.world import User

_OTHERS_SEED = 424_242
_MEMBERS = 10

LINKS = (
    "http://127.0.0.1/", "http://localhost/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/",
    "http://127.1/", "http://0/", "http://127.0.0.1./", "http://[::1]/", "http://[::]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/", "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", "http://[fe80::1%25lo]/",
    "http://[fe80::1%lo]/", "http://[fd00:ec2::254]/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/", "http://168.63.129.16/", "http://100.100.100.200/",
    "http://192.0.0.192/", "http://metadata.google.internal/", "http://169.254.169.254.nip.io/",
    "http://127.0.0.1.nip.io/", "http://localtest.me/", "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/", "http://127.0.0.1%00.example.com/", "http://ⓛocalhost/",
    "http://xn--lcalhost-/", "http://LOCALHOST/", "http://localhost.localdomain/",
    "http://example.com@127.0.0.1/", "http://127.0.0.1@example.com/", "http://example.com:80@127.0.0.1/",
    "http://127.0.0.1#@example.com/", "http://127.0.0.1\\@example.com/", "http://127.0.0.1:22/",
    "http://127.0.0.1:8080/", "https://127.0.0.1:6443/", "http://127.0.0.1:080/", "http:127.0.0.1/",
    "//127.0.0.1/", "http:///127.0.0.1/", "http:/\\127.0.0.1/", "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.0x1/", "http://017700000001/", "http://4294967297/", "http://127.0.0.1.1/",
    "http://256.0.0.1/", "http://[::ffff:0:127.0.0.1]/", "http://[2606:4700::5efe:7f00:1]/", "http://10.0.0.1/",
    "http://172.16.0.1/", "http://192.168.0.1/", "http://100.64.0.1/", "http://198.18.0.1/",
    "http://224.0.0.1/", "http://255.255.255.255/", "file:///etc/passwd", "gopher://127.0.0.1:70/",
    "dict://127.0.0.1/", "ftp://127.0.0.1/", "data:image/png;base64,AAAA", "http://a..b/", "http://[::g]/",
    "http://xn--lcalhost-/", f"http://{'a' * 64}.example/", "jar:http://127.0.0.1!/",
    "http://127.0.0.1/\r\nHost: example.com", "http://exa\u202emple.com/",
)  # fmt: skip
"""Ways of saying an address within, or of saying it so that two readers differ."""


def members(scene: Scene) -> list[str]:
    """Names of ten members of the workspace, made where they are not there."""
    space = scene.slack.member.space()
    names = [f"member{number}" for number in range(_MEMBERS)]
    for number, name in enumerate(names):
        space.users.setdefault(f"U0MEMBER{number:03}", User(f"U0MEMBER{number:03}", space.id, name))
        scene.slack.member.channel().members.add(f"U0MEMBER{number:03}")
    return names


async def until_calm(scene: Scene, within_s: float) -> Counter[str]:
    """The states of the jobs once all have ended, or after this long."""
    terminal = {"succeeded", "failed", "cancelled", "refused"}
    ends_at = time.monotonic() + within_s
    while set(states := await asyncio.to_thread(scene.states)) - terminal and time.monotonic() < ends_at:
        await asyncio.sleep(0.5)
    return states


async def refused_downloads(scene: Scene, size: int) -> str:
    """Files that are no pictures, and cut pictures, by ten members."""
    return await _refused(scene, size, ("junk", "bomb", "page"))


async def endless_downloads(scene: Scene, size: int) -> str:
    return await _refused(scene, size, ("huge",))


async def refused_attachments(scene: Scene, size: int) -> str:
    """The same by files in messages; needs no public address."""
    slack, names = scene.slack.member, itertools.cycle(members(scene))

    def one() -> Awaitable[Outcome]:
        name = next(names)
        return slack.mention("2x", [slack.file(os.urandom(50_000), user=name)], user=name)

    return await _all_refused(scene, [one() for _ in range(size)], lambda: size)


async def _refused(scene: Scene, size: int, kinds: Sequence[str]) -> str:
    names, paths, base = itertools.cycle(members(scene)), itertools.cycle(kinds), scene.elsewhere.base_url
    before = scene.elsewhere.asked.total()
    commands = (
        scene.slack.member.command(text=f"{base}/{next(paths)}/{number}", user=next(names)) for number in range(size)
    )
    return await _all_refused(scene, commands, lambda: scene.elsewhere.asked.total() - before)


async def _all_refused(scene: Scene, asked: Iterable[Awaitable[Outcome]], fetched: Callable[[], int]) -> str:
    began = time.monotonic()
    found = await each(asked)
    taken_s = time.monotonic() - began
    states = await until_calm(scene, 60 + 0.2 * len(found))
    took_s = time.monotonic() - began
    left = await asyncio.to_thread(scene.disk_bytes)
    requests = f"{sum(one.acked for one in found)} requests taken in time in {taken_s:.0f} s"
    downloads = f"{fetched()} downloads, all over after {took_s:.0f} s"
    return f"{requests}, {downloads}, jobs {dict(states)}; {left / 1e6:.1f} MB left on the disk"


async def one_member_floods(scene: Scene, size: int) -> str:
    """Slow links and jobs of one member; then another one mentions the bot with a picture."""
    slack, base = scene.slack.member, scene.elsewhere.base_url
    slow = await each(slack.command(text=f"{base}/slow/{number}") for number in range(size))
    jobs = await each(slack.command(text=f"{base}/picture/{number} seed={number}") for number in range(size))
    taken = sum(one.acked for one in (*slow, *jobs))
    began = time.monotonic()
    file = slack.file(await asyncio.to_thread(picture, 320, 240, 9), user="ben")
    await slack.mention(f"seed={_OTHERS_SEED}", [file], user="ben")
    paid = await _until(lambda: any(job.model_input.get("seed") == _OTHERS_SEED for job in scene.fal.jobs.values()))
    shown = await _until(lambda: any(f"seed {_OTHERS_SEED}" in _text(one) for one in slack.messages(user="ben")))
    at = f"priced and at fal after {paid - began:.1f} s, picture in the chat after {shown - began:.1f} s"
    return f"{taken} of {2 * size} commands taken in time; the other member's job: {at}"


def _text(message: Any) -> str:
    return json.dumps([message.text, message.blocks, message.attachments], ensure_ascii=False)


async def _until(condition: Callable[[], bool], within_s: float = 60) -> float:
    """The moment at which it holds; infinity where it does not in time."""
    ends_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends_at:
            return float("inf")
        await asyncio.sleep(0.02)
    return time.monotonic()


async def hostile_pictures(scene: Scene, size: int) -> str:
    deep = pyvips.Image.black(8_000, 7_900, bands=4).cast("ushort").copy(interpretation="rgb16")
    heavy: bytes = await asyncio.to_thread(deep.pngsave_buffer, interlace=True)

    sent = (scene.hand_in(data) for _ in range(size) for data in (*HOSTILE.values(), heavy, heavy))
    return counted(status for status, _ in await each(sent))


async def tricky_links(scene: Scene, size: int) -> str:
    """Each trick as it is, and behind a redirect of a public server."""
    hops = [f"{scene.elsewhere.base_url}/hop?to={link}" for link in LINKS]
    hops.append(f"{scene.elsewhere.base_url}/hop?to={scene.elsewhere.base_url}/hop?to=http://127.0.0.1/")

    async def one(link: str) -> str:
        status, body = await scene.post("/api/jobs", json={"url": link})
        if status != 202:
            return str(json.loads(body)["error"]["code"])
        job = json.loads(body)["job_id"]
        async with scene.web.get(scene.url(f"/api/jobs/{job}"), headers=scene.signed_in) as answer:
            return str((await answer.json())["state"])

    found = counted(await each(one(link) for _ in range(size) for link in (*LINKS, *hops)))
    return f"{found}; {scene.elsewhere.reached_inside} requests reached this machine"


async def long_words(scene: Scene, size: int) -> str:
    """Long and repetitive text wherever a member may write some."""
    texts = [(piece * 60_000)[:60_000] for piece in (*PIECES, "a", "\n", "steps=", "<", "`", "👨‍👩‍👧", "\u202e", "ﷺ")]
    ways: list[Callable[[str], Awaitable[tuple[int, str]]]] = [
        lambda text: scene.post("/api/estimate", json={"width": 64, "height": 64, "text": text}),
        lambda text: scene.post("/api/jobs", json={"url": text}),
        lambda text: scene.post("/api/jobs", json={"url": "http://x.example/a.png", "text": text}),
        lambda text: scene.post(
            "/api/jobs", json={"url": "http://x.example/a.png", text[:200_000]: "1", "steps": text}
        ),
        lambda text: scene.post("/api/limits", json={"text": text, "scope": text, "amount": text, "id": text}),
        lambda text: scene.post("/api/estimate", json={"width": text, "height": 64}),
    ]
    found = [status for status, _ in await each(way(text) for _ in range(size) for text in texts for way in ways)]
    said = [text[:4_000].encode(errors="replace").decode() for text in texts]
    typed = await each(scene.slack.member.command(text=text) for _ in range(size) for text in said)
    return f"page: {counted(found)}; {sum(one.acked for one in typed)} of {len(typed)} commands in a chat taken in time"


async def billed(scene: Scene, bill: Callable[[Any, int], None], salts: range, within_s: float) -> Counter[str]:
    """The states of jobs with these pictures, whose ends fal makes up by `bill`."""
    real = scene.fal.runner._bill
    scene.fal.runner._bill = bill  # type: ignore[assignment, method-assign]
    try:
        for salt in salts:
            await scene.hand_in(await asyncio.to_thread(picture, 64, 64, salt))
        return await until_calm(scene, within_s)
    finally:
        scene.fal.runner._bill = real  # type: ignore[method-assign]


async def absurd_bills(scene: Scene, size: int) -> str:
    """fal bills what nobody can mean."""
    units = itertools.cycle(("1000", "1e30", "1E+300000", "-1", "NaN", "9" * 5_000, "0x10", "1_0", "٣", ""))

    def absurd(job: Any, pixels: int) -> None:
        job.result_headers["X-Fal-Billable-Units"] = next(units)

    states = await billed(scene, absurd, range(1000, 1000 + size), 60)
    async with scene.web.get(scene.url("/api/usage"), headers=scene.signed_in) as answer:
        charged = (await answer.json()).get("charged_usd")
    return f"jobs {dict(states)}; charged in all: ${charged}"


ATTACKS = (
    Attack(f"{2 * len(LINKS) + 1} tricky links, half of them behind a redirect", tricky_links, 1, 0, leaves_jobs=True),
    Attack("text of 60 kB in every field, 4,000 characters in a chat", long_words, 1, 0, leaves_jobs=True),
    Attack("pictures of very many parts, two heavy ones", hostile_pictures, 2, 0, leaves_jobs=True),
    Attack("bills of 1000 units, 1e30, 1E+300000, NaN …", absurd_bills, 20, 0, leaves_jobs=True),
    Attack("10,000 refused downloads by ten members", refused_downloads, 10_000, 0, leaves_jobs=True),
    Attack("60 attachments that are no images", refused_attachments, 60, 60, leaves_jobs=True),
    Attack("20 downloads that never end", endless_downloads, 20, 0, leaves_jobs=True),
    Attack("500 slow links and 500 jobs of one member", one_member_floods, 500, 0, leaves_jobs=True),
)
