"""The operator's page on the whole bot: jobs with their reasons, spending, health, pause, admission."""

from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from core.accounts.allowlist import AllowList, AllowSettings
from core.domain.errors import NotAdmitted
from core.domain.identity import Place
from core.domain.job import Requester
from core.ports import PlaceFacts
from tests.adapters.web.audit import audit
from tests.adapters.web.conftest import BROKEN, form, visit
from tests.adapters.web.site import site
from tests.adapters.web.test_real import Bot, bot, photo, started
from tests.fakes.clock import ShiftedClock
from tests.fakes.operator import Told
from tests.fakes.state import MemoryState

__all__ = ["bot", "started"]
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


async def test_the_operator_sees_jobs_reasons_and_money_and_pauses(
    bot: Bot, browser: Browser, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with http.post(f"{bot.url}/api/jobs", data=form(BROKEN)) as answer:
        assert answer.status in {415, 422}
    async with http.post(f"{bot.url}/api/jobs", data=form(text="2x")) as answer:
        done = (await answer.json())["job_id"]
    async with http.get(f"{bot.url}/api/jobs/{done}/events") as events:
        await events.read()
    large = photo(tmp_path / "large.jpg", 3000, 2000).read_bytes()
    async with http.post(f"{bot.url}/api/jobs", data=form(large, text="2x")) as answer:
        asking = (await answer.json())["job_id"]
    seen = await visit(browser, bot.url, path="/operator", width=1440)
    page = seen.page
    await expect(page.locator("#tiles")).to_contain_text("$0.10")
    await expect(page.locator("#tiles")).to_contain_text("database: ok")
    await expect(page.locator(f"#recent tr[data-job='{done}']")).to_contain_text("done")
    await expect(page.locator("#recent tr[data-state=refused]")).to_contain_text("damaged")
    waits = page.locator(f"#open tr[data-job='{asking}']")
    await expect(waits).to_contain_text("The price is not confirmed yet")
    await waits.get_by_role("button").click()
    await expect(page.locator(f"#recent tr[data-job='{asking}']")).to_contain_text("cancelled")
    await expect(page.locator("#members")).to_contain_text("$0.10")
    for width in (1440, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await audit(page) == []
    await page.click("#pause")
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    await expect(page.locator("#pause")).to_have_text("Resume")
    async with http.post(f"{bot.url}/api/jobs", data=form(text="2x")) as answer:
        assert (await answer.json())["error"]["code"] == "paused"
    await page.click("#pause")
    await expect(page.locator("#pause")).to_have_text("Pause new upscales")
    async with http.post(f"{bot.url}/api/jobs", data=form(text="3x")) as answer:
        assert answer.status == 202
    seen.assert_clean()


async def test_the_operator_lets_places_in(tmp_path: Path, browser: Browser, http: aiohttp.ClientSession) -> None:
    async def facts(place: Place) -> PlaceFacts:
        return PlaceFacts(is_own=False, name="Gallery")

    allowlist = AllowList(
        AllowSettings(), MemoryState(), ShiftedClock(), Told(), {"discord": SimpleNamespace(place_facts=facts)}
    )
    ann = Requester("discord", "42", workspace_id="1234", user_name="Ann")
    with pytest.raises(NotAdmitted):
        await allowlist.check(ann)
    async with site(tmp_path, allowlist=allowlist) as served:
        seen = await visit(browser, served.url, path="/operator")
        asks = seen.page.locator("#places li")
        await expect(asks).to_contain_text("Gallery")
        await expect(asks).to_contain_text("discord:1234")
        assert await audit(seen.page) == []
        await asks.get_by_role("button", name="Let in").click()
        await expect(asks).to_have_attribute("data-state", "admitted")
        await allowlist.check(ann)
        await asks.get_by_role("button", name="Refuse").click()
        await expect(asks).to_have_attribute("data-state", "refused")
        with pytest.raises(NotAdmitted):
            await allowlist.check(ann)
        async with http.post(f"{served.url}/api/operator/places/x", json={"verdict": "maybe"}) as answer:
            assert answer.status == 400
        seen.assert_clean()
        await seen.context.close()


async def test_the_operators_page_needs_the_token(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with site(tmp_path, web_token="correct-horse-battery") as served:
        for path, status in (("/operator", 303), ("/api/operator", 401)):
            async with http.get(served.url + path, allow_redirects=False) as answer:
                assert answer.status == status
