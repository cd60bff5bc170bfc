"""A shared result on the whole bot: everybody with its URL sees it until it is deleted."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.adapters.web.audit import audit
from tests.adapters.web.conftest import form, visit
from tests.bot.process_kit import SANDBOX, Bot

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

TOKEN = "correct-horse-battery"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest_asyncio.fixture(loop_scope="session")
async def public_bot(tmp_path: Path) -> AsyncIterator[Bot]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = SANDBOX | {"WEB_PORT": str(port), "WEB_TOKEN": TOKEN, "PUBLIC_URL": f"http://localhost:{port}"}
    async with Bot(tmp_path / "data", env) as bot:
        yield bot


async def finished(http: aiohttp.ClientSession, bot: Bot) -> str:
    async with http.post(
        f"{bot.url}/api/jobs", data=form(name="secret-name.png", text="2x"), headers=AUTHORIZED
    ) as made:
        job_id = str((await made.json())["job_id"])
    async with http.get(f"{bot.url}/api/jobs/{job_id}/events", headers=AUTHORIZED) as events:
        assert "finished" in await events.text()
    return job_id


async def test_a_shared_result_is_seen_without_a_token_until_it_is_deleted(
    public_bot: Bot, browser: Browser, http: aiohttp.ClientSession
) -> None:
    job_id = await finished(http, public_bot)
    job = f"{public_bot.url}/api/jobs/{job_id}"
    async with http.post(f"{job}/share") as answer:
        assert answer.status == 401
    async with http.post(f"{job}/share", headers=AUTHORIZED) as answer:
        url = str((await answer.json())["url"])
    origin, _, path = url.partition("/share")
    seen = await visit(browser, origin, path=f"/share{path}")
    await expect(seen.page.locator("img.after")).to_have_js_property("naturalWidth", 240)
    await expect(seen.page.locator("img.before")).to_have_js_property("naturalWidth", 120)
    await expect(seen.page.locator("h1")).to_have_text("120×80 → 240×160 (0.04 MP)")
    await expect(seen.page.locator("blockquote")).to_contain_text("No AI")
    await expect(seen.page.locator(".badge.model")).to_have_text("Creative")
    told = await seen.page.content()
    assert "secret-name" not in told
    assert await audit(seen.page) == []
    assert 'content="noindex' in told
    picture = await seen.page.get_attribute("meta[property='og:image']", "content")
    assert picture is not None
    async with http.get(picture) as answer:
        assert answer.content_type.startswith("image/")
        assert "noindex" in answer.headers["X-Robots-Tag"]
        assert answer.headers["Content-Disposition"].endswith((".png", ".jpg"))
    seen.assert_clean()
    await seen.context.close()
    await nothing_else_is_open(http, public_bot, url, job_id)
    async with http.delete(job, headers=AUTHORIZED) as answer:
        assert answer.status == 200
    for gone in (url, picture, f"{url}/image", f"{url}/source", f"{url}/tile?of=result&halved=0&x=0&y=0"):
        async with http.get(gone) as answer:
            assert answer.status == 410


async def nothing_else_is_open(http: aiohttp.ClientSession, bot: Bot, url: str, job_id: str) -> None:
    other = await finished(http, bot)
    for wrong in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace(job_id, other),
        url.replace("/share/", "/api/jobs/"),
    ):
        async with http.get(wrong, allow_redirects=False) as answer:
            assert answer.status in {401, 404}
