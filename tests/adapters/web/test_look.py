"""Accessibility of the page: names, roles, contrast, keyboard, narrow screens, languages, content policy."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from core.domain.models import ALL
from core.presentation import LANGUAGES, tr
from core.presentation.formats import with_price
from tests.adapters.web.audit import audit
from tests.adapters.web.conftest import png, visit
from tests.adapters.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _without_price(route: Route) -> None:
    await (route.abort() if "width" in (route.request.post_data or "") else route.continue_())


async def fill_with_everything(page: Page, tmp_path: Path) -> None:
    """A result with details, a question, an error, panels, and a half-typed command with its controls."""
    small, wide, huge = (tmp_path / f"{name}.png" for name in ("small", "wide", "huge"))
    small.write_bytes(png(160, 120))
    wide.write_bytes(png(1600, 1000))
    huge.write_bytes(png(4000, 3000))
    # Whoever is faster than the price has not agreed to it, and is asked.
    await page.route("**/api/estimate*", _without_price)
    for path, line in ((small, "3x"), (wide, "4x"), (huge, "4x")):
        await page.set_input_files("#file", [str(path)])
        await page.fill("#line", line)
        await page.press("#line", "Enter")
        await expect(page.locator("#tray")).to_be_hidden()
    for state in ("succeeded", "awaiting_confirmation", "refused"):
        await expect(page.locator(f".card[data-state={state}]")).to_have_count(1)
    await page.unroute("**/api/estimate*", _without_price)
    done = page.locator(".card[data-state=succeeded]")
    more = done.get_by_role("button", name="More", exact=True)
    if await more.is_visible():
        assert await done.locator(".actions > :visible").count() <= (4 if page.viewport_size["width"] < 620 else 9)  # type: ignore[index]
        await more.click()
    await done.get_by_role("button", name="Details").click()
    await done.get_by_role("button", name="Compare").click()
    for line in ("/usage", "/quota set everything day $9", "/history", "/help", "/settings", "/privacy", "/what"):
        await page.fill("#line", line)
        await page.press("#line", "Enter")
        await expect(page.locator(".thread > li.mine").last).to_contain_text(line)
        await expect(page.locator(".thread > li").last).to_have_class("message bots")
    await page.set_input_files("#file", [str(small)])
    await page.fill("#line", "/upscale 3x")
    await page.click("#adjust")
    await expect(page.locator("#quote")).to_contain_text("$0.10")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (820, "dark"), (390, "light"), (360, "dark")])
async def test_names_contrast_and_width_are_right_everywhere(
    page_site: Site, browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    seen = await visit(browser, page_site.url, width=width, height=800, scheme=scheme)
    assert await audit(seen.page) == []
    await fill_with_everything(seen.page, tmp_path)
    await seen.page.wait_for_timeout(350)
    assert await audit(seen.page) == []
    await seen.page.fill("#line", "/upscale factor=99")
    await expect(seen.page.locator("#problem")).to_be_visible()
    assert await audit(seen.page) == []
    seen.assert_clean()


_MOST_LINES = """(labels) => Math.max(...[...document.querySelectorAll(".card .actions button")].flatMap((one) => {
  if (!one.offsetParent) return [];
  const texts = document.createTreeWalker(one, NodeFilter.SHOW_TEXT), words = document.createRange();
  const text = texts.nextNode(), own = text.data;
  const lines = labels.map((label) => {
    text.data = label;
    words.selectNodeContents(text);
    return new Set([...words.getClientRects()].map((box) => Math.round(box.top))).size;
  });
  text.data = own;
  return lines;
}))"""


async def test_a_button_with_a_price_takes_two_lines_at_most_on_a_phone(
    page_site: Site, browser: Browser, tmp_path: Path
) -> None:
    seen = await visit(browser, page_site.url, width=390, height=800)
    await seen.page.set_input_files("#file", [str(write(tmp_path))])
    await seen.page.fill("#line", "2x")
    await seen.page.press("#line", "Enter")
    await seen.page.locator(".card[data-state=succeeded] .more").click()
    words = ("Again", "More creative", "More faithful", "2× more", "Whole picture", "Preview", "Try again")
    labels = [with_price(tr(word, locale), 12_800_000_000, locale) for word in words for locale in LANGUAGES]
    assert await seen.page.evaluate(_MOST_LINES, labels) == 2


_BROKEN_WORDS = """() => [...document.querySelectorAll(".models label > :is(b, span)")].filter((node) => {
  const before = node.getBoundingClientRect().width;
  Object.assign(node.style, { width: "min-content", overflowWrap: "normal" });
  return node.getBoundingClientRect().width > before + 1;
}).map((node) => node.textContent)"""


async def test_on_a_small_phone_no_word_of_the_models_is_broken(page_site: Site, browser: Browser) -> None:
    page_site.service.models = ALL
    for locale in LANGUAGES:
        seen = await visit(browser, page_site.url, width=360, height=700, locale=locale.replace("_", "-"))
        await seen.page.click("#adjust")
        assert await seen.page.locator(".models label").count() == 3
        assert await seen.page.evaluate(_BROKEN_WORDS) == [], locale
        await seen.context.close()


_BOX = "(name) => document.querySelector(name).getBoundingClientRect().toJSON()"


async def test_on_a_phone_nothing_sticks_out_of_a_card_or_hides_under_the_header(
    page_site: Site, browser: Browser, tmp_path: Path
) -> None:
    seen = await visit(browser, page_site.url, width=390, height=800, locale="fr-FR")
    await seen.page.set_input_files("#file", [str(write(tmp_path))])
    await seen.page.press("#line", "Enter")
    await seen.page.locator(".card[data-state=succeeded] .view-bar").wait_for()
    bar, card = await seen.page.evaluate(_BOX, ".view-bar"), await seen.page.evaluate(_BOX, ".card")
    assert card["left"] < bar["left"] < bar["right"] < card["right"]
    pictures = [tmp_path / f"{n}.png" for n in range(8)]
    for picture in pictures:
        picture.write_bytes(png(160, 120))
    await seen.page.set_input_files("#file", [str(picture) for picture in pictures])
    await seen.page.click("#adjust")
    await expect(seen.page.locator("#quote")).to_contain_text("8 images")
    await seen.page.evaluate("document.getElementById('offline').hidden = false")
    top, composer = await seen.page.evaluate(_BOX, ".top"), await seen.page.evaluate(_BOX, ".composer-box")
    assert composer["top"] >= top["bottom"]
    assert (await seen.page.evaluate(_BOX, "#offline"))["top"] >= top["bottom"]


async def test_everything_can_be_done_with_the_keyboard_alone(
    page_site: Site, browser: Browser, tmp_path: Path
) -> None:
    seen = await visit(browser, page_site.url, width=1700)
    page = seen.page
    await page.keyboard.press("/")
    await expect(page.locator("#line")).to_be_focused()
    await expect(page.locator("#line")).to_have_value("/")
    await page.set_input_files("#file", [str(write(tmp_path))])
    await page.fill("#line", "2x")
    await page.keyboard.press("Enter")
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1)
    await page.locator("#line").focus()
    wanted = [
        "Delete",
        "Details",
        "Copy image",
        "Save as …",
        "2× more $0.10",
        "More creative $0.10",
        "Compare",
        "Again $0.10",
        "Download",
    ]
    for _ in range(3):
        await page.keyboard.press("Shift+Tab")
        if await focused(page) == "Delete":
            break
    reached = [await focused(page)]
    for _ in wanted[1:]:
        await page.keyboard.press("Shift+Tab")
        reached.append(await focused(page))
    assert reached == wanted
    for _ in range(10):  # the viewer's tools lie between
        await page.keyboard.press("Shift+Tab")
        if await page.evaluate("document.activeElement.type") == "range":
            break
    assert await page.evaluate("document.activeElement.type") == "range"
    await page.keyboard.press("Tab")
    await page.locator(".card button", has_text="Delete").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.fill("#line", "")
    await page.locator("#line").focus()
    await page.keyboard.press("ArrowUp")
    await expect(page.locator("#line")).to_have_value("2x")


def write(tmp_path: Path) -> Path:
    path = tmp_path / "one.png"
    path.write_bytes(png())
    return path


async def focused(page: Page) -> str:
    text: str = await page.evaluate("document.activeElement.textContent.trim()")
    return text


async def test_progress_is_told_to_screen_readers(page_site: Site, browser: Browser, tmp_path: Path) -> None:
    seen = await visit(browser, page_site.url)
    told: list[str] = []
    await seen.page.expose_function("told", lambda text: told.append(text))
    await seen.page.evaluate(
        "const region = document.getElementById('announcer');"
        "new MutationObserver(() => { if (region.textContent) told(region.textContent); })"
        ".observe(region, { childList: true, characterData: true, subtree: true })"
    )
    await seen.page.set_input_files("#file", [str(write(tmp_path))])
    await expect(seen.page.locator("#announcer")).to_have_text("one.png added.")
    await seen.page.fill("#line", "2x")
    await seen.page.press("#line", "Enter")
    await expect(seen.page.locator("#announcer")).to_contain_text("120×80 → 240×160")
    assert any("one.png added." in text for text in told)
    assert not any(text.startswith("Ready") for text in told)  # what is being done, not when it will be


@pytest.mark.parametrize(("locale", "lang"), [("de-DE", "de"), ("ja-JP", "ja"), ("pt-BR", "pt-BR"), ("sv-SE", "en")])
async def test_the_page_says_its_language(page_site: Site, browser: Browser, locale: str, lang: str) -> None:
    seen = await visit(browser, page_site.url, locale=locale, width=390, height=800)
    assert await seen.page.get_attribute("html", "lang") == lang
    await seen.page.click("#adjust")
    assert await audit(seen.page) == []
    seen.assert_clean()


async def test_injected_scripts_styles_and_foreign_pictures_do_nothing(page_site: Site, browser: Browser) -> None:
    seen = await visit(browser, page_site.url)
    outcome: dict[str, Any] = await seen.page.evaluate(
        """async () => {
          const blocked = [];
          document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
          try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=window.hurt=1>"); }
          catch { blocked.push("markup"); }
          const script = document.createElement("script");
          try { script.text = "window.hurt = 1"; document.body.append(script); } catch { blocked.push("script"); }
          const image = new Image();
          image.src = "http://127.0.0.1:1/x.png";
          const node = document.createElement("p");
          node.setAttribute("style", "color: red");
          await fetch("http://127.0.0.1:1/").catch(() => {});
          await new Promise((done) => setTimeout(done, 100));
          return { blocked, hurt: window.hurt ?? null };
        }"""
    )
    assert outcome["hurt"] is None
    assert {"markup", "script", "img-src", "connect-src", "style-src-attr"} <= set(outcome["blocked"])


async def test_the_page_cannot_be_framed(page_site: Site, browser: Browser) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.set_content(f'<iframe src="{page_site.url}"></iframe>')
    await page.wait_for_timeout(300)
    assert "Make an image larger" not in await page.frames[-1].content()
    await context.close()


async def test_the_audit_itself_notices_what_is_wrong(page_site: Site, browser: Browser) -> None:
    seen = await visit(browser, page_site.url)
    await seen.page.evaluate(
        """() => {
          document.querySelector(".hero h2").style.color = "#ccc";
          document.querySelector("#attach").removeAttribute("aria-label");
          document.querySelector("#attach").removeAttribute("title");
          document.querySelector("main").style.width = "2000px";
        }"""
    )
    found = " ".join(await audit(seen.page))
    assert "contrast" in found
    assert "button-name" in found
