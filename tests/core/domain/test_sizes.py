"""Target sizes for any image: the exact size or a refusal; an amount is never exceeded."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.domain.errors import OutputTooLarge, TargetUnreachable
from core.domain.models import ALL, MODELS, ModelSpec
from core.domain.money import quote
from core.domain.parameters.grammar import parse
from core.domain.parameters.sizes import OutputPlan, plan_output, target_of
from core.images.service import ImageLimits, check_output, largest_factor

FLUX, SEEDVR = MODELS
ANY_MODEL = st.sampled_from(list(ALL))
LIMITS = ImageLimits()
SIDES = st.integers(16, 14_142)
TARGETS = st.one_of(
    st.sampled_from(["4k", "8k", "1080p", "1440p", "a4@300dpi", "a6@240dpi", "letter@150dpi", "30x20cm@300dpi"]),
    st.builds(lambda w: f"{w}x", st.integers(16, 14_142)),
    st.builds(lambda h: f"x{h}", st.integers(16, 14_142)),
    st.builds(lambda w, h: f"{w}x{h}", st.integers(1, 14_142), st.integers(1, 14_142)),
)


def aimed(to: str, model: ModelSpec, width_px: int, height_px: int, limits: ImageLimits = LIMITS) -> OutputPlan:
    return plan_output(
        ALL.resolve(parse(f"to={to} model={model.id}", models=ALL)), width_px, height_px,
        [(each, each.unit_price_nanousd) for each in (model, *ALL)],
        largest=lambda below: largest_factor(width_px, height_px, limits, below),
    )  # fmt: skip


def check_answer(found: float, width_px: int, height_px: int, limits: ImageLimits) -> None:
    """Check that the result keeps all limits, or that the refusal offers a factor that does, if any."""
    try:
        check_output(width_px, height_px, found, limits)
    except OutputTooLarge as error:
        if error.largest_factor is not None:
            check_output(width_px, height_px, error.largest_factor, limits)


@given(TARGETS, ANY_MODEL, SIDES, SIDES, st.sampled_from([LIMITS, ImageLimits(output_pixels=3_000_000)]))
@example("14142x14142", SEEDVR, 7_071, 7_071, LIMITS)
@example("14142x7071", SEEDVR, 14_100, 7_050, LIMITS)
@example("10000x10000", FLUX, 5_000, 5_000, LIMITS)
def test_any_image_gets_the_requested_size_or_a_refusal(
    to: str, model: ModelSpec, width_px: int, height_px: int, limits: ImageLimits
) -> None:
    box = target_of(to).box(width_px, height_px)
    try:
        found = aimed(to, model, width_px, height_px, limits)
    except TargetUnreachable as error:
        if error.largest_factor is not None:
            check_output(width_px, height_px, error.largest_factor, limits)
        if error.reason == "already_larger":
            assert max(box[0] - width_px, box[1] - height_px) <= 0
        else:
            assert max(box[0] / width_px, box[1] / height_px) > model.largest_factor
        return
    check_answer(found.factor, width_px, height_px, limits)
    assert (found.width_px, found.height_px) == box
    assert 1 <= found.factor <= model.largest_factor
    assert math.floor(width_px * found.factor) >= box[0], "only ever reduced"
    assert math.floor(height_px * found.factor) >= box[1]
    assert quote(width_px, height_px, found.factor, 1, reduced_to=box).megapixels * 1_000_000 >= box[0] * box[1]


@given(TARGETS, SIDES, SIDES)
def test_a_rotated_image_gets_a_rotated_named_or_paper_size(to: str, width_px: int, height_px: int) -> None:
    target = target_of(to)
    if target.turns and width_px != height_px:
        assert target.box(width_px, height_px) == target.box(height_px, width_px)[::-1]


@given(TARGETS, SIDES, SIDES)
def test_the_picture_fits_inside_with_its_own_proportions(to: str, width_px: int, height_px: int) -> None:
    target = target_of(to)
    box = target.box(width_px, height_px)
    across, down = target.width_px or box[0], target.height_px or box[1]
    if target.turns:
        assert max(box) <= max(across, down)
        assert min(box) <= min(across, down)
    else:
        assert box[0] <= across
        assert box[1] <= down


@given(st.decimals("0.01", "30", places=2), ANY_MODEL, SIDES, SIDES)
def test_an_amount_is_never_passed_by_the_estimate(
    amount: object, model: ModelSpec, width_px: int, height_px: int
) -> None:
    parameters = ALL.resolve(parse(f"max=${amount} model={model.id}", models=ALL))
    most = target_of(str(parameters.to)).max_nanousd
    try:
        found = aimed(str(parameters.to), model, width_px, height_px)
    except TargetUnreachable as error:
        assert most is not None
        if error.other_model:
            aimed(str(parameters.to), next(each for each in ALL if each.id == error.other_model), width_px, height_px)
        assert quote(width_px, height_px, 1, model.unit_price_nanousd).estimate_nanousd > most or not largest_factor(
            width_px, height_px, ImageLimits()
        )
        return
    assert most is not None
    assert quote(width_px, height_px, found.factor, model.unit_price_nanousd).estimate_nanousd <= most
    check_output(width_px, height_px, found.factor, ImageLimits())


@pytest.mark.parametrize(
    ("typed", "size", "dpi"),
    [
        ("to=4k", (2160, 2880), None),
        ("width=3000", (3000, 4000), None),
        ("height=2000", (1500, 2000), None),
        ("3840x2160", (1620, 2160), None),
        ("a4@300dpi", (2480, 3307), 300),
        ("30x20cm@300dpi", (1772, 2362), 300),
        ("size=8x10in@240dpi", (1800, 2400), 240),
    ],
)
def test_named_and_paper_sizes_turn_with_the_picture_and_explicit_ones_do_not(
    typed: str, size: tuple[int, int], dpi: int | None
) -> None:
    found = aimed(str(parse(typed).values["to"]), FLUX, 1200, 1600)
    assert (found.width_px, found.height_px, found.dpi) == (*size, dpi)


def test_a_size_beyond_the_model_names_the_model_that_reaches_it() -> None:
    with pytest.raises(TargetUnreachable) as caught:
        aimed("8k", FLUX, 1000, 800)
    assert (caught.value.reason, caught.value.other_model, caught.value.largest_factor) == (
        "beyond_model",
        "seedvr2",
        4,
    )


def test_an_amount_too_small_for_the_model_suggests_a_cheaper_model() -> None:
    with pytest.raises(TargetUnreachable) as caught:
        aimed("$0.50", FLUX, 4000, 3000)
    assert (caught.value.reason, caught.value.other_model, caught.value.largest_factor) == ("amount", "seedvr2", None)
