"""The size of pictures: a new result is visible from its top to its buttons, on every screen."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.adapters.web.conftest import visit
from tests.adapters.web.test_real import Bot, bot, order, page, photo, started
from tests.typed import unwrap

__all__ = ["bot", "page", "started"]
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

SCREENS = [(1440, 900, "light"), (820, 1180, "dark"), (390, 844, "light"), (1920, 1080, "dark")]
SEEN = """() => {
  const box = (selector) => document.querySelector(selector).getBoundingClientRect();
  const [header, stage, tools, input] = [".top", ".stage", ".view-bar", ".composer-box"].map(box);
  const actions = [...document.querySelectorAll(".result-actions > *")].filter((node) => node.offsetParent);
  return {
    above: stage.top - header.bottom, below: input.top - tools.bottom, toolRows: tools.height / 40,
    beside: innerWidth - stage.width, actions: actions.length,
    lines: new Set(actions.map((node) => node.offsetTop)).size,
  };
}"""
NEWEST_IS_WHOLE = """() => {
  const stage = [...document.querySelectorAll(".stage")].at(-1).getBoundingClientRect();
  return stage.top >= document.querySelector(".top").getBoundingClientRect().bottom && stage.bottom < innerHeight;
}"""
ARRIVED = f"() => {{ const s = ({SEEN})(); return s.above >= 0 && s.above < 60 && s.below >= 0; }}"


async def test_a_new_result_is_seen_from_its_top_to_its_tools(bot: Bot, browser: Browser, tmp_path: Path) -> None:
    for done, (width, height, scheme) in enumerate(SCREENS):
        seen = await visit(browser, bot.url, width=width, height=height, scheme=scheme)
        page = seen.page
        if done:  # opening the page again leads to the newest result
            await page.wait_for_function(ARRIVED)
        else:
            await page.set_input_files("#file", [str(photo(tmp_path / "photo.jpg", 1200, 900))])
            await expect(page.locator("#send")).to_contain_text("$")
            await page.click("#send")
            running = unwrap(await page.locator(".card").bounding_box())
            assert running["height"] < 220, "words about a running job take no picture's room"
            await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1, timeout=120_000)
            await page.wait_for_function(ARRIVED)
        room = await page.evaluate(SEEN)
        assert room["toolRows"] == pytest.approx(1, abs=0.1)
        assert room["beside"] <= 80, "the picture has the whole width"
        assert (room["lines"], room["actions"]) == ((2, 4) if width < 620 else (1, room["actions"])), room
        if width >= 1440:
            await expect(page.get_by_role("button", name="Delete")).to_be_visible()
        elif width > 800:
            assert room["actions"] > 4
        seen.assert_clean()
        await seen.context.close()


async def test_a_result_that_is_there_at_once_is_seen_from_its_top_too(page: Page, tmp_path: Path) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    for done in (1, 2):  # the same image again is free, and made already
        await order(page, photo(tmp_path / "photo.jpg", 1200, 900))
        await expect(page.locator(".card[data-state=succeeded]")).to_have_count(done, timeout=120_000)
    await page.wait_for_function(NEWEST_IS_WHOLE)
