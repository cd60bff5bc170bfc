"""Fixtures: a served page, an HTTP client, and a real Chromium, which is required."""

import io
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright, expect

from tests.adapters.web.site import Site, site
from tests.fakes.media import image_form

BROWSER_LIMIT_MS = 30_000
"""Nothing here takes a second on an idle machine; test machines are slow and shared."""

expect.set_options(timeout=BROWSER_LIMIT_MS)

CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


BROKEN = b"\xff\xd8\xff" + bytes(2000)
"""Starts like a JPEG but contains no picture."""


def png(width: int = 120, height: int = 80, colour: str = "#336699") -> bytes:
    """A PNG with some structure, so that before and after differ."""
    out = io.BytesIO()
    picture = Image.effect_mandelbrot((width, height), (-2, -1.2, 1, 1.2), 40).convert("RGB")
    Image.blend(picture, Image.new("RGB", (width, height), colour), 0.4).save(out, "PNG")
    return out.getvalue()


def form(data: bytes | None = None, name: str = "photo.png", **fields: str) -> aiohttp.FormData:
    return image_form(png() if data is None else data, name, **fields)


@pytest_asyncio.fixture(loop_scope="session")
async def page_site(tmp_path: Path) -> AsyncIterator[Site]:
    """The page on the fake service, without pauses."""
    async with site(tmp_path) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client with timeouts."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, started once.

    Without one these tests prove nothing, so they fail rather than pass by.
    """
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.fail("The page is tested in a real Chromium, and there is none: apt-get install chromium")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGS)
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """The browser; all pages of a test are closed afterwards."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@dataclass
class Visit:
    """A page in the browser and the errors that it reported."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def assert_clean(self) -> None:
        """No script error, no policy violation, no request to another host."""
        assert self.complaints == []
        assert self.foreign == []


async def visit(
    browser: Browser,
    url: str,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
    locale: str = "en-US",
    path: str = "/",
) -> Visit:
    """Open the page and listen to its console, its errors and its requests."""
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale=locale,
        timezone_id="UTC",
        accept_downloads=True,
    )
    page = await context.new_page()
    page.set_default_timeout(BROWSER_LIMIT_MS)
    seen = Visit(page, context)
    host = urlsplit(url).netloc

    def requested(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != host:
            seen.foreign.append(request.url)

    page.on("request", requested)
    # A refusal that the page shows as a sentence is also noted by Chromium as "Failed to load resource".
    page.on(
        "console",
        lambda message: (
            seen.complaints.append(message.text)
            if message.type in {"error", "warning"} and "Failed to load resource" not in message.text
            else None
        ),
    )
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    await page.goto(url + path)
    await page.wait_for_selector("html[data-ready]")
    return seen
