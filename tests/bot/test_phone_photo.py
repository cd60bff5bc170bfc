"""A phone's photo from Discord and from Slack through one real process: sizes, models, previews, and who pays what."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
import pyvips
from PIL import Image, ImageDraw
from sqlalchemy import func, select

from core.storage import tables_ledger
from core.storage.database import Database
from tests.bot.process_kit import Bot, on_both_platforms, until
from tests.emulators.discord import DiscordEmulator, Upload
from tests.emulators.fal import FalEmulator
from tests.emulators.slack import SlackEmulator, text_of
from tests.fakes.core import closing

USD = 10**9
INSIDE_S = 40.0
_TURNED_RIGHT = 6
_ORIENTATION = 0x0112


def photo(width_px: int, height_px: int) -> bytes:
    """A JPEG as an upright phone writes it: in landscape, with an EXIF orientation."""
    grey = Image.radial_gradient("L").resize((width_px, height_px))
    image = Image.merge("RGB", (grey, grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT), grey))
    draw = ImageDraw.Draw(image)
    for at in range(0, width_px, width_px // 40):
        draw.line((at, 0, width_px - at, height_px), fill=(at % 256, 90, 200), width=width_px // 400)
    exif, out = Image.Exif(), io.BytesIO()
    exif[_ORIENTATION] = _TURNED_RIGHT
    image.save(out, "JPEG", quality=90, exif=exif)
    return out.getvalue()


class Chat(Protocol):
    """One platform as a member uses it. An answer is a text and buttons."""

    async def ask(self, picture: bytes, text: str) -> tuple[str, list[str]]:
        """Post the picture; returns the answer when the job has ended or waits."""

    async def press(self, label: str) -> tuple[str, list[str]]:
        """Press a button of the last answer."""


@dataclass
class OnDiscord:
    discord: DiscordEmulator
    last: Any = None

    async def ask(self, picture: bytes, text: str) -> tuple[str, list[str]]:
        options: dict[str, Any] = {"image": Upload("IMG_0001.jpg", picture)}
        for word in text.split():
            name, _, value = word.rpartition("=")
            number = float(value[:-1]) if value[-1] == "x" and value[0].isdigit() else None
            options[("factor" if number else name) or "to"] = number or value
        if "max" in options:
            options["to"] = f"max={options.pop('max')}"
        return await self._ended(await self.discord.invoke("/upscale", options))

    async def press(self, label: str) -> tuple[str, list[str]]:
        before = self.last.id
        pressed = await self.discord.click(self.last, label)
        found = await self._ended(pressed)
        assert self.last.id != before or self.last.images or "Cancelled" not in found[0]
        return found

    async def _ended(self, started: Any) -> tuple[str, list[str]]:
        self.last = await started.answer(
            lambda m: m.images or "Not started" in m.text or "Start this" in m.text, INSIDE_S
        )
        return self.last.text, self.last.labels


@dataclass
class OnSlack:
    slack: SlackEmulator
    last: Any = None

    async def ask(self, picture: bytes, text: str) -> tuple[str, list[str]]:
        known = {m.ts for m in self.slack.member.dms()}
        await self.slack.member.dm(text, [self.slack.member.file(picture, "IMG_0001.jpg")])
        return await self._ended(known)

    async def press(self, label: str) -> tuple[str, list[str]]:
        known = {m.ts for m in self.slack.member.dms()} - {self.last.ts}
        edits = self.last.edits
        [button] = [b for b in _buttons(self.last) if b["text"]["text"].startswith(label)]
        await self.slack.member.click(self.last, button["action_id"])
        return await self._ended(known, edits)

    async def _ended(self, known: set[str], edits: int = -1) -> tuple[str, list[str]]:
        def ended() -> list[Any]:
            return [
                m
                for m in self.slack.member.dms()
                if m.bot and m.ts not in known and (m is not self.last or m.edits > edits)
                if any(word in m.text + text_of(m) for word in (" is ready", "Not started", "Start this"))
            ]

        await until(lambda: bool(ended()), within_s=INSIDE_S)
        self.last = ended()[-1]
        return self.last.text + text_of(self.last), [button["text"]["text"] for button in _buttons(self.last)]


def _buttons(message: Any) -> list[dict[str, Any]]:
    found = [element for block in message.blocks for element in block.get("elements", ())]
    return [element for element in found if element.get("type") == "button"]


@dataclass
class World:
    chat: Chat
    bot: Bot
    fal: FalEmulator

    def newest_result(self) -> tuple[int, int, int]:
        """Return width, height and dots per inch of the kept file."""
        files = sorted((self.bot.data_dir / "jobs").rglob("result.*"), key=lambda path: path.stat().st_mtime)
        shown = pyvips.Image.new_from_file(str(files[-1]))
        return shown.width, shown.height, round(shown.xres * 25.4)

    async def charged_nanousd(self) -> int:
        e = tables_ledger.entries.c
        sums = select(func.sum(e.held_nanousd), func.sum(e.used_nanousd))
        url = f"sqlite:///{self.bot.data_dir / 'bot.db'}"
        async with closing(Database.connect(url)) as database, database.read() as connection:
            held, used = (await connection.execute(sums)).one()
        assert held == 0
        return int(used)

    def billed_nanousd(self) -> int:
        jobs = self.fal.jobs.values()
        return int(sum(Decimal(job.units or 0) * Decimal(str(self.fal.price_of(job.endpoint))) for job in jobs) * USD)


@pytest.fixture(params=["discord", "slack"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """One process with both platforms; the member is on one of them."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # the emulators look at what is posted: here up to 100 MP
    async with (
        FalEmulator(job_s=0.2) as fal,
        on_both_platforms(tmp_path / "data", fal) as (bot, discord, slack),
    ):
        yield World(OnDiscord(discord) if request.param == "discord" else OnSlack(slack), bot, fal)


async def test_each_wanted_size_is_what_it_says_and_the_ledger_is_fals_bill(world: World) -> None:
    small, large = photo(1200, 900), photo(4000, 3000)
    for text, size, dpi in (
        ("to=4k", (2160, 2880), None),
        ("max=$0.50", (1935, 2580), None),
        ("a4@300dpi", (2480, 3307), 300),
        ("model=seedvr2 6x", (5400, 7200), None),
    ):
        said, labels = await world.chat.ask(small, text)
        if "Start this" in said:
            assert any(label.startswith("Faithful $0.0") for label in labels)
            said, _ = await world.chat.press("Creative")
        *made, density = world.newest_result()
        assert (*made, dpi and density) == (*size, dpi), text
        assert await world.charged_nanousd() == world.billed_nanousd()
    for text, why, offer in (
        ("to=4k", "already 3000×4000", "Upscale 2×"),
        ("max=$0.50", "is not enough", "Use Faithful"),
        ("model=seedvr2 6x", "18000×24000", "Upscale 2.88×"),
    ):
        said, labels = await world.chat.ask(large, text)
        assert why in said
        assert any(label.startswith(offer) for label in labels), labels
    spent = await world.charged_nanousd()
    said, labels = await world.chat.press("Upscale 2.88×")
    assert world.newest_result()[:2] == (8640, 11520)
    assert await world.charged_nanousd() == spent + USD // 10 == world.billed_nanousd()


async def test_a_dear_photo_is_looked_at_for_cents_more_faithfully_too_and_then_made_whole(
    world: World,
) -> None:
    said, labels = await world.chat.ask(photo(4000, 3000), "2x")
    assert "3000×4000 → 6000×8000 · 48 MP · $4.80" in said
    assert labels == ["Creative $4.80", "Faithful $0.05", "Preview $0.10", "Cancel"]
    said, labels = await world.chat.press("Preview")
    assert labels[:3] == ["Whole picture $4.80", "More faithful $0.10", "More creative $0.10"]
    width_px, height_px, _ = world.newest_result()
    assert 900_000 <= width_px * height_px <= 1_000_000
    said, labels = await world.chat.press("More faithful")
    assert "creativity 0.1" in said
    assert labels[0] == "Whole picture $4.80"
    assert await world.charged_nanousd() == world.billed_nanousd() == USD // 5
    said, labels = await world.chat.press("Whole picture")
    assert "creativity 0.1" in said
    assert world.newest_result()[:2] == (6000, 8000)
    assert await world.charged_nanousd() == world.billed_nanousd() == 5 * USD
