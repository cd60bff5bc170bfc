"""Takes docs/img/web-*.webp from the running page with the local model: `python docs/web_pictures.py`.

The photograph is NASA's portrait of Eileen Collins (public domain), as scikit-image ships it.
"""

import asyncio
import io
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402
from playwright.async_api import Browser, Page, async_playwright  # noqa: E402
from skimage import data  # noqa: E402

from tests.adapters.web.conftest import CHROMIUM_ARGS  # noqa: E402
from tests.bot.process_kit import SANDBOX, Bot  # noqa: E402

OUT = ROOT / "docs" / "img"
DONE = ".card[data-state=succeeded]"
QUALITY = 80
FRAME_MS = 350


async def shot(page: Page, name: str) -> None:
    """The window as a WebP of docs/img."""
    with Image.open(io.BytesIO(await page.screenshot())) as picture:
        picture.save(OUT / f"web-{name}.webp", quality=QUALITY, method=6)


async def opened(browser: Browser, url: str, width: int, height: int, scheme: str = "light") -> Page:
    """The page in a window of this size."""
    dark = scheme == "dark"
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_selector("html[data-ready]")
    await page.wait_for_timeout(800)
    return page


async def film(page: Page, frames: list[Image.Image], times: int) -> None:
    """So many pictures of what goes on."""
    for _ in range(times):
        frames.append(Image.open(io.BytesIO(await page.screenshot())).convert("RGB").resize((960, 600)))
        await page.wait_for_timeout(FRAME_MS // 2)


async def take(browser: Browser, url: str, photo: Path) -> None:
    """Use the page as a newcomer does, and keep what is seen."""
    frames: list[Image.Image] = []
    page = await opened(browser, url, 1440, 900)
    await film(page, frames, 2)
    await page.set_input_files("#file", [str(photo)])
    await page.fill("#line", "/upscale 2x")
    await page.wait_for_timeout(900)
    await film(page, frames, 2)
    await page.click("#send")
    await film(page, frames, 6)
    await page.wait_for_selector(DONE, timeout=120_000)
    await page.wait_for_timeout(1200)
    for at in (30, 55, 80, 50):
        await page.locator(".stage input").fill(str(at))
        await film(page, frames, 1)
    await shot(page, "result")
    await page.locator(".stage").focus()
    await page.keyboard.press("2")
    await page.wait_for_timeout(600)
    await film(page, frames, 3)
    frames[0].save(
        OUT / "web-demo.webp", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=60, method=4
    )
    await page.click("#adjust")
    await page.wait_for_timeout(500)
    await shot(page, "controls")
    await shot(await opened(browser, url, 390, 844, "dark"), "phone-dark")
    await shot(await opened(browser, f"{url}/operator", 1200, 800), "operator")


async def main() -> None:
    """Start the bot, take the pictures, stop it."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "portrait.jpg"
        Image.fromarray(data.astronaut()).save(photo, quality=93)
        async with (
            Bot(Path(folder) / "data", {**SANDBOX, "UPSCALE_BACKEND": ""}) as bot,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGS)
            await take(browser, bot.url, photo)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
