"""Measurements of the page: opening a result of 100 megapixels in Debian's Chromium."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil
from playwright.async_api import Browser, async_playwright

from benchmarks.kit import noise_picture
from tests.adapters.web.conftest import CHROMIUM_ARGS
from tests.bot.process_kit import Bot

SIDE_PX = 5_000
MADE_WITHIN_S = 300.0
SETTLED_S = 4.0
VIEWED = "() => document.querySelector('img.after')?.complete && document.querySelector('img.after').naturalWidth > 0"


async def open_large() -> dict[str, float]:
    """Seconds to the first view, and MB of the tab then and after looking at 100 % and 400 %."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "large.png"
        noise_picture(picture, SIDE_PX, SIDE_PX, sigma=2)
        bot = Bot(Path(folder) / "data", {})
        try:
            await bot.start()
            url = f"http://127.0.0.1:{bot.port}"
            await _finished(url, picture)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGS)
                found = await _look(browser, url)
                await browser.close()
        finally:
            await bot.close()
    return found


async def _finished(url: str, picture: Path) -> None:
    form = aiohttp.FormData({"text": "2x", "agreed_usd": "20"})
    form.add_field("image", picture.open("rb"), filename=picture.name)
    limit = aiohttp.ClientTimeout(total=MADE_WITHIN_S)
    async with aiohttp.ClientSession(timeout=limit) as http, http.post(f"{url}/api/jobs", data=form) as answer:
        job = await answer.json()
        async with http.get(f"{url}/api/jobs/{job['job_id']}/events") as events:
            assert "finished" in await events.text(), job


async def _look(browser: Browser, url: str) -> dict[str, float]:
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    await page.goto("about:blank")
    began = time.monotonic()
    await page.goto(url)
    await page.wait_for_function(VIEWED, timeout=60_000)
    seconds = time.monotonic() - began
    await asyncio.sleep(SETTLED_S)
    first_mb = _tab_mb()
    await page.locator(".stage").focus()
    most_mb = first_mb
    for key in ("1", "ArrowRight", "ArrowDown", "4", "ArrowLeft", "0"):
        await page.keyboard.press(key)
        await asyncio.sleep(SETTLED_S / 4)
        most_mb = max(most_mb, _tab_mb())
    return {"seconds": seconds, "first_mb": first_mb, "most_mb": most_mb}


def _tab_mb() -> float:
    """The largest renderer's own memory."""
    family = psutil.Process().children(recursive=True)
    renderers = [one for one in family if "--type=renderer" in one.cmdline()]
    return float(max(one.memory_full_info().uss for one in renderers)) / 1e6
