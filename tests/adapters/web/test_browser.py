"""Browser features: notifications, clipboard, dragging out, screen density."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.adapters.web.test_real import Bot, bot, order, page, photo, started

__all__ = ["bot", "page", "started"]
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

COUNT_NOTIFICATIONS = """
  window.asked = 0;
  window.shown = [];
  window.Notification = class {
    static permission = "default";
    static async requestPermission() {
      window.asked += 1;
      return (Notification.permission = "granted");
    }
    constructor(title, { body }) { window.shown.push([title, body]); }
  };
  Object.defineProperty(Document.prototype, "hidden", { get: () => window.away ?? false });
"""
PASTE = """(text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""
DRAGGED = """() => {
  const dataTransfer = new DataTransfer();
  const event = new DragEvent("dragstart", { dataTransfer, bubbles: true, cancelable: true });
  document.querySelector(".pane-after .layer").dispatchEvent(event);
  return [event.defaultPrevented, dataTransfer.getData("DownloadURL"), dataTransfer.getData("text/uri-list")];
}"""
SCREEN_WIDTH = "document.querySelector('img.after').getBoundingClientRect().width * devicePixelRatio"


async def test_notifications_are_asked_for_once_and_sent_to_who_looks_elsewhere(page: Page, tmp_path: Path) -> None:
    await page.add_init_script(COUNT_NOTIFICATIONS)
    await page.reload()
    await page.wait_for_selector("html[data-ready]")
    assert await page.evaluate("window.asked") == 0
    for n, away in enumerate((True, False), 1):
        await order(page, photo(tmp_path / "harbour.jpg", 90, 60))
        await page.evaluate("(away) => { window.away = away; }", away)
        await expect(page.locator(".card[data-state=succeeded]")).to_have_count(n, timeout=60_000)
    assert await page.evaluate("window.asked") == 1
    assert await page.evaluate("window.shown") == [["Upscaled 2×", "harbour.jpg: 60×90 → 120×180 (0.02 MP)"]]


async def test_a_link_pasted_anywhere_goes_into_the_line(page: Page) -> None:
    await page.evaluate(PASTE, "https://pictures.example/a.png")
    await expect(page.locator("#line")).to_have_value("/upscale https://pictures.example/a.png")
    await expect(page.locator("#quote")).to_contain_text("once the image has been read")
    await page.evaluate(PASTE, "just words")
    await expect(page.locator("#line")).to_have_value("/upscale https://pictures.example/a.png")


async def test_percentages_are_true_and_the_file_is_dragged_out_on_every_screen(
    bot: Bot, page: Page, browser: Browser, tmp_path: Path
) -> None:
    await order(page, photo(tmp_path / "harbour.jpg", 900, 600))
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1, timeout=60_000)
    for ratio in (1, 2, 3):
        context = await browser.new_context(viewport={"width": 900, "height": 900}, device_scale_factor=ratio)
        page = await context.new_page()
        await page.goto(bot.url)
        await page.wait_for_selector("html[data-ready]")
        await expect(page.locator("img.after")).to_have_js_property("complete", True)
        prevented, download, link = await page.evaluate(DRAGGED)
        assert not prevented
        assert download.startswith("image/")
        assert f":harbour-2x.png:{bot.url}/api/jobs/" in download
        assert link.endswith("/image")
        await page.locator(".stage").focus()
        for key, percent, pixels in (("1", "100%", 1200), ("2", "200%", 2400)):
            await page.keyboard.press(key)
            await expect(page.locator(".zoom")).to_have_text(percent)
            assert await page.evaluate(SCREEN_WIDTH) == pytest.approx(pixels), ratio
        assert (await page.evaluate(DRAGGED))[0], "zoomed in, dragging moves the picture"
        await context.close()
