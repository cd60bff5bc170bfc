"""Every card as sent to Discord: equal to the golden file, and within Discord's limits in every language."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.discord.views.card import draw
from core.presentation import LANGUAGES, Action, Card, Code, Link, Mention, PictureRole, Strong
from tests.fakes import golden
from tests.fakes.cards import every_card

FILES: dict[PictureRole, str] = {
    "result": "upscaled.png",
    "comparison": "compare.png",
    "chart": "usage.png",
    "file": "export.zip",
}
HOSTILE = "@everyone **b** [x](https://evil.example) `c` <@1> " * 200


def _drawn(card: Card) -> Any:
    return draw(card, FILES).to_components()


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("type"), int):
            yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _parts(value)


def _told(part: dict[str, Any]) -> Any:
    """A short description of one component, for a readable golden file."""
    match part["type"]:
        case 10:
            return part["content"].split("\n")
        case 12:
            (item,) = part["items"]
            return f"image {item['media']['url']}: {item.get('description')}"
        case 2:
            emoji = (part.get("emoji") or {}).get("name", "")
            where = part.get("custom_id") or part.get("url")
            return f"button {part['style']} {emoji} {part['label']} -> {where}"
        case 3:
            return {part["placeholder"]: [f"{o['label']} ({o.get('description')})" for o in part["options"]]}
        case 13:
            return f"file {part['file']['url']}"
        case 17:
            return f"container #{part['accent_color']:06x}"
        case _:
            return {1: "row", 14: "line"}[part["type"]]


def test_cards_are_drawn_as_they_were_looked_at() -> None:
    golden.compare(
        Path(__file__).parent / "golden",
        {name: [_told(part) for part in _parts(_drawn(card))] for name, card in every_card().items()},
    )


@pytest.mark.parametrize("caption", ["", HOSTILE])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_card_obeys_discords_limits_in_every_language(language: str, caption: str) -> None:
    for name, card in every_card(language, caption=caption).items():
        drawn = _drawn(card)
        parts = list(_parts(drawn))
        assert len(parts) <= 40, name
        assert 0 < sum(len(part["content"]) for part in parts if part["type"] == 10) <= 4000, name
        for part in parts:
            assert len(part.get("label") or "") <= 80, name
            assert len(part.get("custom_id") or "") <= 100, name
            assert len(part.get("placeholder") or "") <= 150, name
            assert len(part.get("components") or []) <= (5 if part["type"] == 1 else 40), name
            assert 1 <= len(part.get("options") or ["one"]) <= 25, name
        ids = [part["custom_id"] for part in parts if "custom_id" in part]
        assert len(ids) == len(set(ids)), name


def test_words_of_others_take_no_effect() -> None:
    spans = (
        HOSTILE[:50],
        Strong(HOSTILE[:50]),
        Code("a`b`"),
        Mention("user", "x", "@everyone"),
        Link("a]", "https://x"),
    )
    text = _drawn(Card("info", HOSTILE[:50], HOSTILE[:50], caption=HOSTILE, paragraphs=(spans,)))[0]
    said = text["components"][0]["content"]
    assert "@everyone" not in said
    assert "](https://evil" not in said
    assert "<@1>" not in said.replace(r"\<@1>", "")


def test_an_address_too_long_for_a_button_is_a_link_in_the_text() -> None:
    url = "https://bot.example/" + "f" * 600
    drawn = _drawn(Card("done", "Done", rows=((Action("open_link", "Full file", url=url),),)))
    assert [part["type"] for part in _parts(drawn)] == [17, 10]
    assert f"[Full file]({url})" in drawn[0]["components"][0]["content"]
