"""Every card as Block Kit: equal to its golden file, and valid in every language."""

from pathlib import Path
from typing import Any

import pytest

from adapters.slack.views.card import draw
from core.presentation import LANGUAGES, Card, Code, Link, Mention, Moment, Strong
from core.presentation.card import Fact
from tests.emulators.slack.blocks import check_blocks
from tests.emulators.slack.reading import mentions
from tests.fakes import golden
from tests.fakes.cards import every_card

HOSTILE = "<!channel> <@U1> *b* <https://evil.example|x> & " * 20


def _told(block: dict[str, Any]) -> Any:
    """One block in few words, so that a golden file can be read."""
    match block["type"]:
        case "image":
            return f"image {block['slack_file']['id']} {block.get('title', {}).get('text')}: {block['alt_text']}"
        case "rich_text":
            (section,) = block["elements"]
            runs = "".join(_run(run) for run in section["elements"]).split("\n")
            return runs if section["type"] == "rich_text_section" else {section["type"]: runs}
        case "context":
            return {"context": [element["text"] for element in block["elements"]]}
        case "section":
            return [block["text"]["text"], _told_button(block["accessory"])]
        case _:
            return [_told_button(element) for element in block["elements"]]


def _run(run: dict[str, Any]) -> str:
    if run["type"] == "date":
        return f"<date {run['format']}>"
    text = run.get("text") or f"<{run['type']} {run.get('name') or run.get('user_id') or run.get('channel_id')}>"
    marks = {"bold": "*", "code": "`"}
    for style in run.get("style", {}):
        text = f"{marks[style]}{text}{marks[style]}"
    return text


def _told_button(button: dict[str, Any]) -> str:
    if button["type"] == "checkboxes":
        return " | ".join(f"[ ] {one['text']['text']}: {one['description']['text']}" for one in button["options"])
    sure = " asks" if "confirm" in button else ""
    return f"{button['text']['text']} -> {button['action_id']} {button.get('style', '')}{button.get('url', '')}{sure}"


def test_cards_are_drawn_as_they_were_looked_at() -> None:
    drawn = {name: draw(card, image_id="F1" if card.pictures else None) for name, card in every_card().items()}
    told = {name: [content.text, *map(_told, content.blocks)] for name, content in drawn.items()}
    golden.compare(Path(__file__).parent / "golden", told)


@pytest.mark.parametrize("caption", ["", HOSTILE])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_card_is_valid_in_every_language_and_pings_nobody(language: str, caption: str) -> None:
    for name, card in every_card(language, caption=caption).items():
        content = draw(card, image_id="F1" if card.pictures else None)
        assert check_blocks(content.blocks, "message") == [], name
        args = content.as_args()
        assert mentions(args["blocks"], args["text"]) == [], name
        assert content.text, name


def test_words_of_others_take_no_effect() -> None:
    spans = (HOSTILE, Strong(HOSTILE), Code(HOSTILE), Mention("user", "U1", HOSTILE), Link("x", "https://bot.example"))
    content = draw(Card("info", HOSTILE, HOSTILE, caption=HOSTILE, paragraphs=(spans,), small=((HOSTILE,),)))
    args = content.as_args()
    assert mentions(args["blocks"], args["text"]) == []


def test_a_notification_shows_no_raw_id_and_is_cut_between_escapes() -> None:
    told = Card("done", paragraphs=((Mention("user", "U1", "member U1"), " & ", Mention("user", "U2", "<sam>")),))
    assert draw(told).as_args()["text"] == "<@U1> &amp; &lt;sam&gt;"
    assert {"type": "user", "user_id": "U1"} in draw(told).blocks[0]["elements"][0]["elements"]
    for length in range(990, 1000):
        text = draw(Card("done", "a" * length + "&<>" * 9)).as_args()["text"]
        assert "&" not in text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")


def test_a_notification_tells_until_when_and_a_channel_is_shown_by_its_own_name() -> None:
    spans = (Mention("channel", "C1", "channel C1"), " is paid for until ", Moment(1_796_571_579.0, "date_time"))
    content = draw(Card("done", paragraphs=(spans,)))
    assert content.as_args()["text"] == "<#C1> is paid for until 2026-12-06 15:39 UTC"
    assert {"type": "channel", "channel_id": "C1"} in content.blocks[0]["elements"][0]["elements"]


def test_a_list_too_long_for_a_message_of_slack_is_cut_between_lines() -> None:
    card = Card("done", "Limits", facts=tuple(Fact((f"member {n}",), ("x" * 80,)) for n in range(200)))
    (block,) = draw(card).blocks
    runs = [run["text"] for run in block["elements"][0]["elements"]]
    assert sum(map(len, runs)) < 10_000
    assert (runs[0], runs[-1], runs[-3]) == ("Limits", "…", "x" * 80)
