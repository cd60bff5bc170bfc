"""Parsing of typed parameters."""

import sys
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.models import ALL as ALL_MODELS
from core.domain.models import MODELS
from core.domain.parameters.grammar import MAX_TEXT_CHARS, parse
from core.domain.parameters.spec import SPECS
from tests.core.domain.test_parameters import valid

ALL = {"factor": 3.0, "creativity": 0.5, "guidance": 2.0, "steps": 30, "seed": 7, "safety": False}


def problems(text: str) -> tuple[ParameterProblem, ...]:
    with pytest.raises(InvalidParameters) as caught:
        parse(text)
    return caught.value.problems


@pytest.mark.parametrize(
    "text",
    [
        "factor=3 creativity=0.5 guidance=2 steps=30 seed=7 safety=off",
        "/upscale SEED:7 Steps:30 GUIDANCE:2 creativity:0,5 3X safety:no",
        "--factor 3 --creativity 50% --guidance 2 --steps 30 --seed 7 --safety false",
        "--upscale_factor=3 --creativity=0.5 --guidance=2.0 --steps=30 --seed=7 --enable_safety_checker=0",
        "—factor 3 –creativity 0.5 ―guidance=2 —steps 30 –seed=7 —safety off",
        "upscale x3 creativity=“0.5” guidance='2' steps=‘30’ seed=\"7\" safety=»off«",
        "factor = 3, creativity = 0,5; guidance = 2, steps = 30, seed = 7, safety = off",
        "factor=3,creativity=0.5,guidance=2,steps=30,seed=7,safety=off",
        "factor\u00a0=\u202f3\u200b cre\u00adativity=0.5\u2060 guidance=2\u3000steps=30 se\u200ded=7 safety=off",
        "factor＝3 creativity：50％ guidance＝2 steps＝30 seed＝7 safety＝off",
        "factor=3x creativity=50 % --guidance '2' `steps=30` seed 7 --no-safety",
        '"factor=3 creativity=0.5" guidance=2 steps=30 seed=7 safety=off',
        "--upscale-factor 3 --creativity '50 %' guidance 2 steps=+30 seed=7.0 safety off",
        "3× creativity=.5 guidance=2. steps=3e1 seed=07 safety=OFF",
    ],
)
def test_every_form_is_parsed_equally(text: str) -> None:
    assert parse(text).values == ALL


@pytest.mark.parametrize(
    ("text", "factor"), [("2x", 2.0), ("x2", 2.0), ("1,5x", 1.5), ("X3.25", 3.25), ("2.5×", 2.5), ("3x!", 3.0)]
)
def test_the_factor_has_a_short_form(text: str, factor: float) -> None:
    assert parse(text).values == {"factor": factor}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("2 x", {"factor": 2.0}),
        ("x 2", {"factor": 2.0}),
        ("２．５ｘ　ｓｔｅｐｓ＝４０", {"factor": 2.5, "steps": 40}),
        ("2倍", {"factor": 2.0}),
        ("20 steps and 50% creativity, with 2.5 Upscale-Factor", {"steps": 20, "creativity": 0.5, "factor": 2.5}),
        ("factor 2 30steps, guidance 3 ７ seed!", {"factor": 2.0, "steps": 30, "guidance": 3.0, "seed": 7}),
        ("4 k", {"to": "4k"}),
        ("3840 x 2160", {"to": "3840x2160"}),
        ("30x20 cm", {"to": "30x20cm@300dpi"}),
        ('8x10"', {"to": "8x10in@300dpi"}),
        ("to=“8x10”", {"to": "8x10"}),
        ("to A4 240 dpi", {"to": "a4@240dpi"}),
        ("2x seed=3", {"factor": 2.0, "seed": 3}),
        ("2x seed=Random", {"factor": 2.0}),
        ("seed random 2x", {"factor": 2.0}),
        ("to 3840 by 2160", {"to": "3840x2160"}),
        ("max 50 cents", {"to": "$0.50"}),
        ("max 5¢", {"to": "$0.05"}),
        ("creativity 40%?", {"creativity": 0.4}),
        ("steps 30! creativity=0.5.", {"steps": 30, "creativity": 0.5}),
        ("model seedvr2", {"model": "seedvr2"}),
        pytest.param("<@U123> <@!99> <#C1|general> <!here> 3x", {"factor": 3.0}, id="mentions are ignored"),
        pytest.param("2x factor=2 --factor=2.0", {"factor": 2.0}, id="the same value twice is no problem"),
        pytest.param("max=$.5", {"to": "$0.50"}, id="an amount without its zero"),
    ],
)
def test_values_are_read_as_people_type_them(text: str, values: dict[str, object]) -> None:
    assert parse(text).values == values


def test_a_bare_paper_is_a_problem_with_a_suggested_density() -> None:
    assert [(problem.kind, problem.suggestion) for problem in problems("A4")] == [("stray", "a4@300dpi")]


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("$0.50", "max=$0.50"),
        ("stepss 30", "steps"),
        ("please guidence 2", "guidance"),
        ("faithfull", "faithful"),
        ("sedvr2", "seedvr2"),
        ("privat", "private"),
        ("3", "3x"),
        ("1987", None),
        ("30, steps 20", None),
        ("30 steps=20", None),
        ("20 steps 30", None),
        ("please now", None),
        ("max 50 €", None),
        ("www.example.com/a.png", "https://www.example.com/a.png"),
        ("example.com/a.png", "https://example.com/a.png"),
        ("3.5/a", None),
    ],
)
def test_the_nearest_name_is_suggested_for_words_without_a_sign(text: str, suggestion: str | None) -> None:
    assert [(problem.kind, problem.suggestion) for problem in problems(text)] == [("stray", suggestion)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("width=3000 height=2000", {"width=3000", "height=2000"}),
        ("4k max=$1", {"4k", "max=$1.00"}),
        ("3x height=2000", {"factor", "height=2000"}),
    ],
)
def test_two_sizes_that_do_not_go_together_are_named_as_they_are_typed(text: str, names: set[str]) -> None:
    [problem] = problems(text)
    assert {problem.name, problem.value} == names


def test_a_random_seed_beside_a_number_is_a_conflict_and_no_model_without_seeds_has_one() -> None:
    assert [(problem.name, problem.kind) for problem in problems("seed=5 seed=random")] == [("seed", "duplicate")]
    with pytest.raises(InvalidParameters) as told:
        parse("local seed=random", models=ALL_MODELS)
    assert [(problem.name, problem.kind) for problem in told.value.problems] == [("seed", "not_in_model")]


def test_nothing_is_a_valid_text() -> None:
    for text in ("", "  \u200b ", "/upscale", "Upscale", " — ", ","):
        assert parse(text) == parse("")


def test_presets_and_private_are_words_or_keys() -> None:
    assert parse("Creative private").preset == parse("preset=creative").preset == parse("--preset Creative").preset
    for text in ("private", "PRIVATE", "private=yes", "--private", "--private on", "private: true", "--private 2x"):
        assert parse(text).private is True
    assert parse("private=off").private is parse("public").private is False
    assert parse("2x").private is None
    assert parse("--private 2x").values == {"factor": 2.0}


def test_links_are_collected_untouched_and_in_order() -> None:
    text = (
        "<https://example.com/a–b.png?x=1&amp;y=“2”|a picture> 3x https://example.com/c_(d).png, "
        "<https://example.com/e.png> (see https://example.com/f.png) url=https://example.com/g.png"
    )
    assert parse(text.replace("(see ", "(").replace("(https", "https")).links == (
        "https://example.com/a–b.png?x=1&y=“2”",
        "https://example.com/c_(d).png",
        "https://example.com/e.png",
        "https://example.com/f.png",
        "https://example.com/g.png",
    )


_LINK = "https://example.com/a.png"


@pytest.mark.parametrize(
    "text",
    [
        "image_url=https://example.com/a.png",
        "url: <https://example.com/a.png|example>",
        '--url "https://example.com/a.png"',
        "url=“https://example.com/a.png”",
        "https://example.com/a.png https://example.com/a.png.",
        "image = https://example.com/a.png",
        "https://example.com/a.png。",
        "（https://example.com/a.png）、2x！",
        "https://example.com/a.png…",
    ],
)
def test_a_link_may_be_named(text: str) -> None:
    assert parse(text).links == (_LINK,)


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (f"https://images.example/fetch?of=<{_LINK}|a>", (f"https://images.example/fetch?of={_LINK}",)),
        ("ftp://example.com/a file:///etc/passwd", ("ftp://example.com/a", "file:///etc/passwd")),
    ],
    ids=["one within another", "of other schemes, for the guard to refuse"],
)
def test_a_link_keeps_its_address(text: str, links: tuple[str, ...]) -> None:
    assert parse(text).links == links


def test_a_named_link_that_is_none_is_refused() -> None:
    [problem] = problems("url=cat.png")
    assert (problem.name, problem.value, problem.kind) == ("url", "cat.png", "no_link")


@pytest.mark.parametrize(
    ("name", "example"), [("width", "width=3000"), ("height", "height=2000"), ("max", "max=$0.50")]
)
def test_a_wrong_side_or_amount_names_only_what_may_stand_there(name: str, example: str) -> None:
    [problem] = problems(f"{name}=3,000.5")
    assert (problem.kind, problem.allowed) == ("type", example)


def test_all_problems_are_reported_at_once() -> None:
    found = problems("factor=9 creativty=0.5 steps=many --seed guidance= safety=maybe please do it 2x 3x")
    assert [(p.name, p.value, p.kind, p.suggestion) for p in found] == [
        ("factor", "9", "range", None),
        ("creativty", "0.5", "unknown", "creativity"),
        ("steps", "many", "type", None),
        ("seed", "", "missing_value", None),
        ("guidance", "", "missing_value", None),
        ("safety", "maybe", "type", None),
        ("", "please do it", "stray", None),
        ("factor", "3x", "duplicate", None),
    ]


@pytest.mark.parametrize(("text", "kind"), [("to=2x", "type"), ("size=x15", "type"), ("٣x", "stray")])
def test_what_resembles_a_factor_is_no_size(text: str, kind: str) -> None:
    assert [p.kind for p in problems(text)] == [kind]


def test_problems_carry_the_allowed_range() -> None:
    assert [p.allowed for p in problems("factor=5 steps=1 creativity=2")] == ["1–4 (seedvr2: 1–10)", "4–50", "0–1"]


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "Infinity", "٣", "½", "1e9999", "0x2", "1__0", "9" * 3000, "--", "²"]
)
def test_strange_numbers_are_refused_cleanly(value: str) -> None:
    [problem, *_] = problems(f"factor={value}")
    assert problem.kind in ("type", "range")
    assert len(problem.value) <= 60


def test_a_negative_or_zero_factor_is_out_of_range() -> None:
    assert [p.kind for p in problems("-2x")] == ["range"]
    assert [p.kind for p in problems("x0")] == ["range"]


@pytest.mark.parametrize("word", ["x=1 ", "model=foo ", "preset=zz "])
def test_a_word_repeated_a_thousand_times_is_validated_once(word: str) -> None:
    """Each validation compares with every known name, on the event loop."""
    compared = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal compared
        compared += event == "call" and frame.f_code.co_name == "get_close_matches"

    sys.setprofile(count)
    try:
        with pytest.raises(InvalidParameters) as caught:
            parse((word * MAX_TEXT_CHARS)[:MAX_TEXT_CHARS])
    finally:
        sys.setprofile(None)
    assert caught.value.problems
    assert compared <= 4


def test_too_long_a_text_is_refused_as_a_whole() -> None:
    [problem] = problems("a" * (MAX_TEXT_CHARS + 1))
    assert (problem.kind, problem.value, problem.allowed) == ("too_long", "4,001", "4,000")


MARKS = """= : -- — – , ; " ' “ ” 2x x × % 0,5 1e5 nan < > | :// no- on off /upscale &amp; ß - . ! ` <https://a/b|c>"""
ODD = (
    " ",
    "\u00a0",
    "\u200b",
    "\ue000",
    "\ue001",
    "\ue0000\ue001",
    "\n",
    "\x00",
    "https://a",
    "preset",
    "private",
    "url",
)
PIECES = st.sampled_from([*SPECS, *MARKS.split(), *ODD])


@given(st.text(max_size=200) | st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=1500, deadline=None)
def test_any_text_is_valid_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except InvalidParameters:
        return
    valid(MODELS.resolve(parsed))
