"""Every function that sees strangers' text first: 20 kB of anything, in linear time.

Linear is shown by processor time of this thread (not by the clock, which other processes move): what was quadratic
took seconds to minutes for these texts, and half a second is over ten times what they take now.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.views import markup
from adapters.slack.connection import log_redaction
from adapters.slack.inbound import translate as slack
from adapters.slack.inbound.subcommands import subcommand
from adapters.web.inbound import translate as web
from bot.observability.logs import redact
from core.budgets.limit_grammar import limit_words
from core.budgets.reports import parse_period
from core.domain.errors import UpscaleError
from core.domain.models import MODELS
from core.domain.parameters.grammar import MAX_TEXT_CHARS, parse
from core.domain.parameters.values import MAX_FIELDS, MAX_PROBLEMS, displayed
from core.domain.untrusted_text import MAX_ITEMS, Shape, clean, clean_json, clean_line, has_shape
from core.net import guard
from core.presentation import cut

CHARS = 20_000
MOST_CPU_S = 0.5
WHERE = slack.Origin("T1", "", "U1")

READERS: dict[str, Callable[[str], Any]] = {
    "parse": parse,
    "parse, cut": lambda text: parse(text[:MAX_TEXT_CHARS]),
    "a parameter": lambda text: parse("", {"factor": text, "url": text, "preset": text, "safety": text}),
    "a parameter's name": lambda text: parse("", {text: text}),
    "many parameters": lambda text: parse("", {f"{n}{text[:99]}": text[:99] for n in range(CHARS // 100)}),
    "text and parameters": lambda text: parse(text, {text: "1", "seed": text}),
    "displayed": displayed,
    "clean": lambda text: clean(text, CHARS),
    "clean line": lambda text: clean_line(text, CHARS),
    "limit": lambda text: limit_words(text, web._QUOTA, needs_amount=True),
    "period": lambda text: parse_period(text, date(2026, 11, 29)),
    "link": guard.parse_link,
    "discord escape": lambda text: markup.quote(markup.escape(cut(text, CHARS))),
    "slack message": lambda text: subcommand(slack.without_mentions(text)),
    "slack mentions": slack.mentioned_scope,
    "slack link": lambda text: slack.link_source(text, WHERE, ("files.example",)),
    "slack file": lambda text: slack.file_source({"name": text}, WHERE),
    "web language": web.locale_of,
    "web request": lambda text: web.upscale_request(
        web.Submission(text, {text: text, "url": text}), web.requester(), text, MODELS
    ),
    "web pixels": lambda text: web.number_in(text, "width", 1, 1e6),
    "log": redact,
    "slack log": lambda text: log_redaction._SECRETS.sub("", text),
}
PIECES = (
    "a", "-", "\n", " ", "\t", "\u2028", "<", "<@U", "<@U1|", "<#C1|", "a=", "a=1 ", 'a="', "--a ", "--", "9", "1,",
    "x9", "https://a ", "a.b-c+", "<https://a|", "://", "xox", "xoxb-", "@", "*", ">", "#", "1.", "Bearer ", "a-", "%",
    "\ue000", "\ud800", "\u202e", "factor ", "a,", "xn--", "é", "[", "postgres+", "creativity=", "💥",
    "\\", "`", "&amp;", "0x", ".",
)  # fmt: skip


def cpu_s(read: Callable[[str], Any], text: str) -> float:
    began_s = time.thread_time()
    with suppress(UpscaleError):
        read(text)
    return time.thread_time() - began_s


@pytest.mark.parametrize("name", READERS)
def test_a_repeated_piece_costs_no_reader_more_than_linear_work(name: str) -> None:
    for piece in PIECES:
        text = (piece * CHARS)[:CHARS]
        assert min(cpu_s(READERS[name], text) for _ in range(2)) < MOST_CPU_S, piece


@pytest.mark.parametrize("name", READERS)
@given(
    first=st.text(max_size=20), pieces=st.lists(st.sampled_from(PIECES) | st.text(max_size=8), min_size=1, max_size=4)
)
@settings(max_examples=20, deadline=None)
def test_any_text_is_read_or_refused_in_linear_work(name: str, first: str, pieces: list[str]) -> None:
    text = (first + "".join(pieces) * CHARS)[:CHARS]
    assert min(cpu_s(READERS[name], text) for _ in range(2)) < MOST_CPU_S


@given(st.text(st.characters(), max_size=300))
def test_clean_text_is_valid_and_has_no_control_or_direction_marks(text: str) -> None:
    cleaned = clean(text, 200)
    assert len(cleaned) <= 200
    assert cleaned.encode().decode() == cleaned == clean(cleaned, 200)
    assert not set(cleaned) & {
        *map(chr, range(9)),
        "\r",
        "\x1b",
        "\x7f",
        "\x85",
        "\u200e",
        "\u202e",
        "\u2066",
        "\u2028",
    }


def test_clean_keeps_what_people_write() -> None:
    said = "Größe 2×\tこんにちは 👩‍🚀 नमस्ते\nسلام"
    assert clean(said, 200) == said
    assert clean_line("  a\r\n\u202egnp.\x00b  ") == "a gnp.b"


def test_accents_are_kept_but_not_piled_up() -> None:
    viet = "Tie\u0302\u0301ng Vie\u0323\u0302t, שָׁלוֹם, नमस्ते, e\u0301"
    assert clean(viet, 100) == viet
    for between in ("", "\u200e", "\x1b"):
        assert clean(f"a{(chr(0x335) + between) * 200}b", 500) == f"a{chr(0x335) * 4}b"


def test_a_request_with_a_thousand_problems_reports_twenty() -> None:
    with pytest.raises(UpscaleError) as raised:
        parse(" ".join(f"wrong{n}=1" for n in range(300)))
    assert len(raised.value.problems) == MAX_PROBLEMS  # type: ignore[attr-defined]


def test_too_many_fields_are_one_problem() -> None:
    with pytest.raises(UpscaleError) as raised:
        parse("", {f"f{n}": "1" for n in range(MAX_FIELDS + 1)})
    [problem] = raised.value.problems  # type: ignore[attr-defined]
    assert (problem.name, problem.kind, problem.value) == ("fields", "range", "65")


def test_clean_json_removes_only_characters_that_cannot_be_stored() -> None:
    came = json.loads(r'{"a\u0000b": ["\ud800x", 1, 1e400, null, {"\udfff": "\ud83d\ude00 \u202e\u0001"}], "c": true}')
    assert clean_json(came) == {"ab": ["x", 1, float("inf"), None, {"": "\U0001f600 \u202e\x01"}], "c": True}
    with pytest.raises(RecursionError):
        clean_json(_nested(100_000))


def _nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("value", "does"),
    [
        ({}, True), ({"id": "U1", "more": [1]}, True), ({"id": None, "files": None}, True), ({"id": ["U1"]}, False),
        ({"files": [{"id": "F1"}, {}]}, True), ({"files": [None]}, False), ({"files": {"id": "F1"}}, False),
        ({"state": {"a": {"value": "x"}, "b": {}}}, True), ({"state": {"a": "x"}}, False),
        ({"state": {"a": None}}, False), ([], False), ("x", False), (None, False),
    ],
)  # fmt: skip
def test_a_payload_of_another_shape_is_recognised(value: Any, does: bool) -> None:
    shape: Shape = {"id": str, "files": [{"id": str}], "state": {"*": {"value": str}}}
    assert has_shape(value, shape) is does


@pytest.mark.parametrize(("parts", "read"), [(MAX_ITEMS, True), (MAX_ITEMS + 1, False)])
def test_a_list_or_object_with_too_many_items_is_not_checked(parts: int, read: bool) -> None:
    shape = {"files": [{"id": str}], "values": {"*": str}}
    assert has_shape({"files": [{"id": "F1"}] * parts}, shape) is read
    assert has_shape({"values": dict.fromkeys(map(str, range(parts)), "x")}, shape) is read
