"""Several pictures at once, and downloads in other formats, on the whole bot."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Locator, Page, expect

from tests.adapters.web.audit import audit
from tests.adapters.web.conftest import BROKEN
from tests.adapters.web.test_real import Bot, bot, order, page, photo, started

__all__ = ["bot", "page", "started"]
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]


async def saved(page: Page, link: Locator, path: Path) -> Path:
    async with page.expect_download() as saving:
        await link.click()
    await (await saving.value).save_as(path)
    return path


async def test_a_batch_is_one_grid_with_its_total_and_what_failed_is_tried_again(page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(BROKEN)
    (tmp_path / "other").mkdir()
    same = [photo(tmp_path / "harbour.jpg", 90, 60), photo(tmp_path / "other" / "harbour.jpg", 60, 90)]
    await order(page, *same, tmp_path / "broken.jpg")
    batch = page.locator(".batch")
    await expect(batch.locator("h3")).to_have_text("2 of 3 done · 1 failed · $0.20 of $0.20", timeout=60_000)
    await expect(batch.locator("li[data-state=refused]")).to_contain_text("damaged")
    path = await saved(page, batch.get_by_role("link", name="Download 2 as ZIP"), tmp_path / "all.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["harbour-2x.png", "harbour-2x (2).png"]
    await batch.get_by_role("checkbox", name="Select harbour.jpg").first.uncheck()
    path = await saved(page, batch.get_by_role("link", name="Download 1 as ZIP"), tmp_path / "one.zip")
    with zipfile.ZipFile(path) as archive, Image.open(archive.open("harbour-2x.png")) as picture:
        assert picture.size == (180, 120), "upright, the second one"
    await batch.get_by_role("button", name="Retry failed").click()
    await expect(batch.locator("li[data-state=refused]")).to_have_count(1, timeout=30_000)
    await batch.locator(".cell").first.click()
    await expect(batch.locator(".viewer")).to_be_visible()
    await batch.get_by_role("button", name="Save as").click()
    for width in (1440, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await audit(page) == []
    await page.reload()
    await expect(page.locator(".batch h3")).to_have_text("2 of 2 done · $0.20 of $0.20")
    await expect(page.locator(".thread > .bots")).to_have_count(1)


async def test_a_result_is_saved_in_another_format_and_copied(bot: Bot, page: Page, tmp_path: Path) -> None:
    await order(page, photo(tmp_path / "harbour.jpg", 90, 60))
    card = page.locator(".card[data-state=succeeded]")
    await expect(card).to_have_count(1, timeout=60_000)
    await card.get_by_role("button", name="More", exact=True).click()
    await card.get_by_role("button", name="Save as").click()
    sizes = []
    for label, format_, quality in (
        ("PNG", "PNG", None),
        ("WebP", "WEBP", "90"),
        ("JPEG", "JPEG", "90"),
        ("JPEG", "JPEG", "40"),
    ):
        await card.locator(".save-as label", has_text=label).click()
        if quality:
            await card.locator(".save-as input[type=range]").fill(quality)
        path = await saved(page, card.locator(".save-as").get_by_role("link", name="Save"), tmp_path / "saved")
        sizes.append(path.stat().st_size)
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == (format_, (120, 180))
    assert sizes[3] < sizes[2] < sizes[0]
    url = f"{bot.url}/api/jobs/{await card.get_attribute('data-job')}/image"
    for wrong in ("as=gif", "as=jpeg&quality=0", "as=jpeg&quality=101", "as=webp&quality=x"):
        assert (await page.request.get(f"{url}?{wrong}")).status == 400
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await card.get_by_role("button", name="Copy image").click()
    await expect(card.get_by_role("button", name="Copied.")).to_be_visible()
    types = "() => navigator.clipboard.read().then((items) => items[0].types.join())"
    assert await page.evaluate(types) == "image/png"
