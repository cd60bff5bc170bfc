"""Names, ranges, presets and precedence of the model's parameters."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.models import ALL, MODELS
from core.domain.parameters.grammar import parse
from core.domain.parameters.spec import PRESETS, SEED_MAX, SPECS, Parameters
from core.presentation import LANGUAGES

FACTORS = st.floats(min_value=1, max_value=4)
UNIT = st.floats(min_value=0, max_value=1)


def problems(text: str = "", **options: object) -> tuple[ParameterProblem, ...]:
    with pytest.raises(InvalidParameters) as caught:
        parse(text, options)  # type: ignore[arg-type]
    return caught.value.problems


def test_defaults_of_the_specs_are_defaults_of_the_set() -> None:
    assert Parameters() == MODELS.resolve()


def test_presets_hold_only_valid_values() -> None:
    for preset in PRESETS.values():
        assert parse("", preset).values == preset


def test_precedence_is_defaults_then_preset_then_explicit() -> None:
    saved = {"creativity": 0.9, "steps": 30, "guidance": 3.0}
    chosen = MODELS.resolve(parse("creative 3x", {"guidance": "2"}), saved)
    assert chosen == Parameters(factor=3.0, creativity=0.6, guidance=2.0, steps=30)


@pytest.mark.parametrize(
    ("text", "options", "name"),
    [
        ("3x steps=10", {"upscale_factor": 4}, "factor"),
        ("creative", {"preset": "faithful"}, "preset"),
        ("seedvr2", {"model": "flux"}, "model"),
    ],
)
def test_a_text_and_an_option_that_contradict_each_other_are_a_mistake(
    text: str, options: dict[str, object], name: str
) -> None:
    assert [(problem.name, problem.kind) for problem in problems(text, **options)] == [(name, "duplicate")]


def test_a_text_and_an_option_may_say_the_same() -> None:
    assert MODELS.resolve(parse("3x steps=10", {"upscale_factor": "3.0"})).factor == 3.0


def test_an_explicit_value_in_text_wins_over_a_preset_in_the_options() -> None:
    assert MODELS.resolve(parse("creativity=0.9", {"preset": "Faithful"})).creativity == 0.9


def test_a_saved_preset_is_weaker_than_values_saved_beside_it() -> None:
    assert MODELS.resolve(defaults={"preset": "creative", "creativity": 0.7}).creativity == 0.7
    assert MODELS.resolve(defaults={"preset": "creative"}).creativity == 0.6


def test_saved_names_that_are_no_parameters_are_left_out() -> None:
    assert MODELS.resolve(defaults={"colour": "blue"}) == Parameters()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"factor": 3}, {"factor": 3.0}),
        ({"upscale_factor": "1,5"}, {"factor": 1.5}),
        ({"factor": "２．５倍", "seed": "１２"}, {"factor": 2.5, "seed": 12}),
        ({"steps": 20.0}, {"steps": 20}),
        ({"seed": SEED_MAX}, {"seed": SEED_MAX}),
        ({"enable_safety_checker": "false"}, {"safety": False}),
        ({"safety": 1}, {"safety": True}),
        ({"creativity": "45 %"}, {"creativity": 0.45}),
        ({"creativity": None, "factor": "", "steps": "  "}, {}),
    ],
)
def test_options_arrive_as_numbers_or_strings(options: dict[str, object], expected: dict[str, object]) -> None:
    assert parse("", options).values == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"factor": True},
        {"factor": math.nan},
        {"factor": math.inf},
        {"steps": 20.5},
        {"steps": "20.5"},
        {"guidance": "٣"},
        {"seed": "0x10"},
        {"safety": "perhaps"},
        {"safety": 2},
        {"factor": "50%"},
        {"factor": "1_0"},
        {"seed": "9" * 500},
        {"seed": "1,000"},
    ],
)
def test_an_invalid_value_is_a_type_problem(options: dict[str, object]) -> None:
    [problem] = problems("", **options)
    assert problem.kind == "type"
    assert problem.allowed.startswith(MODELS.default.inputs[problem.name].allowed)


@pytest.mark.parametrize(
    "options",
    [
        {"factor": 0.9999999999},
        {"factor": "4.00000000000000000001"},
        {"factor": -2},
        {"creativity": "100.0001%"},
        {"steps": 3},
        {"steps": 51},
        {"seed": -1},
        {"seed": SEED_MAX + 1},
        {"seed": 10**5000},
        {"guidance": "1e300"},
    ],
)
def test_ranges_are_checked_exactly(options: dict[str, object]) -> None:
    [problem] = problems("", **options)
    assert problem.kind == "range"
    assert len(problem.value) <= 70


def test_problems_of_text_and_options_are_reported_together() -> None:
    found = problems("factor=9 colour=blue", steps="99", guidanse=1)
    assert [(p.name, p.kind, p.suggestion) for p in found] == [
        ("steps", "range", None),
        ("guidanse", "unknown", "guidance"),
        ("factor", "range", None),
        ("colour", "unknown", None),
    ]


def test_a_link_never_ends_up_in_an_error() -> None:
    for problem in problems(
        "factor=https://host/secret?token=1 what=https://host/secret see,https", preset="ftp://x/secret"
    ):
        assert "secret" not in problem.value


def test_an_unknown_preset_names_the_known_ones() -> None:
    [problem] = problems("preset=creativ")
    assert (problem.kind, problem.suggestion) == ("type", "creative")
    assert "faithful" in problem.allowed


@given(
    st.dictionaries(
        st.text(max_size=20) | st.sampled_from(sorted(SPECS)),
        st.none() | st.text() | st.floats() | st.integers() | st.booleans(),
    )
)
def test_any_options_are_valid_or_refused(options: dict[str, object]) -> None:
    try:
        parsed = parse("", options)  # type: ignore[arg-type]
    except InvalidParameters:
        return
    valid(MODELS.resolve(parsed))


@given(
    st.builds(
        Parameters,
        factor=FACTORS,
        creativity=UNIT,
        guidance=FACTORS,
        steps=st.integers(4, 50),
        seed=st.none() | st.integers(0, SEED_MAX),
        safety=st.booleans(),
    )
)
@settings(max_examples=300)
def test_every_valid_set_reads_back_from_its_text(chosen: Parameters) -> None:
    assert MODELS.resolve(parse(chosen.as_text())) == chosen


def valid(chosen: Parameters) -> None:
    """Check that every value has its type and is in its range."""
    for name, known in MODELS.of(chosen).inputs.items():
        value = getattr(chosen, name)
        if value is None:
            assert name == "seed"
        else:
            assert type(value) is {"float": float, "int": int, "bool": bool}[SPECS[name].kind]
            assert isinstance(value, float | int)
            assert known.low <= value <= known.high


def test_the_model_is_chosen_by_name_and_its_own_ranges_and_inputs_count() -> None:
    assert MODELS.resolve(parse("model=SeedVR2 6x")) == Parameters(
        "seedvr2", 6.0, creativity=None, guidance=None, steps=None
    )
    [problem] = problems("6x")
    assert (problem.kind, problem.allowed) == ("range", "1–4 (seedvr2: 1–10)")


def test_an_input_that_the_model_lacks_is_a_not_in_model_problem() -> None:
    found = problems("model=seedvr2 creativity=0.5 11x", preset="creative")
    assert [(p.name, p.kind, p.value) for p in found] == [
        ("creative", "not_in_model", "seedvr2"),
        ("creativity", "not_in_model", "seedvr2"),
        ("factor", "range", "11x"),
    ]


def test_an_input_that_no_offered_model_has_is_a_not_in_model_problem_too() -> None:
    with pytest.raises(InvalidParameters) as caught:
        parse("creativity=0.5 seed=", {}, ALL.offered(["local"]), lenient=True)
    assert [(p.name, p.kind) for p in caught.value.problems] == [
        ("creativity", "not_in_model"),
        ("seed", "missing_value"),
    ]


def test_saved_values_that_the_model_lacks_are_ignored() -> None:
    saved: dict[str, float | str] = {"creativity": 0.9, "factor": 3.0, "preset": "creative"}
    assert MODELS.resolve(parse("model=seedvr2"), defaults=saved) == Parameters("seedvr2", 3.0, None, None, None)
    assert MODELS.resolve(defaults={"model": "seedvr2", "factor": 7.0}).factor == 7.0


def test_a_models_name_alone_chooses_it() -> None:
    assert parse("6x, seedvr2!").values == parse("6x model=seedvr2").values
    assert parse("--private Seedvr2").values == {"model": "seedvr2"}
    [problem] = problems("seedvr2 creativity=0.5")
    assert (problem.name, problem.kind) == ("creativity", "not_in_model")
    assert [problem.kind for problem in problems("local")] == ["stray"]  # not offered here, and a word of every day


def test_the_preset_that_gave_a_value_is_remembered_and_is_no_value() -> None:
    saved = {"preset": "creative"}
    chosen = [MODELS.resolve(parse(text), defaults=saved) for text in ("", "faithful 3x", "seedvr2")]
    assert [each.preset for each in chosen] == ["creative", "faithful", ""]
    assert "preset" not in chosen[0].given()


def test_the_members_own_model_validates_a_text_that_names_none() -> None:
    assert parse("7x", model="seedvr2").values == {"factor": 7.0}
    assert parse("7x", lenient=True).values == {"factor": 7.0}
    with pytest.raises(InvalidParameters):
        parse("7x")


def test_an_unknown_model_names_the_known_ones() -> None:
    [problem] = problems("model=seedvr")
    assert (problem.kind, problem.allowed, problem.suggestion) == ("type", "flux, seedvr2", "seedvr2")


def test_every_model_has_words_in_all_languages() -> None:
    for model in ALL:
        for language in LANGUAGES:
            assert model.name(language)
            assert language == "en" or model.about(language) != model.about("en"), (model.id, language)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("to=4k width=300", {}),
        ("to=4k a4@300dpi", {}),
        ("4k 8k", {}),
        ("4k 3x", {}),
        ("width=3 height=4", {}),
        ("max=$1 factor=2", {}),
        ("max=$0.50 width=3000", {}),
        ("a4@300dpi", {"factor": 3}),
        ("", {"to": "4k", "factor": 2}),
    ],
)
def test_two_sizes_or_one_with_a_factor_is_a_mistake(text: str, options: dict[str, object]) -> None:
    assert [p.kind for p in problems(text, **options)] == ["together"]


def test_private_in_the_text_or_the_options_is_enough() -> None:
    assert parse("private", {"private": "off"}).private is parse("public", {"private": True}).private is True
    assert parse("public", {"private": "off"}).private is False


def test_a_link_among_the_options_comes_before_those_in_the_text() -> None:
    found = parse("https://a.example/1.png", {"url": "https://a.example/2.png"})
    assert found.links == ("https://a.example/2.png", "https://a.example/1.png")


def test_a_factor_typed_wins_over_a_saved_size_and_the_other_way_round() -> None:
    assert MODELS.resolve(parse("3x"), defaults={"to": "4k"}) == Parameters(factor=3.0)
    assert MODELS.resolve(parse("4k"), defaults={"factor": 3.0}).to == "4k"


def test_a_whole_number_of_a_number_field_is_shown_as_it_was_typed() -> None:
    [wrong] = problems(factor=99.0)
    assert wrong.value == "99"
