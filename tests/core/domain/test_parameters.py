"""Names, ranges, presets and precedence of the model's parameters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.parameters.grammar import parse, parse_request
from core.domain.parameters.spec import PRESETS, SEED_MAX, SPECS, Parameters, Parsed, resolve
from core.domain.parameters.values import from_fields

FACTORS = st.floats(min_value=1, max_value=4)
UNIT = st.floats(min_value=0, max_value=1)


def problems(text: str = "", **options: object) -> tuple[ParameterProblem, ...]:
    with pytest.raises(InvalidParameters) as caught:
        parse_request(text, options)  # type: ignore[arg-type]
    return caught.value.problems


def test_defaults_of_the_specs_are_defaults_of_the_set() -> None:
    assert Parameters() == Parameters().with_values(**{s.name: s.default for s in SPECS.values()})


def test_presets_hold_only_valid_values() -> None:
    for preset in PRESETS.values():
        assert from_fields(preset).values == preset


def test_precedence_is_defaults_then_preset_then_explicit() -> None:
    saved = {"creativity": 0.9, "steps": 30, "guidance": 3.0}
    chosen = resolve(parse("creative 3x"), from_fields({"guidance": "2"}), saved)
    assert chosen == Parameters(factor=3.0, creativity=0.6, guidance=2.0, steps=30)


def test_typed_options_win_over_text() -> None:
    assert resolve(parse("3x steps=10"), from_fields({"upscale_factor": 4})).factor == 4.0


def test_an_explicit_value_in_text_wins_over_a_preset_in_the_options() -> None:
    assert resolve(parse("creativity=0.9"), from_fields({"preset": "Faithful"})).creativity == 0.9


def test_a_saved_preset_is_weaker_than_values_saved_beside_it() -> None:
    assert resolve(Parsed(), Parsed(), {"preset": "creative", "creativity": 0.7}).creativity == 0.7
    assert resolve(Parsed(), Parsed(), {"preset": "creative"}).creativity == 0.6


def test_saved_names_that_are_no_parameters_are_left_out() -> None:
    assert resolve(Parsed(), Parsed(), {"colour": "blue"}) == Parameters()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"factor": 3}, {"factor": 3.0}),
        ({"upscale_factor": "1,5"}, {"factor": 1.5}),
        ({"steps": 20.0}, {"steps": 20}),
        ({"seed": SEED_MAX}, {"seed": SEED_MAX}),
        ({"enable_safety_checker": "false"}, {"safety": False}),
        ({"safety": 1}, {"safety": True}),
        ({"creativity": "45 %"}, {"creativity": 0.45}),
        ({"creativity": None, "factor": "", "steps": "  "}, {}),
    ],
)
def test_options_arrive_as_numbers_or_strings(options: dict[str, object], expected: dict[str, object]) -> None:
    assert from_fields(options).values == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"factor": True},
        {"factor": math.nan},
        {"factor": math.inf},
        {"steps": 20.5},
        {"steps": "20.5"},
        {"seed": "１２"},
        {"guidance": "٣"},
        {"seed": "0x10"},
        {"safety": "perhaps"},
        {"safety": 2},
        {"factor": "50%"},
        {"factor": "1_0"},
        {"seed": "9" * 500},
    ],
)
def test_what_is_no_such_value_is_a_type_problem(options: dict[str, object]) -> None:
    [problem] = problems("", **options)
    assert problem.kind == "type"
    assert problem.allowed == SPECS[problem.name].allowed


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


def test_problems_of_text_and_options_are_told_together() -> None:
    found = problems("factor=9 colour=blue", steps="99", guidanse=1)
    assert [(p.name, p.kind, p.suggestion) for p in found] == [
        ("factor", "range", None),
        ("colour", "unknown", None),
        ("steps", "range", None),
        ("guidanse", "unknown", "guidance"),
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
        parsed = from_fields(options)  # type: ignore[arg-type]
    except InvalidParameters:
        return
    valid(resolve(parsed))


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
    assert resolve(parse(chosen.as_text())) == chosen


def valid(chosen: Parameters) -> None:
    """Every value is of its own type and inside its range."""
    for spec in SPECS.values():
        value = getattr(chosen, spec.name)
        if value is None:
            assert spec.name == "seed"
        else:
            assert type(value) is {"float": float, "int": int, "bool": bool}[spec.kind]
            assert spec.low <= value <= spec.high
