"""The page's commands, controls, saved defaults, theme and sign-in, in a real Chromium on the fake service."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from adapters.web.inbound.translate import requester
from tests.adapters.web.site import Site, site
from tests.adapters.web.test_page import choose, order, page, picture, send

__all__ = ["page"]
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_controls_and_the_line_say_the_same(page: Page) -> None:
    await page.click("#adjust")
    await page.fill("#line", "/upscale 3,5x creativity=50% steps=30 seed=7")
    await expect(page.get_by_label("Factor")).to_have_value("3.5")
    await expect(page.get_by_label("Creativity")).to_have_value("0.5")
    await expect(page.get_by_label("Steps")).to_have_value("30")
    await expect(page.get_by_label("Seed")).to_have_value("7")
    await page.get_by_label("Guidance").focus()
    for _ in range(5):
        await page.keyboard.press("ArrowRight")
    await expect(page.locator("#line")).to_have_value("/upscale 3.5x creativity=0.5 guidance=1.5 steps=30 seed=7")
    await page.get_by_role("radio", name="Creative", exact=True).check()
    await expect(page.locator("#line")).to_have_value("/upscale creative 3.5x seed=7")
    await expect(page.get_by_label("Creativity")).to_have_value("0.6")
    await page.get_by_role("button", name="Reset").click()
    await expect(page.locator("#line")).to_have_value("")
    await expect(page.get_by_label("Safety check")).to_be_disabled()


async def test_the_factor_that_comes_of_a_size_is_told_before_anything_starts(
    page_site: Site, page: Page, tmp_path: Path
) -> None:
    await page.set_input_files("#file", [str(picture(tmp_path, 400, 300))])
    await expect(page.locator("#quote .badge")).to_have_text(["Creative", "Play money"])
    await page.fill("#line", "width=800")
    await expect(page.locator("#quote .badge")).to_have_text(["2×", "Creative", "Play money"])


async def test_every_typed_command_answers(page_site: Site, page: Page, tmp_path: Path) -> None:
    async def run(line: str, expected: str) -> None:
        await page.fill("#line", line)
        await send(page)
        await expect(page.locator(".thread > li").last).to_contain_text(expected)

    await run("/help", "How to upscale an image")
    await run("help", "How to upscale an image")
    await run("/upscale history", "Nothing yet. Try /upscale.")
    await run("/usage week", "$0.00")
    await expect(page.locator("svg.chart")).to_be_visible()
    await page.locator(".tabs").get_by_role("button", name="This year").click()
    await expect(page.locator(".tabs [aria-pressed=true]")).to_have_text("This year")
    await run("/quota", "$5.00 left")
    await run("/quota set banana", "banana")
    await run("/quota pause", "New upscales are paused for the whole bot.")
    await order(page, picture(tmp_path))
    await expect(page.locator(".card").last).to_contain_text("has paused")
    await run("/quota resume", "possible again")
    await run("/settings save 3x", "factor 3")
    assert (await page_site.service.defaults(requester())) == {"factor": 3.0}
    await run("/settings clear", "No defaults saved.")
    await run("/privacy", "Export my data")
    await run("/nonsense", "There is no command /nonsense.")
    await page.get_by_role("button", name="Delete all my data").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator(".card")).to_have_count(0)


async def test_saved_defaults_are_what_the_controls_start_from(page_site: Site, page: Page) -> None:
    await page.click("#adjust")
    await page.fill("#line", "/upscale 3x creativity=0.5")
    await expect(page.get_by_label("Factor")).to_have_value("3")
    await page.get_by_role("button", name="Save as my defaults").click()
    await expect(page.locator("#quote")).to_contain_text("Saved.")
    await page.reload()
    await page.click("#adjust")
    await expect(page.get_by_label("Factor")).to_have_value("3")
    await page.get_by_label("Steps").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#line")).to_have_value("/upscale steps=21")
    assert (await page_site.service.defaults(requester())) == {"factor": 3.0, "creativity": 0.5}


async def test_the_chosen_theme_stays(page: Page) -> None:
    before = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.get_by_role("button", name="Switch between light and dark").click()
    after = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
    await page.reload()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == after


async def test_the_token_is_asked_for_once(tmp_path: Path, browser: Browser) -> None:
    async with site(tmp_path, web_token="a long token") as closed:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(closed.url)
        await page.get_by_label("Token").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("This token is not right.")
        await page.get_by_label("Token").fill("a long token")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Make an image larger.")).to_be_visible()
        await choose(page, picture(tmp_path))
        await page.click("#send")
        await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1)
        await context.close()
