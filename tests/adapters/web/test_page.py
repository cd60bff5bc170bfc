"""The page in a real Chromium, end to end, on the fake service."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Page, Route, expect

from core.domain import errors as e
from tests.adapters.web.conftest import png, visit
from tests.adapters.web.fake_service import CAPTION
from tests.adapters.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")

DROP = """
async ([name, data, kind]) => {
  const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  const file = new File([bytes], name, { type: "image/png" });
  const transfer = new DataTransfer();
  transfer.items.add(file);
  if (kind === "paste") {
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
    return;
  }
  for (const type of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(page_site: Site, browser: Browser) -> AsyncIterator[Page]:
    """The open page; fails the test if the browser reports an error."""
    seen = await visit(browser, page_site.url)
    yield seen.page
    seen.assert_clean()


def picture(tmp_path: Path, width: int = 120, height: int = 80, name: str = "photo.png") -> Path:
    path = tmp_path / name
    path.write_bytes(png(width, height))
    return path


async def choose(page: Page, *paths: Path, line: str = "") -> None:
    await page.set_input_files("#file", [str(path) for path in paths])
    await page.fill("#line", line)


async def send(page: Page) -> None:
    await page.press("#line", "Enter")


async def order(page: Page, *paths: Path, line: str = "") -> None:
    await choose(page, *paths, line=line)
    await send(page)


async def test_an_empty_page_explains_itself(page: Page) -> None:
    await expect(page.get_by_role("heading", name="Make an image larger.")).to_be_visible()
    await expect(page.get_by_role("button", name="Choose images")).to_be_visible()
    await expect(page.locator(".top").get_by_text("Play money", exact=True)).to_be_visible()


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
async def test_a_picture_handed_in_comes_back_twice_as_large(page: Page, tmp_path: Path, way: str) -> None:
    if way == "choose":
        await choose(page, picture(tmp_path))
    else:
        await page.evaluate(DROP, ["photo.png", base64.b64encode(png()).decode(), way])
    await expect(page.locator("#tray li")).to_contain_text("120×80")
    await expect(page.locator("#quote")).to_contain_text("120×80 → 240×160 · 1 MP · $0.10")
    await expect(page.locator("#quote")).to_contain_text("Play money")
    await expect(page.locator("#send")).to_contain_text("$0.10")
    await page.click("#send")
    card = page.locator(".card[data-state=succeeded]")
    await expect(card).to_contain_text("120×80 → 240×160")
    after = card.locator("img.after")
    await expect(after).to_have_js_property("naturalWidth", 240)
    await expect(after).to_have_attribute("alt", CAPTION)
    await expect(card.locator("blockquote")).to_have_text(CAPTION)
    await expect(card.locator(".facts")).to_contain_text("Charged $0.10 of play money.")
    async with page.expect_download() as saving:
        await card.get_by_role("link", name="Download").click()
    saved = tmp_path / "saved.png"
    await (await saving.value).save_as(saved)
    with Image.open(saved) as result:
        assert result.size == (240, 160)


async def test_a_wrong_line_names_every_mistake_and_starts_nothing(page_site: Site, page: Page, tmp_path: Path) -> None:
    await order(page, picture(tmp_path), line="/upscale factor=9 creativty=0.5")
    problem = page.locator("#problem")
    await expect(problem).to_contain_text("factor must be 1–4 (seedvr2: 1–10); you wrote 9.")
    await expect(problem).to_contain_text("Did you mean “creativity”?")
    await expect(page.locator("#line")).to_have_attribute("aria-invalid", "true")
    assert page_site.service.requests == []


async def test_the_slider_is_moved_by_the_keyboard(page: Page, tmp_path: Path) -> None:
    await order(page, picture(tmp_path))
    slider = page.get_by_role("slider", name="Show more of the image before or after")
    await slider.focus()
    await page.keyboard.press("ArrowLeft")
    await expect(slider).to_have_value("49")
    await expect(slider).to_have_attribute("aria-valuetext", "After: 51%")
    await page.keyboard.press("PageDown")
    await expect(slider).to_have_value("24")
    await page.keyboard.press("End")
    await expect(slider).to_have_value("100")
    clip = await page.locator(".pane-before").evaluate("(node) => getComputedStyle(node).clipPath")
    assert clip in {"inset(0px)", "inset(0px 0% 0px 0px)"}, clip


async def test_progress_is_shown_and_can_be_cancelled(page_site: Site, page: Page, tmp_path: Path) -> None:
    page_site.service.gates["upscaling"] = asyncio.Event()
    await order(page, picture(tmp_path))
    card = page.locator(".card[data-state=running]")
    await expect(card.get_by_role("heading")).to_contain_text("Upscaling 2×")
    await expect(card.get_by_role("progressbar")).to_be_visible()
    await expect(card.locator(".doing time")).to_have_text(re.compile("^(in . seconds?|now)$"))
    await card.get_by_role("button", name="Cancel").click()
    await expect(card.get_by_role("button", name="Cancel")).to_be_disabled()
    page_site.service.gates["upscaling"].set()
    await expect(page.locator(".card[data-state=cancelled]")).to_contain_text("Cancelled")
    await expect(page.locator(".card[data-state=cancelled]")).to_contain_text("Not charged.")


async def test_pressing_the_button_with_the_price_is_consent(page_site: Site, page: Page, tmp_path: Path) -> None:
    page_site.service.confirm_above_nanousd = 150_000_000
    await choose(page, picture(tmp_path, 400, 300), line="4x")
    await expect(page.locator("#quote")).to_contain_text("400×300 → 1600×1200 · 2 MP · $0.20")
    await expect(page.locator("#send-label")).to_contain_text("$0.20")
    await send(page)
    await expect(page.locator(".card[data-state=succeeded]")).to_contain_text("1600×1200")
    assert page_site.service.requests[-1].confirmed_nanousd == 200_000_000


async def test_a_dear_job_without_a_price_on_its_button_asks(page_site: Site, page: Page, tmp_path: Path) -> None:
    page_site.service.confirm_above_nanousd = 150_000_000
    await order(page, picture(tmp_path, 400, 300), line="2x")
    done = page.locator(".card[data-state=succeeded]")
    await done.get_by_role("button", name="2× more").click()
    card = page.locator(".card[data-state=awaiting_confirmation]")
    await expect(card).to_contain_text("800×600 → 1600×1200 · 2 MP · $0.20")
    await expect(card).to_contain_text("You have $4.90 left today.")
    await card.get_by_role("button", name="Start for $0.20").click()
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(2)


async def test_a_refusal_offers_the_factor_that_fits(page_site: Site, page: Page, tmp_path: Path) -> None:
    await order(page, picture(tmp_path, 4000, 3000), line="/upscale 4x steps=10 seed=7")
    card = page.locator(".card[data-state=refused]")
    await expect(card).to_contain_text("at most 100 MP")
    await expect(card).to_contain_text("Not charged.")
    await card.get_by_role("button", name="Upscale 2.88× instead").click()
    await expect(page.locator(".card[data-state=awaiting_confirmation]")).to_contain_text("11520×8640")
    fitting = page_site.service.requests[-1].text
    assert fitting == "factor=2.88 creativity=0.3 guidance=1 steps=10 seed=7 model=flux"


async def test_buttons_under_a_result_start_new_jobs_and_open_panels(page: Page, tmp_path: Path) -> None:
    await order(page, picture(tmp_path), line="seed=5")
    card = page.locator(".card[data-state=succeeded]").first
    await card.get_by_role("button", name="Again $0.10").click()
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(2)
    await card.get_by_role("button", name="More creative").click()
    await expect(page.locator(".card[data-state=succeeded]").nth(2)).to_contain_text("creativity 0.5")
    await card.get_by_role("button", name="2× more").click()
    await expect(page.locator(".card[data-state=succeeded]").nth(3)).to_contain_text("240×160 → 480×320")
    await card.get_by_role("button", name="More", exact=True).click()
    details = card.get_by_role("button", name="Details")
    await expect(details).to_have_attribute("aria-expanded", "false")
    await details.click()
    await expect(details).to_have_attribute("aria-expanded", "true")
    await expect(card.locator(".sections")).to_contain_text(
        "/upscale model=flux factor=2 creativity=0.3 guidance=1 steps=20 seed=5"
    )
    await card.get_by_role("button", name="Compare").click()
    await expect(card.locator(".compare-picture")).to_have_js_property("naturalWidth", 512)
    await card.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    await card.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(card).to_contain_text("The image and its original have been deleted.")
    await expect(card.locator("img")).to_have_count(0)


async def test_history_is_there_after_a_reload_and_running_jobs_go_on(
    page_site: Site, page: Page, tmp_path: Path
) -> None:
    await order(page, picture(tmp_path))
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1)
    page_site.service.gates["upscaling"] = asyncio.Event()
    await order(page, picture(tmp_path))
    await expect(page.locator(".card[data-state=running]")).to_have_count(1)
    await page.reload()
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1)
    await expect(page.locator(".card[data-state=running]")).to_have_count(1)
    page_site.service.gates["upscaling"].set()
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(2)


async def test_eight_pictures_at_once_are_eight_jobs_through_one_stream(page: Page, tmp_path: Path) -> None:
    await choose(page, *(picture(tmp_path, 60 + at, 40, f"p{at}.png") for at in range(8)))
    await expect(page.locator("#quote")).to_contain_text("8 images · 8 MP · $0.80")
    await send(page)
    await expect(page.locator(".batch li[data-state=succeeded]")).to_have_count(8)


async def test_a_link_in_the_line_needs_no_file(page_site: Site, page: Page) -> None:
    await page.fill("#line", "/upscale https://pictures.example/a.png 3x")
    await expect(page.locator("#quote")).to_contain_text("shown once the image has been read")
    await send(page)
    await expect(page.locator(".card[data-state=succeeded]")).to_contain_text("180×120")
    assert page_site.service.requests[0].source.kind == "link"


async def test_without_a_picture_the_page_says_what_to_do(page: Page) -> None:
    await page.fill("#line", "/upscale 3x")
    await send(page)
    await expect(page.locator("#problem")).to_contain_text("Add an image first")


async def test_a_failure_shows_sentence_and_reference(page_site: Site, page: Page, tmp_path: Path) -> None:
    page_site.service.fail_with = e.ModelFailed()
    await order(page, picture(tmp_path))
    card = page.locator(".card[data-state=failed]")
    await expect(card).to_contain_text("The model stopped before it finished.")
    await expect(card).to_contain_text("Not charged.")
    await expect(card.locator("code")).to_have_text(next(iter(page_site.service.jobs)))


async def test_a_caption_can_never_become_markup(page: Page, tmp_path: Path) -> None:
    await choose(page, picture(tmp_path, name="Ärger <img src=x onerror=alert(1)>.png"))
    await send(page)
    card = page.locator(".card[data-state=succeeded]")
    await expect(card.locator("blockquote b")).to_have_count(0)
    await expect(page.locator(".bubble .name")).to_have_text("Ärger <img src=x onerror=alert(1)>.png")


async def test_a_start_that_got_no_answer_is_tried_again_under_the_same_key(page_site: Site, page: Page) -> None:
    lost = 0

    async def lose_first(route: Route) -> None:
        nonlocal lost
        lost += 1
        if lost > 1:
            await route.continue_()
            return
        await route.fetch()
        await route.abort("connectionreset")

    await page.route("**/api/jobs", lose_first)
    await page.fill("#line", "/upscale https://pictures.example/a.png 2x")
    await send(page)
    card = page.locator(".card").first
    await expect(card).to_contain_text("The bot did not answer.")
    await card.get_by_role("button", name="Try again").click()
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1)
    assert len(page_site.service.requests) == 1


async def test_pressing_enter_twice_starts_one_job(page_site: Site, page: Page, tmp_path: Path) -> None:
    await choose(page, picture(tmp_path))
    await page.evaluate("const form = document.getElementById('composer'); form.requestSubmit(); form.requestSubmit()")
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1)
    assert len(page_site.service.requests) == 1
