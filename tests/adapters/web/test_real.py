"""The page on the whole bot with the sandbox model, started by `python -m bot run`."""

import csv
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image, ImageDraw
from playwright.async_api import Browser, Page, expect

from tests.adapters.web.audit import audit
from tests.adapters.web.conftest import visit
from tests.bot.process_kit import SANDBOX, Bot

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bot]:
    """One bot for a module's tests, stopped by SIGTERM afterwards."""
    async with Bot(tmp_path_factory.mktemp("bot") / "data", dict(SANDBOX)) as running:
        yield running
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0


@pytest_asyncio.fixture(loop_scope="session")
async def bot(started: Bot) -> AsyncIterator[Bot]:
    """The bot, without the jobs of earlier tests."""
    yield started
    forget, limit = f"{started.url}/api/privacy/delete", aiohttp.ClientTimeout(total=20)
    async with aiohttp.request("POST", forget, json={"confirm": True}, timeout=limit) as answer:
        assert answer.status == 200, await answer.text()


@pytest_asyncio.fixture(loop_scope="session")
async def page(bot: Bot, browser: Browser) -> AsyncIterator[Page]:
    """The bot's open page; fails the test if the browser reports an error."""
    seen = await visit(browser, bot.url)
    yield seen.page
    seen.assert_clean()


async def order(page: Page, *paths: Path, line: str = "2x") -> None:
    """Choose these images, type the line, and press the button once it shows a price."""
    await page.set_input_files("#file", [str(path) for path in paths])
    await page.fill("#line", line)
    await expect(page.locator("#quote")).to_be_visible()
    await page.click("#send")


def photo(path: Path, width: int = 600, height: int = 400) -> Path:
    """A JPEG as phones write it: rotated by EXIF, with GPS data."""
    picture = Image.effect_mandelbrot((width, height), (-2, -1.2, 1, 1.2), 60).convert("RGB")
    ImageDraw.Draw(picture).rectangle((0, 0, width // 3, height // 3), fill="#cc2200")
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    picture.save(path, exif=exif, quality=92)
    return path


async def test_a_phone_photo_becomes_upright_and_twice_as_large(bot: Bot, page: Page, tmp_path: Path) -> None:
    await page.set_input_files("#file", [str(photo(tmp_path / "phone.jpg"))])
    await page.fill("#line", "2x seed=7")
    await expect(page.locator("#quote")).to_contain_text("400×600 → 800×1200 · 1 MP · $0.10")
    await page.click("#send")
    card = page.locator(".card[data-state=succeeded]")
    await expect(card).to_have_count(1, timeout=60_000)
    await expect(card).to_contain_text("400×600 → 800×1200")
    await expect(card).to_contain_text("seed 7")
    await expect(card.locator("blockquote")).to_contain_text("No AI")
    await expect(card.locator(".facts")).to_contain_text("play money")
    await expect(card.locator("img.after")).to_have_js_property("naturalWidth", 800, timeout=30_000)
    await expect(card.locator("img.before")).to_have_js_property("naturalHeight", 600)
    async with page.expect_download() as saving:
        await card.get_by_role("link", name="Download").click()
    saved = tmp_path / "saved"
    await (await saving.value).save_as(saved)
    with Image.open(saved) as result:
        assert result.size == (800, 1200)
        assert not result.getexif()
        red, green, blue = result.convert("RGB").getpixel((790, 10))  # type: ignore[misc]
        assert red > 150 > green + blue, "the corner that was top left is top right after turning"
    await card.get_by_role("button", name="Compare").click()
    await expect(card.locator(".compare-picture")).to_have_js_property("complete", True, timeout=30_000)
    await page.fill("#line", "/usage")
    await page.press("#line", "Enter")
    await expect(page.locator(".panel").last).to_contain_text("$0.10", timeout=30_000)
    await expect(page.locator("svg.chart rect:not([height='0'])")).to_have_count(1)
    table = await (await page.request.get(f"{bot.url}/api/usage?format=csv&period=day")).text()
    [row] = csv.DictReader(table.splitlines())
    assert (row["model"], row["charged_usd"]) == ("flux", "0.10")
    if await card.get_by_role("button", name="More", exact=True).is_visible():
        await card.get_by_role("button", name="More", exact=True).click()
    await card.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(card).to_contain_text("The image and its original")


async def test_after_a_kill_and_a_restart_the_open_page_gets_its_picture(
    bot: Bot, browser: Browser, tmp_path: Path
) -> None:
    seen = await visit(browser, bot.url)
    page = seen.page
    await order(page, photo(tmp_path / "phone.jpg"), line="3x")
    await expect(page.locator(".card[data-state=running]")).to_have_count(1, timeout=30_000)
    bot.env["WEB_PORT"] = str(bot.port)
    await bot.kill()
    await expect(page.locator("#offline")).to_be_visible()
    await bot.start()
    await expect(page.locator(".card[data-state=succeeded]")).to_have_count(1, timeout=90_000)
    await expect(page.locator("#offline")).to_be_hidden()
    assert seen.foreign == []


async def test_nothing_that_was_handed_in_vanishes(page: Page, tmp_path: Path) -> None:
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "huge.png").write_bytes(bytes(50_000_001))
    Image.new("RGB", (8, 200)).save(tmp_path / "thin.png")
    good = [photo(tmp_path / f"good-{n}.jpg", 60, 40) for n in range(21)]
    await page.set_input_files("#file", [str(tmp_path / name) for name in ("letter.pdf", "huge.png", "thin.png")])
    left_out = page.locator("#tray .left-out")
    await expect(left_out).to_have_count(3)
    for sentence in (
        "letter.pdf is left out: it is not an image",
        "huge.png is left out: it is larger",
        "thin.png is left out: each",
    ):
        await expect(page.locator("#tray")).to_contain_text(sentence)
    await page.set_input_files("#file", [str(path) for path in good])
    await expect(page.locator("#tray li:not(.left-out)")).to_have_count(20)
    await expect(page.locator("#tray")).to_contain_text("good-20.jpg is left out: at most 20 images at once")


async def test_a_result_that_cannot_be_made_is_told_before_a_price(page: Page, tmp_path: Path) -> None:
    paths = [photo(tmp_path / "large.jpg", 4000, 3000), photo(tmp_path / "small.jpg", 400, 300)]
    await page.set_input_files("#file", [str(path) for path in paths])
    await page.fill("#line", "4x")
    await expect(page.locator("#tray .bad")).to_contain_text("This would become 12000×16000. At most 100 MP")
    await expect(page.locator("#tray .bad")).to_have_count(1)
    await expect(page.locator("#quote")).to_contain_text("300×400 → 1200×1600 · 2 MP · $0.20")
    await page.fill("#line", "2x")
    await expect(page.locator("#tray .bad")).to_have_count(0)
    await expect(page.locator("#quote")).to_contain_text("2 images · 49 MP")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("everything day $20", "$20.00"),
        ("platform discord month 500 mp", "platform discord"),
        ("workspace discord:1234 month $50", "workspace discord:1234"),
        ("channel slack:T1:C1 hour 3 jobs", "channel slack:T1:C1"),
        ("role discord:1234:99 day $2", "role discord:1234:99"),
        ("user slack:T1:U1 2 running", "user slack:T1:U1"),
    ],
)
async def test_the_operator_sets_and_clears_a_budget_of_every_scope(page: Page, line: str, told: str) -> None:
    await page.fill("#line", f"/quota set {line}")
    await page.press("#line", "Enter")
    panel = page.locator(".panel").last
    await expect(panel).to_contain_text("Changed.")
    await expect(panel.locator(".meter", has_text=told)).to_have_count(1)
    await panel.locator(".meter", has_text=told).get_by_role("button").click()
    await expect(panel.locator(".meter", has_text=told)).to_have_count(0)


async def test_a_half_typed_line_survives_the_arrow_keys(page: Page) -> None:
    await page.fill("#line", "/help")
    await page.press("#line", "Enter")
    await page.fill("#line", "half typed")
    await page.press("#line", "ArrowUp")
    await expect(page.locator("#line")).to_have_value("/help")
    await page.press("#line", "ArrowDown")
    await expect(page.locator("#line")).to_have_value("half typed")
    await page.locator("#line").blur()
    await page.keyboard.press("?")
    await expect(page.locator(".panel")).to_have_count(2)


async def test_history_shows_pictures_and_names_and_is_searched(page: Page, tmp_path: Path) -> None:
    for n, name in enumerate(("harbour", "meadow")):
        await order(page, photo(tmp_path / f"{name}.jpg", 90 + n, 60))
        await expect(page.locator(".card[data-state=succeeded]")).to_have_count(n + 1, timeout=60_000)
    await expect(page).to_have_title("Upscale")
    await page.fill("#line", "/history")
    await page.press("#line", "Enter")
    rows = page.locator(".panel .jobs li:visible")
    await expect(rows).to_have_count(2)
    await expect(rows.first.locator("img.thumb")).to_have_js_property("complete", True)
    assert await rows.first.locator("img.thumb").evaluate("(node) => node.naturalWidth") > 0
    await page.get_by_role("searchbox", name="Find by name").fill("harb")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("harbour.jpg")


async def test_models_stand_beside_each_other_with_their_prices(page: Page, tmp_path: Path) -> None:
    await page.set_input_files("#file", [str(photo(tmp_path / "harbour.jpg", 1200, 900))])
    await expect(page.locator("#quote")).to_contain_text("$0.50")
    await page.click("#adjust")
    await expect(page.locator(".models label")).to_have_text(
        ["Creativedraws new details · $0.10 per MP", "Faithfulrepaints nothing · $0.001 per MP"]
    )
    await page.locator(".models label", has_text="Faithful").click()
    await expect(page.locator("#line")).to_have_value("/upscale model=seedvr2")
    await expect(page.locator("#quote")).to_contain_text("$0.01")
    await expect(page.locator("#c-creativity")).to_be_hidden()
    assert await audit(page) == []
