"""Every card as Chromium shows it: equal to the golden file, complete, and never interpreted as markup."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from adapters.web.views.card import card_json
from core.presentation import LANGUAGES, Card, Moment
from tests.adapters.web.conftest import visit
from tests.adapters.web.site import Site
from tests.fakes import golden
from tests.fakes.cards import NOW, every_card

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = '<img src=x onerror="alert(1)"> <b>b</b> & **b** '
DRAW = """
async (cards) => {
  const { drawn } = await import("/static/draw.js");
  const root = document.createElement("article");
  root.className = "card";
  document.getElementById("thread").append(root);
  return Object.fromEntries(Object.entries(cards).map(([name, card]) => {
    root.replaceChildren(...drawn(card, () => {}, () => {}));
    const lines = root.innerText.split("\\n").map((line) => line.trim()).filter(Boolean);
    const count = (what) => root.querySelectorAll(what).length;
    const beyond = root.scrollWidth - root.clientWidth;
    const linesOf = (button) => {
      const range = document.createRange();
      range.selectNodeContents(button);
      return new Set([...range.getClientRects()].filter((one) => one.width > 1).map((one) => one.top >> 3)).size;
    };
    const tallest = Math.max(0, ...[...root.querySelectorAll("button")].map(linesOf));
    return [name, { lines, buttons: count("button"), markup: count("img"), beyond, tallest }];
  }));
}
"""


async def drawn(page: Page, cards: dict[str, Card]) -> dict[str, Any]:
    await page.clock.set_fixed_time(NOW)
    made: dict[str, Any] = await page.evaluate(DRAW, {name: card_json(card) for name, card in cards.items()})
    return made


def words(part: Any) -> Iterator[str]:
    """All texts of a card's JSON that a user should see."""
    if isinstance(part, str):
        yield from part.split()
    elif isinstance(part, list):
        for inner in part:
            yield from words(inner)
    elif isinstance(part, dict) and part["is"] != Moment.__name__.lower():
        drawn_fields = "title name paragraphs facts sections small rows label value text quote code"
        shown = set(drawn_fields.split())
        for key in shown & set(part) - ({"value"} if part["is"] == "option" else set()):
            yield from words(part[key])


async def test_cards_are_drawn_as_they_were_looked_at(page_site: Site, browser: Browser) -> None:
    seen = await visit(browser, page_site.url)
    made = await drawn(seen.page, every_card())
    golden.compare(Path(__file__).parent / "golden", {name: one["lines"] for name, one in made.items()})


@pytest.mark.parametrize("language", LANGUAGES)
async def test_on_a_phone_no_word_of_a_card_is_left_out_or_off_its_edge_and_none_is_markup(
    page_site: Site, browser: Browser, language: str
) -> None:
    seen = await visit(browser, page_site.url, width=360)
    cards = every_card(language, caption=HOSTILE)
    for name, one in (await drawn(seen.page, cards)).items():
        told = "".join("".join(one["lines"]).split())
        assert [word for word in words(card_json(cards[name])) if word not in told] == [], name
        assert one["buttons"] >= sum(len(row) for row in cards[name].rows), name
        assert one["markup"] == 0, name
        assert one["beyond"] <= 0, name
        assert one["tallest"] <= 2, name
    seen.assert_clean()
