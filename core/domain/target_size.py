"""The factor for a wanted size or amount, once the picture's own size is known. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.domain.errors import TargetUnreachable
from core.domain.models import ModelSpec
from core.domain.money import factor_within, output_size
from core.domain.parameters.sizes import factor_for, target_of
from core.domain.parameters.spec import Parameters

MOST_MEGAPIXELS = 10**9
"""What any amount pays for where a megapixel costs nothing."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What the model is asked for (`factor`), and the size that its picture is reduced to; `dpi` of a print."""

    factor: float
    width_px: int
    height_px: int
    dpi: int | None = None


def aim(
    parameters: Parameters,
    width_px: int,
    height_px: int,
    priced: Sequence[tuple[ModelSpec, int]],
    *,
    largest: Callable[[float], float | None],
) -> Aim:
    """How a picture gets the size that was asked for.

    `priced` are models with their nano-dollars per megapixel: first the job's own, then those on offer. `largest`: the
    largest factor below one that all limits allow. Raises TargetUnreachable, with what would work instead.
    """
    if parameters.to is None:
        return Aim(parameters.factor, *output_size(width_px, height_px, parameters.factor))
    target = target_of(parameters.to)
    by_amount = target.max_nanousd is not None
    out = (width_px, height_px) if by_amount else target.box(width_px, height_px)

    def factor_by(one: ModelSpec, price: int) -> float | None:
        """None where this model cannot do it."""
        if target.max_nanousd is None:
            return factor_for(width_px, height_px, out, one.largest_factor)
        units = target.max_nanousd // price if price else MOST_MEGAPIXELS
        bound = largest(one.largest_factor)
        return factor_within(width_px, height_px, units, below=bound) if bound is not None else None

    model, price = priced[0]
    reason: Literal["already_larger", "beyond_model", "amount"]
    offer, able = None, ""
    if not by_amount and (target.scale(width_px, height_px) <= 1 or out == (width_px, height_px)):
        reason, offer = "already_larger", largest(min(2.0, model.largest_factor))
    elif (factor := factor_by(model, price)) is not None:
        return Aim(factor, *(output_size(width_px, height_px, factor) if by_amount else out), target.dpi)
    else:
        reason = "amount" if by_amount else "beyond_model"
        offer = None if by_amount else largest(model.largest_factor)
        able = next((one.id for one, price in priced if factor_by(one, price) is not None), "")
    raise TargetUnreachable(
        reason=reason,
        target=target.text,
        width_px=width_px,
        height_px=height_px,
        model=model.id,
        largest_factor=offer,
        other_model=able,
    )
