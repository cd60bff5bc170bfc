"""Every fault of fal's up to the picture, each in a job of its own, concurrently in one real process, in both chats.

fal accepts one request, one charge is made, nothing is held; the chat shows the picture or a true explanation. A second
round kills the process while every job is in the middle of its fault.
"""

import asyncio
import dataclasses
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.bot.process_kit import accepted, on_both_platforms, picture, until
from tests.bot.test_phone_photo import World
from tests.emulators.discord import DiscordEmulator, Upload
from tests.emulators.fal import (
    BlackImage,
    CutStream,
    Drip,
    DropAfter,
    DropBefore,
    FalEmulator,
    GarbageStream,
    ModelErrorOutcome,
    OddImage,
    Ok,
    Respond,
    Truncate,
    json_5xx,
    nginx,
    too_many,
)
from tests.emulators.fal.faults import FaultKind
from tests.emulators.fal.outcomes import Outcome
from tests.emulators.slack import SlackEmulator, text_of
from tests.typed import unwrap

PRICE = 10**9 // 10
INSIDE_S = 90.0
FACTOR = 2
SIZE = (64, 48)
PAGE = Respond(200, text="<!doctype html><title>Back soon</title>", headers={"Content-Type": "text/html"})
CUT = Respond(200, text='{"image": {"url": "https://v3.fal')
LOCKED = Respond(403, json={"detail": "User is locked. Reason: Exhausted balance."})
BLOCKED = Respond(403, json={"detail": "Content blocked"})


@dataclass(frozen=True)
class Case:
    """A fault, how often it occurs, and the expected text; without `words` a picture is expected."""

    route: str = ""
    fault: FaultKind | None = None
    times: int = 2
    outcome: Outcome = dataclasses.field(default_factory=Ok)
    words: str = ""
    made_px: tuple[int, int] = (128, 96)


CASES: dict[str, Case] = {
    "submit's answer lost": Case("submit", DropAfter(), 1),
    "submit answered by a page": Case("submit", dataclasses.replace(PAGE, accept=True), 1),
    "submit 500 after all": Case("submit", json_5xx(500, accept=True), 1),
    "stream dropped": Case("stream", DropBefore()),
    "stream cut": Case("stream", CutStream()),
    "stream of nonsense": Case("stream", GarbageStream()),
    "stream a page": Case("stream", PAGE),
    "status a page": Case("status", PAGE),
    "status cut": Case("status", CUT),
    "status 502 with JSON": Case("status", json_5xx(502)),
    "result a page": Case("result", PAGE),
    "result cut": Case("result", CUT),
    "result 500": Case("result", json_5xx(500)),
    "result 502 with JSON": Case("result", json_5xx(502)),
    "result 403": Case("result", Respond(403, json={"detail": "Forbidden"})),
    "result 404": Case("result", Respond(404, json={"status": "NOT_FOUND"})),
    "result locked": Case("result", LOCKED),
    "result 429": Case("result", too_many("2")),
    "result not ready though completed": Case("result", Respond(400, json={"detail": "Request is still in progress"})),
    "status goes back": Case("status", Respond(202, json={"status": "IN_PROGRESS"}), 3),
    "result dropped": Case("result", DropAfter()),
    "result out of order for 15 s": Case("result", nginx(500), 4),
    "file 403": Case("download", Respond(403, text="denied")),
    "file 404": Case("download", Respond(404, json={"detail": "Not Found"})),
    "file 410": Case("download", Respond(410)),
    "file 416": Case("download", Respond(416)),
    "file 500": Case("download", nginx(500)),
    "file a page": Case("download", PAGE),
    "file half": Case("download", Truncate(2000, etag='"a"')),
    "file half, no resuming": Case("download", Truncate(2000)),
    "file dripping": Case("download", Drip(10, 0.2), 1),
    "file shorter than it says": Case("download", Respond(200, text="x" * 10, headers={"Content-Length": "9999"})),
    "file empty": Case("download", Respond(200, text=""), 1),
    "file a document": Case("download", Respond(200, text="%PDF-1.4"), 1),
    "file redirected inwards": Case("download", Respond(302, headers={"Location": "http://10.0.0.1/"})),
    "file redirected nowhere": Case("download", Respond(302)),
    "file within the answer": Case(outcome=OddImage(data_uri=True)),
    "content blocked": Case("result", BLOCKED, 99, words="safety check"),
    "content refused": Case(outcome=ModelErrorOutcome("content_policy_violation", "1"), words="safety check"),
    "black": Case(outcome=BlackImage(), words="safety check"),
    "grey": Case(outcome=OddImage(grey=128), words="Charged $0.10"),
    "grey and flagged": Case(outcome=OddImage(grey=128, flagged=True), words="safety check"),
    "one pixel": Case(outcome=OddImage(size=(1, 1)), words="Charged $0.10"),
    "no picture": Case("result", Respond(200, json={"seed": 1}), 99, words="no image"),
    "another size": Case(outcome=OddImage(size=(96, 72)), made_px=(96, 72)),
    "the same size": Case(outcome=OddImage(size=SIZE), made_px=SIZE),
    "untouched": Case(outcome=OddImage(unchanged=True), made_px=SIZE),
    "flagged": Case(outcome=OddImage(flagged=True)),
}
BY_NUMBER = dict(enumerate(CASES.values(), start=1))
NAMES = dict(enumerate(CASES, start=1))

Said = tuple[str, list[bytes]]
"""A message's words, and the bytes of its pictures."""


class OnDiscord:
    def __init__(self, discord: DiscordEmulator) -> None:
        self._discord = discord

    async def ask(self, number: int) -> Callable[[], Said]:
        """Post a picture; returns the messages about it."""
        options = {"image": Upload(f"{number}.png", picture(*SIZE, number)), "factor": FACTOR, "seed": number}
        started = await self._discord.invoke("/upscale", options)

        def read() -> Said:
            shown = started.message
            return (shown.text, [image.read() for image in shown.images]) if shown is not None else ("", [])

        return read


class OnSlack:
    def __init__(self, slack: SlackEmulator) -> None:
        self._slack = slack

    async def ask(self, number: int) -> Callable[[], Said]:
        member = self._slack.member
        asked = await member.mention(f"{FACTOR}x seed={number}", [member.file(picture(*SIZE, number), "a.png")])
        thread = unwrap(asked.post).ts

        def read() -> Said:
            answers = [m for m in member.messages(thread=thread) if m.bot]
            shown = [block["slack_file"]["id"] for m in answers for block in m.blocks if "slack_file" in block]
            files = [self._slack.world.files[file] for file in {*shown, *(f for m in answers for f in m.files)}]
            return "\n".join(m.text + text_of(m) for m in answers), [file.data for file in files]

        return read


def _still_offers(words: str) -> bool:
    """Whether a message can still be cancelled: it is closed a moment after the picture comes."""
    return "Cancel" in words.replace("Cancelled", "")


@dataclass
class Scene:
    chat: OnDiscord | OnSlack
    world: World
    numbers: list[int]

    @property
    def fal(self) -> FalEmulator:
        return self.world.fal

    async def ask_all(self) -> dict[int, Callable[[], Said]]:
        """Plan every fault and start every job; returns the messages about each."""
        for number in self.numbers:
            case = BY_NUMBER[number]
            if case.fault is not None:
                self.fal.faults.add(case.route, case.fault, times=case.times, seed=number)
            self.fal.outcome_by_seed[number] = case.outcome
        self.fal.faults.add("token", json_5xx(500), times=2)
        self.fal.faults.add("upload", nginx(503), times=3)
        asking: list[Awaitable[Callable[[], Said]]] = [self.chat.ask(number) for number in self.numbers]
        return dict(zip(self.numbers, await asyncio.gather(*asking), strict=True))

    async def all_end(self, read: dict[int, Callable[[], Said]]) -> dict[int, Said]:
        """Wait until all have ended; returns the messages about each job."""
        said: dict[int, Said] = {}

        def ended(number: int) -> bool:
            words, shown = said[number] = read[number]()
            wanted = BY_NUMBER[number].words
            return bool(wanted in words if wanted else shown) and not _still_offers(words)

        try:
            for number in read:
                await until(lambda number=number: ended(number), within_s=INSIDE_S)  # type: ignore[misc]
        except TimeoutError:
            late = [number for number in read if not ended(number)]
            raise AssertionError({NAMES[n]: (said[n][0][-300:], len(said[n][1])) for n in late}) from None
        return {number: read[number]() for number in read}

    async def check(self, said: dict[int, Said]) -> None:
        taken = accepted(self.fal)
        posted = [submit.json["seed"] for submit in self.fal.submits]
        for number, (words, shown) in said.items():
            name, case = NAMES[number], BY_NUMBER[number]
            assert (taken[number], posted.count(number)) == (1, 1), name
            assert case.words in words, (name, words)
            if case.words:
                assert not shown, name
            else:
                assert any((pixels(data) == self.made(number)).all() for data in shown), name
                width_px, height_px = case.made_px
                assert f"64×48 → {width_px}×{height_px}" in words, (name, words)
                if isinstance(self.chat, OnDiscord):  # Slack's title has the sizes alone
                    assert f"Upscaled {width_px / SIZE[0]:g}×" in words, (name, words)
        # What is blocked is free (fal's page on pricing: only successes are billed), though the emulator made it.
        blocked = sum(BY_NUMBER[number].fault is BLOCKED for number in said)
        charged = await self.world.charged_nanousd()
        assert charged == self.world.billed_nanousd() - blocked * PRICE == (len(said) - blocked) * PRICE

    def made(self, number: int) -> np.ndarray[Any, Any]:
        """The picture that fal's model made."""
        [job] = [job for job in self.fal.jobs.values() if job.model_input["seed"] == number]
        [file] = [
            file for path, file in self.fal.files.items() if not file.uploaded and file.name in str(job.result_body)
        ]
        return pixels(file.path.read_bytes())


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture(params=["discord", "slack"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async with (
        FalEmulator(job_s=0.2, slots=99) as fal,
        on_both_platforms(tmp_path / "data", fal) as (bot, discord, slack),
    ):
        chat: OnDiscord | OnSlack = OnDiscord(discord) if request.param == "discord" else OnSlack(slack)
        every = 1 if request.param == "discord" else 3  # Slack lets an app post once a second
        yield Scene(chat, World(chat, bot, fal), list(BY_NUMBER)[::every])  # type: ignore[arg-type]


async def test_whatever_goes_wrong_at_fal_the_picture_or_true_words_are_in_the_chat_for_one_charge(
    scene: Scene,
) -> None:
    await scene.check(await scene.all_end(await scene.ask_all()))


@pytest.mark.parametrize("scene", ["discord"], indirect=True)
async def test_a_process_killed_in_the_middle_of_every_fault_loses_nothing_and_pays_nothing_twice(scene: Scene) -> None:
    read = await scene.ask_all()
    await until(lambda: len(scene.fal.jobs) == len(scene.numbers), within_s=INSIDE_S)
    await scene.world.bot.kill()
    await scene.world.bot.start()
    await scene.check(await scene.all_end(read))
