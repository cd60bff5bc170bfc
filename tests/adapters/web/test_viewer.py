"""The viewer on the whole bot: zoom, pan, side by side, tiles, and access to the image itself."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.adapters.web.test_real import Bot, bot, order, page, photo, started
from tests.typed import unwrap

__all__ = ["bot", "page", "started"]
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

SHOWN = """() => {
  const image = document.querySelector("img.after").getBoundingClientRect();
  const stage = document.querySelector(".stage").getBoundingClientRect();
  return [image.width * devicePixelRatio, image.left - stage.left, image.top - stage.top];
}"""
UNDER_POINTER = """([x, y]) => {
  const stage = document.querySelector(".stage").getBoundingClientRect();
  return document.elementFromPoint(stage.left + stage.width * x, stage.top + stage.height * y).className;
}"""


async def finished(page: Page, tmp_path: Path, size: tuple[int, int]) -> None:
    """One result, twice as large as `size` (before rotation)."""
    await order(page, photo(tmp_path / "photo.jpg", *size))
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1, timeout=120_000)
    await page.evaluate("document.querySelector('.viewer').scrollIntoView({block: 'center', behavior: 'instant'})")


async def shown(page: Page) -> list[float]:
    """The result's width and left edge in device pixels."""
    found: list[float] = await page.evaluate(SHOWN)
    return found


async def test_zoom_is_counted_in_pixels_of_the_screen(page: Page, tmp_path: Path) -> None:
    await finished(page, tmp_path, (1200, 900))
    zoom = page.locator(".view-bar .zoom")
    assert (await shown(page))[0] < 1800
    await page.locator(".stage").focus()
    for key, percent, width in (("1", "100%", 1800), ("2", "200%", 3600), ("4", "400%", 7200)):
        await page.keyboard.press(key)
        await expect(zoom).to_have_text(percent)
        assert (await shown(page))[0] == pytest.approx(width)
    await page.keyboard.press("-")
    await expect(zoom).to_have_text("200%")
    left = (await shown(page))[1]
    await page.keyboard.press("ArrowRight")
    assert (await shown(page))[1] < left
    before = await page.locator("img.before").bounding_box()
    after = await page.locator("img.after").bounding_box()
    assert before == after, "both are zoomed and moved together"
    await page.keyboard.press("0")
    await page.keyboard.press("z")
    await expect(zoom).to_have_text("100%")
    await page.keyboard.press("d")
    panes = [unwrap(await page.locator(f".pane-{side}").bounding_box()) for side in ("before", "after")]
    assert panes[0]["x"] + panes[0]["width"] <= panes[1]["x"] + 1
    await page.keyboard.press("f")
    await expect(page.locator(".viewer:fullscreen")).to_have_count(1)


async def test_mouse_wheel_and_double_click_keep_the_point_under_the_pointer(page: Page, tmp_path: Path) -> None:
    await finished(page, tmp_path, (1200, 900))
    assert await page.evaluate(UNDER_POINTER, [0.45, 0.2]) == "after", "a right-click reaches the picture itself"
    stage = unwrap(await page.locator(".stage").bounding_box())
    x, y = stage["x"] + stage["width"] * 0.53, stage["y"] + stage["height"] * 0.3
    width, left, _ = await shown(page)
    point = (x - stage["x"] - left) / width
    await page.mouse.dblclick(x, y)
    await expect(page.locator(".view-bar .zoom")).to_have_text("100%")
    width, left, _ = await shown(page)
    assert (x - stage["x"] - left) / width == pytest.approx(point, abs=0.01)
    await page.mouse.wheel(0, -400)
    await page.wait_for_function("Number(document.querySelector('.zoom').textContent.replace('%', '')) > 120")
    _, left, top = await shown(page)
    await page.mouse.down()
    await page.mouse.move(x - 60, y - 40, steps=4)
    await page.mouse.up()
    assert await shown(page) == pytest.approx([(await shown(page))[0], left - 60, top - 40], abs=1)
    page_top = await page.evaluate("scrollY")
    await page.mouse.wheel(0, 300)
    assert await page.evaluate("scrollY") == page_top


async def test_a_large_result_is_shown_by_a_preview_and_the_tiles_in_view(bot: Bot, page: Page, tmp_path: Path) -> None:
    loaded: list[str] = []
    await finished(page, tmp_path, (2600, 2000))
    page.on("request", lambda request: loaded.append(request.url))
    source = unwrap(await page.locator("img.after").get_attribute("src"))
    assert source.endswith("/preview")
    await page.locator(".stage").focus()
    await page.keyboard.press("1")
    tiles = page.locator(".pane-after .tiles-of img[data-loaded]")
    await expect(tiles.first).to_be_visible()
    await page.wait_for_timeout(500)
    assert 0 < await page.locator(".pane-after .tiles-of img").count() <= 12
    box = unwrap(await tiles.first.bounding_box())
    assert box["width"] == 512
    link = unwrap(await page.locator(".pane-after .layer").get_attribute("href"))
    assert link.endswith("/image"), "the browser's own menu saves the full file"
    assert not [url for url in loaded if url.endswith("/image")], "the whole picture is never loaded"
    for wrong in ("halved=99&x=0&y=0", "halved=0&x=9999&y=0", "halved=-1&x=0&y=0", "halved=0&x=../1&y=0"):
        answer = await page.request.get(f"{bot.url}{link.replace('/image', '/tile')}?of=result&{wrong}")
        assert answer.status in {400, 404}


async def test_two_fingers_zoom_on_a_phone(page: Page, tmp_path: Path) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await finished(page, tmp_path, (1200, 900))
    before = (await shown(page))[0]
    await page.evaluate(
        """() => {
          const stage = document.querySelector(".stage");
          stage.setPointerCapture = () => {};
          const { left, top, width, height } = stage.getBoundingClientRect();
          const finger = (type, id, x) => stage.dispatchEvent(new PointerEvent(type, {
            bubbles: true, cancelable: true, pointerId: id, pointerType: "touch", isPrimary: id === 1,
            clientX: left + width * x, clientY: top + height / 3,
          }));
          finger("pointerdown", 1, 0.3);
          finger("pointerdown", 2, 0.6);
          for (const spread of [0.62, 0.7, 0.8, 0.9]) finger("pointermove", 2, spread);
          finger("pointerup", 1, 0.3);
          finger("pointerup", 2, 0.9);
        }"""
    )
    assert (await shown(page))[0] > before * 1.5
