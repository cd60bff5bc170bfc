"""Draws docs/img/slack-*.png from what members of the emulated Slack see: `python docs/slack_pictures.py`.

The bot is the real one, on its sandbox model.
"""

import asyncio
import io
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from PIL import Image, ImageFilter  # noqa: E402
from playwright.async_api import Page, async_playwright  # noqa: E402

from docs.slack_drawing import Drawer  # noqa: E402
from tests.emulators.slack import SlackEmulator, text_of  # noqa: E402
from tests.fakes import core  # noqa: E402

OUT = ROOT / "docs" / "img"
until = partial(core.until, within_s=40.0)


def landscape(width_px: int = 640, height_px: int = 420) -> bytes:
    """A small evening landscape, made of noise and slopes, so that no photograph is needed."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:height_px, 0:width_px].astype(float)
    t = (y / height_px)[..., None]
    sky = np.array([38, 56, 110]) * (1 - t) + np.array([255, 176, 120]) * t
    sun = np.exp(-(((x - width_px * 0.68) ** 2 + (y - height_px * 0.52) ** 2) / (2 * 34.0**2)))[..., None]
    picture = sky + sun * np.array([255, 220, 150])
    for number, (base, rough, colour) in enumerate(
        ((0.56, 60, (96, 84, 130)), (0.68, 46, (60, 60, 98)), (0.80, 34, (30, 40, 60)))
    ):
        steps = np.cumsum(rng.normal(0, 1, width_px))
        steps = np.convolve(steps, np.ones(21 - 6 * number) / (21 - 6 * number), mode="same")
        ridge = base * height_px + rough * (steps - steps.mean()) / (np.ptp(steps) or 1)
        inside = (y > ridge[None, :])[..., None]
        shade = np.array(colour) + rng.normal(0, 5, (height_px, width_px, 1))
        picture = np.where(inside, shade, picture)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


async def shoot(page: Page, name: str, markup: str) -> None:
    """One picture, cut to its content."""
    await page.set_content(markup)
    await page.locator(".app").screenshot(path=OUT / f"slack-{name}.png")
    print(f"docs/img/slack-{name}.png")


async def draw(slack: SlackEmulator, page: Page) -> None:
    """Act as members do, and draw what they see."""
    drawer, member = Drawer(slack), slack.member
    photo = member.file(landscape(1200, 800), "evening in the hills.png")
    await member.mention("4x creativity=0.4", [photo])
    await until(lambda: [m for m in member.messages() if m.stream and "upscaling" in str(m.stream.order)])
    await asyncio.sleep(0.25)
    await shoot(page, "thread-progress", drawer.conversation("# general", member.messages()))
    result = (await until(lambda: [m for m in member.messages() if "job:again:" in str(m.blocks)]))[0]
    await asyncio.sleep(1.0)
    await shoot(page, "thread-result", drawer.conversation("# general", member.messages()))
    await member.click(result, "job:compare:")
    await until(lambda: [m for m in member.messages() if "Before (left" in m.text])
    await shoot(page, "compare", drawer.conversation("Thread", member.messages()[-1:]))
    await member.click(result, "job:details:")
    await until(lambda: member.open_view() and "Reference" in text_of(member.open_view() or result))
    await shoot(page, "details", drawer.modal(member.open_view()))  # type: ignore[arg-type]
    for view in slack.world.views.values():
        view.open = False
    await member.command(text="", user="ben")
    await asyncio.sleep(0.5)
    await shoot(page, "form", drawer.modal(member.open_view("ben")))  # type: ignore[arg-type]
    await member.dm("4x", [member.file(landscape(1600, 1100), "cover.png", user="ben")], user="ben")
    await until(lambda: [m for m in member.dms("ben") if "job:confirm:" in str(m.blocks)])
    await shoot(page, "confirm", drawer.conversation("Upscale", member.dms("ben")))
    asked = member.dms("ben")[-1]
    await member.click(asked, "job:confirm:", user="ben")
    await until(lambda: [m for m in member.dms("ben") if "job:again:" in str(m.blocks)])
    await member.command(text="help")
    await asyncio.sleep(0.6)
    await shoot(page, "help", drawer.conversation("# general", member.messages()[-1:]))
    await member.open_home()
    await until(lambda: member.home())
    await shoot(page, "home", drawer.home(member.home()))  # type: ignore[arg-type]


async def main() -> None:
    """The bot as `make run` starts it, pointed at the emulator."""
    OUT.mkdir(parents=True, exist_ok=True)
    async with SlackEmulator(tiers=True, processing_s=0.2) as slack:
        # The optional scope: without it the bot shows no task cards in channels.
        next(token for token in slack.world.tokens.values() if token.kind != "app").scopes |= {"channels:history"}
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(
                slack.env(),
                DATA_DIR=folder,
                WEB_PORT="0",
                UPSCALE_BACKEND="sandbox",
                CONFIRM_ABOVE_USD="2",
                LOG_LEVEL="warning",
            )
            from bot.app import App
            from bot.settings import load

            async with App(load(None)), async_playwright() as play:
                await until(lambda: slack.socket.connections)
                browser = await play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                page = await browser.new_page(device_scale_factor=1.5, viewport={"width": 800, "height": 600})
                try:
                    await draw(slack, page)
                except TimeoutError:
                    for message in slack.member.messages():
                        print(text_of(message), message.stream)
                    print([(r.method, r.error) for r in slack.requests])
                    raise
                await browser.close()
        if slack.violations:
            print("violations:", slack.violations)


if __name__ == "__main__":
    asyncio.run(main())
